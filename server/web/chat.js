// A chat with a model of this server: streamed, with pictures and files.

import { ask, events, send } from "./api.js";
import { IDLE, step } from "./chat-states.js";
import { $, amount, chip, fill, make, modelChips } from "./dom.js";
import { attach } from "./attachments.js";

const MOST_ATTACHED_BYTES = 20 * 2 ** 20; // base64 makes it a third more; a request holds 32 MiB

let state = IDLE;
let control = null;
let talk = []; // {role, content, text, files}
let attached = [];

function go(event) {
  const [next, orders] = step(state, event);
  state = next;
  for (const order of orders) ({ request, abort: () => control?.abort() })[order]();
  const busy = state.name !== "idle";
  $("send").textContent = busy ? "Stop" : "Send";
  $("send").classList.toggle("primary", !busy);
  $("chat-state").textContent = state.problem || (state.name === "waiting" ? "Thinking." : "");
  $("chat-state").classList.toggle("problem", Boolean(state.problem));
  $("messages").setAttribute("aria-busy", String(busy));
}

async function request() {
  const { turn } = state;
  const text = $("message").value.trim();
  const files = attached.splice(0);
  showAttached();
  $("message").value = "";
  grow();
  const parts = [...files.map(({ part }) => part), ...(text ? [{ type: "text", text }] : [])];
  const mine = { role: "user", content: files.length ? parts : text, text, files: files.map(({ name }) => name) };
  talk.push(mine);
  const asked = showMessage(mine);
  const answer = { role: "assistant", content: "", text: "", files: [] };
  const box = showMessage(answer);
  control = new AbortController();
  try {
    const messages = talk.map(({ role, content }) => ({ role, content }));
    const response = await send("/v1/chat/completions", { body: { model: $("chat-model").value || "auto", messages, stream: true }, signal: control.signal });
    const pocket = response.headers.get("x-fastembed-model-state") === "pocket";
    fill(box.querySelector(".chips"), modelChips(response.headers.get("x-fastembed-model") || "", pocket));
    for await (const event of events(response)) {
      const delta = event.choices?.[0]?.delta;
      if (!delta?.content && !delta?.reasoning_content) continue;
      go({ type: "word", turn });
      if (delta.content) {
        answer.text += delta.content;
        write(box.querySelector(".text"), answer.text);
        follow();
      }
    }
    go({ type: "end", turn });
  } catch (problem) {
    if (problem.name !== "AbortError") go({ type: "fail", message: problem.message, turn });
  }
  answer.content = answer.text;
  if (!box.isConnected) return; // a new chat has begun
  if (answer.text) {
    talk.push(answer);
    $("chat-said").textContent = answer.text;
  } else {
    box.remove();
    asked.remove();
    give(mine, files);
  }
}

// What had no answer goes back to where it was written, unless something else is being written there.
function give(mine, files) {
  talk = talk.filter((message) => message !== mine);
  if (!$("message").value) $("message").value = mine.text;
  if (!attached.length) attached = files;
  showAttached();
  grow();
  empty();
}

function showMessage({ role, text, files }) {
  const box = make(
    "article",
    { class: `turn ${role}`, "aria-label": role === "user" ? "You" : "The model" },
    role === "assistant" ? make("p", { class: "chips" }) : null,
    files.length ? make("p", { class: "chips" }, ...files.map((name) => chip(name))) : null,
    make("div", { class: "text" }),
  );
  write(box.querySelector(".text"), text);
  $("messages").querySelector(".empty")?.remove();
  $("messages").append(box);
  $("messages").scrollTop = $("messages").scrollHeight;
  return box;
}

// Text with its blocks and words of code; nothing in it becomes an element of its own choice.
function write(box, text) {
  const parts = text.split(/```[^\n]*\n([\s\S]*?)(?:```|$)/);
  fill(box, parts.map((part, at) => {
    if (at % 2) return make("pre", { tabIndex: 0 }, make("code", { text: part.replace(/\n$/, "") }));
    if (!part.trim()) return null;
    const words = part.trim().split(/`([^`\n]+)`/);
    return make("p", {}, ...words.map((word, place) => (place % 2 ? make("code", { text: word }) : word)));
  }));
}

function follow() {
  const box = $("messages");
  if (box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
}

async function add(files) {
  for (const file of files) {
    const sum = attached.reduce((total, { size }) => total + size, file.size);
    if (sum > MOST_ATTACHED_BYTES) {
      $("chat-state").textContent = `${file.name} is too large: all files of a message may have ${amount(MOST_ATTACHED_BYTES)}.`;
      continue;
    }
    attached.push(await attach(file));
  }
  showAttached();
}

function showAttached() {
  fill($("attached"), attached.map((file) =>
    make("li", {}, make("span", { class: "name", text: file.name }), make("button", {
      class: "quiet", type: "button", text: "×", "aria-label": `Leave out ${file.name}`,
      on: { click: () => { attached = attached.filter((other) => other !== file); showAttached(); } },
    })),
  ));
}

function grow() {
  const box = $("message");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, innerHeight * 0.4)}px`;
}

function empty() {
  if ($("messages").children.length) return;
  $("messages").append(make("div", { class: "empty" }, make("b", { text: "Ask anything." }), make("br"), "The model runs on this server. Drop pictures and files here."));
}

async function listModels() {
  const { data } = await ask("/v1/models").catch(() => ({ data: [] }));
  const able = data.filter((card) => ["chat", "code"].includes(card.task) && card.state !== "missing" && card.state !== "fetching");
  const before = $("chat-model").value;
  const option = (card) => make("option", { value: card.id, text: card.state === "pocket" ? `${card.id} (stand-in)` : card.id });
  fill($("chat-model"), [make("option", { value: "auto", text: "automatic" }), ...able.map(option)]);
  if (able.some((card) => card.id === before)) $("chat-model").value = before;
}

export function start() {
  $("talk").addEventListener("submit", (event) => {
    event.preventDefault();
    if (state.name !== "idle") go({ type: "stop" });
    else if ($("message").value.trim() || attached.length) go({ type: "send" });
  });
  $("message").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (state.name === "idle") $("talk").requestSubmit();
    }
    if (event.key === "Escape") go({ type: "stop" });
  });
  $("message").addEventListener("input", grow);
  $("message").addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) add(event.clipboardData.files);
  });
  $("attach").addEventListener("change", async () => {
    const picked = [...$("attach").files];
    $("attach").value = "";
    await add(picked);
  });
  const view = $("view-chat");
  view.addEventListener("dragover", (event) => event.preventDefault());
  view.addEventListener("drop", (event) => {
    event.preventDefault();
    add(event.dataTransfer.files);
  });
  $("chat-new").addEventListener("click", () => {
    go({ type: "stop" });
    talk = [];
    fill($("messages"), []);
    empty();
    $("message").focus();
  });
  empty();
  return { show: listModels };
}
