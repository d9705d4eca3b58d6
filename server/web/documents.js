// Documents: dropped, listed with their states, searched.

import { ask, upload } from "./api.js";
import { $, chip, clock, fill, make, repeatedly } from "./dom.js";
import { highlighted, marked, pageOf, showPassage, wordsOf } from "./passages.js";

const LIST_MS = 2000;
const MANY = 1000; // files of which a list is asked for less often
const MOST_LISTED = 500;
const SIDE_BY_SIDE = 2;

const STATES = {
  done: ["ready", "good"],
  failed: ["failed", "bad"],
  duplicate: ["duplicate", ""],
  skipped: ["skipped", ""],
  outdated: ["to be read again", ""],
  waiting: ["waiting", "warn"],
  ignored: ["ignored", ""],
  queued: ["in line", "warn"],
};

const queued = new Map(); // files that were uploaded and are not in the list yet, by pipeline and name
let folders = [];
let listed = 0;

export function setFolders(found) {
  folders = found;
  if (!folders.length) return;
  fill($("folder"), folders.map(({ pipeline, folder }) => make("option", { value: pipeline, text: folder })));
  $("folder-choice").hidden = folders.length < 2;
  $("inbox").textContent = chosen().folder;
}

function chosen() {
  return folders.find(({ pipeline }) => pipeline === $("folder").value) || folders[0];
}

async function send(files) {
  const { pipeline } = chosen();
  const waiting = [...files];
  const one = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) await sendOne(pipeline, file);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, one));
  await list();
}

async function sendOne(pipeline, file) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": `upload of ${file.name}` });
  const row = make("li", {}, make("span", { class: "name", text: file.name }), bar);
  $("uploads").append(row);
  try {
    const { name, state } = await upload(`/v1/folders/${encodeURIComponent(pipeline)}/files`, file, (share) => (bar.value = share));
    if (state === "written") queued.set(`${pipeline}/${name}`, { pipeline, name, state: "queued", detail: "", pages: 0, chunks: 0 });
    if (state === "written") row.remove();
    else dismissible(row, bar, "is there already");
  } catch (problem) {
    dismissible(row, bar, problem.message, "problem");
  }
}

function dismissible(row, bar, text, kind = "soft") {
  bar.replaceWith(make("span", { class: `small ${kind}`, text }));
  row.append(make("button", { class: "quiet", text: "Dismiss", on: { click: () => row.remove() } }));
}

async function list() {
  let rows = [];
  try {
    rows = (await ask("/v1/documents")).data;
  } catch (problem) {
    if (problem.status !== 404) {
      fill($("shelf"), [make("p", { class: "problem", text: problem.message })]);
      return;
    }
  }
  listed = rows.length;
  for (const row of rows) queued.delete(`${row.pipeline}/${row.name}`);
  showFiles([...queued.values(), ...rows.sort((one, other) => (one.at < other.at ? 1 : -1))]);
}

function showFiles(rows) {
  const ready = rows.filter((row) => row.state === "done").length;
  $("documents-count").textContent = rows.length ? `${ready} of ${rows.length} ready` : "";
  $("drop").classList.toggle("large", !rows.length);
  if (!rows.length) {
    fill($("shelf"), []);
    return;
  }
  const table = make(
    "ul",
    { class: "files", "aria-label": "Files" },
    ...rows.slice(0, MOST_LISTED).map(fileRow),
    rows.length > MOST_LISTED ? make("li", { class: "soft small", text: `and ${rows.length - MOST_LISTED} more: fastembed ls` }) : null,
  );
  fill($("shelf"), [table]);
}

function fileRow(row) {
  const [label, kind] = STATES[row.state] || [row.state, ""];
  const facts = [
    row.pages ? `${row.pages} ${row.pages === 1 ? "page" : "pages"}` : "",
    row.duration_s ? clock(row.duration_s) : "",
    row.chunks ? `${row.chunks} ${row.chunks === 1 ? "passage" : "passages"}` : "",
  ];
  const again = row.state === "failed" ? make("button", { text: "Try again", "data-again": row.name, "data-pipeline": row.pipeline }) : null;
  return make(
    "li",
    { "data-file": row.name, "data-state": row.state },
    make("div", { class: "what" }, make("b", { class: "name", text: row.name }), row.title && row.title !== row.name ? make("span", { class: "soft small", text: row.title }) : null),
    make("span", { class: "small soft numbers", text: facts.filter(Boolean).join(" · ") }),
    make("span", { class: "state" }, chip(label, kind), again),
    row.detail && row.state !== "done" ? make("p", { class: `detail small ${row.state === "failed" ? "problem" : "soft"}`, text: row.state === "duplicate" ? `the same as ${row.detail}` : row.detail }) : null,
  );
}

async function replay(button) {
  button.disabled = true;
  try {
    await ask("/v1/documents/replay", { body: { pipeline: button.dataset.pipeline, names: [button.dataset.again] } });
    await list();
  } catch (problem) {
    button.replaceWith(make("span", { class: "problem small", text: problem.message }));
  }
}

let asked = 0;

// openFirst: show the best passage in its page, on narrow screens too.
export async function search(query, openFirst = false) {
  $("query").value = query;
  const mine = ++asked;
  $("search-state").textContent = "Searching.";
  try {
    const { data } = await ask(`/v1/search?limit=10&q=${encodeURIComponent(query)}`);
    if (mine !== asked) return;
    $("search-state").textContent = data.length ? `${data.length} ${data.length === 1 ? "passage" : "passages, the best first"}` : "Nothing was found. Other words may be in the documents.";
    $("found").hidden = !data.length;
    $("passage").hidden = true;
    fill($("hits"), data.map((hit) => hitRow(hit, query)));
    if (data.length && (openFirst || matchMedia("(min-width: 64rem)").matches)) open($("hits").querySelector("button"), data[0], query, openFirst);
  } catch (problem) {
    if (mine !== asked) return;
    $("found").hidden = true;
    $("search-state").textContent = problem.status === 404 ? "No documents have been read yet." : problem.message;
  }
}

function hitRow(hit, query) {
  const button = make(
    "button",
    { class: "hit", type: "button" },
    make("span", { class: "where" }, make("b", { class: "name", text: hit.document }), make("span", { class: "soft small", text: pageOf(hit) })),
    hit.headings.length ? make("span", { class: "path small soft", text: hit.headings.join(" › ") }) : null,
    make("span", { class: "snippet" }, ...(hit.highlights?.length ? highlighted(hit.snippet, hit.highlights) : marked(hit.snippet, query))),
  );
  button.addEventListener("click", () => open(button, hit, query, true));
  return make("li", {}, button);
}

function open(button, hit, query, focus) {
  for (const other of $("hits").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  showPassage($("passage"), hit, wordsOf(hit) || query, focus);
}

export function start() {
  const drop = $("view-documents");
  let inside = 0;
  const files = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  drop.addEventListener("dragenter", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    inside += 1;
    $("drop").classList.add("over");
  });
  drop.addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    if (!inside) $("drop").classList.remove("over");
  });
  drop.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  drop.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    inside = 0;
    $("drop").classList.remove("over");
    send(event.dataTransfer.files);
  });
  $("pick").addEventListener("change", async () => {
    const picked = [...$("pick").files];
    $("pick").value = "";
    await send(picked);
  });
  $("folder").addEventListener("change", () => ($("inbox").textContent = chosen().folder));
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("query").value.trim()) search($("query").value.trim());
  });
  $("shelf").addEventListener("click", (event) => {
    const button = event.target.closest("[data-again]");
    if (button) replay(button);
  });
  let end = () => {};
  const often = () => (queued.size || listed < MANY ? LIST_MS : 10 * LIST_MS);
  return { show: () => (end = repeatedly(list, often)), hide: () => end() };
}
