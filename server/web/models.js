// The models: which are loaded, which are here, which can be had; loaded, unloaded, pulled from here.

import { ask } from "./api.js";
import { $, amount, amountOf, chip, duration, fill, make, repeatedly } from "./dom.js";

const EVERY_MS = 2000;

const TASKS = {
  chat: "chat",
  code: "code",
  embedding: "embeddings",
  transcription: "speech to text",
  rerank: "reranking",
  document: "documents",
  speech_synthesis: "voice",
  turn_detection: "the end of a turn",
  speaker_embedding: "who speaks",
};

const taskOf = (task) => TASKS[task] || (task || "").replaceAll("_", " ");

const STATES = { ready: ["loaded", "good"], loading: ["loading", "warn"], fetching: ["being pulled", "warn"], missing: ["not here", ""], pocket: ["on disk", ""], available: ["on disk", ""] };

const busy = new Map(); // by model: what was asked for and is not answered yet

function say(text, problem = false) {
  $("models-state").textContent = text;
  $("models-state").classList.toggle("problem", problem);
}

async function act(what, name) {
  busy.set(name, what);
  say("");
  look();
  try {
    const answer = await ask(`/v1/models/${what}`, { body: { model: name } });
    if (answer.message) say(answer.message);
  } catch (problem) {
    say(problem.message, true);
  } finally {
    busy.delete(name);
    look();
  }
}

function button(what, label, card, title = "") {
  const waits = busy.get(card.id) === what;
  return make("button", { text: waits ? `${label}…` : label, title, disabled: busy.has(card.id), "data-act": what, "data-model": card.id, "aria-label": `${label} ${card.id}` });
}

function row(card, held) {
  const loaded = held.get(card.id);
  const state = loaded?.state === "ready" ? "ready" : loaded?.state === "loading" ? "loading" : card.state;
  const [label, kind] = STATES[state] || [state, ""];
  const facts = [
    taskOf(card.task),
    card.parameters ? `${amountOf(card.parameters)} parameters` : "",
    card.context_length ? `${card.context_length.toLocaleString("en")} tokens` : "",
    card.dimensions ? `${card.dimensions} values` : "",
    card.licence || "",
  ];
  const actions = [];
  if (loaded?.state === "ready") actions.push(button("unload", "Unload", card, "free its memory; the next request loads it again"));
  else if (card.loadable && state !== "loading") actions.push(button("load", "Load", card));
  return make(
    "li",
    { "data-model": card.id, "data-state": state },
    make("div", { class: "what" }, make("b", { class: "name", text: card.id }), make("span", { class: "small soft", text: facts.filter(Boolean).join(" · ") })),
    make("span", { class: "small soft numbers", text: loaded ? [loaded.device, loaded.memory_usage, loaded.requests_running ? `${loaded.requests_running} in work` : ""].filter(Boolean).join(" · ") : "" }),
    make("span", { class: "state" }, card.pocket ? chip("pocket stand-in", "warn", "a tiny model that ships; a real one knows more") : null, chip(label, kind), ...actions),
    card.download ? progress(card) : null,
  );
}

function progress(card) {
  const { bytes, total_bytes: total, percent, eta_seconds: eta, error } = card.download;
  if (error) return make("p", { class: "detail small problem", text: error });
  const left = eta === null || eta === undefined ? "" : `, ${duration(eta)} left`;
  return make(
    "p",
    { class: "detail small" },
    make("progress", { max: 100, value: percent ?? undefined, "aria-label": `download of ${card.id}` }),
    make("span", { class: "soft numbers", text: total ? `${amount(bytes)} of ${amount(total)}${left}` : "asking where its files are" }),
  );
}

function absentRow(known, coming) {
  const card = { id: known.name, download: coming?.download };
  const action = known.pullable && !(coming && coming.state === "fetching") ? button("pull", "Pull", card) : null;
  return make(
    "li",
    { "data-model": known.name, "data-state": coming?.state || "absent" },
    make("div", { class: "what" }, make("b", { class: "name", text: known.name }), make("span", { class: "small soft", text: [taskOf(known.task), known.licence].filter(Boolean).join(" · ") })),
    make("span", { class: "state" }, action || (coming ? null : make("code", { class: "small", text: known.command }))),
    card.download ? progress(card) : null,
  );
}

function shelf(title, rows, about = "") {
  if (!rows.length) return null;
  return make("section", { "aria-label": title }, make("h2", { text: title }), about ? make("p", { class: "small soft", text: about }) : null, make("ul", { class: "files models" }, ...rows));
}

async function look() {
  try {
    const [{ data }, status, catalog] = await Promise.all([
      ask("/v1/models"),
      ask("/v1/system/status").catch(() => null),
      ask("/v1/catalog").catch(() => ({ data: [] })),
    ]);
    const held = new Map((status?.loaded_models || []).map((model) => [model.model_id, model]));
    const known = new Map(catalog.data.map((model) => [model.name, model]));
    const loadable = new Set(catalog.loadable || []);
    const here = data.filter((card) => card.state !== "missing" && card.state !== "fetching");
    const coming = new Map(data.filter((card) => card.download).map((card) => [card.id, card]));
    for (const card of here) Object.assign(card, { pocket: card.state === "pocket", loadable: loadable.has(card.id) });
    const isLoaded = (card) => ["ready", "loading"].includes(held.get(card.id)?.state) || card.state === "loading";
    const absent = [...known.values()].filter((model) => !model.here);
    const pulls = absent.some((model) => model.pullable);
    fill($("shelves"), [
      shelf("Loaded", here.filter(isLoaded).map((card) => row(card, held))),
      shelf("On disk", here.filter((card) => !isLoaded(card)).map((card) => row(card, held)), "Loaded when something asks for them."),
      shelf("To be had", absent.map((model) => absentRow(model, coming.get(model.name))), pulls ? "" : "This server fetches nothing by itself: run the command, or start it with serve --pull."),
    ]);
    const memory = Object.entries(status?.model_memory || {}).filter(([, { taken }]) => taken);
    $("models-sum").textContent = memory.map(([device, { taken, limit }]) => `${device}: ${taken}${limit ? ` of ${limit}` : ""}`).join(" · ");
  } catch (problem) {
    if (problem.status) say(problem.message, true);
  }
}

export function start() {
  $("shelves").addEventListener("click", (event) => {
    const found = event.target.closest("[data-act]");
    if (found) act(found.dataset.act, found.dataset.model);
  });
  let end = () => {};
  return { show: () => (end = repeatedly(look, EVERY_MS)), hide: () => end() };
}
