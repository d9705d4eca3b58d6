// The page: which views there are, which one is seen, whether the server is there, and its key.

import { ask, key, link, setKey } from "./api.js";
import * as askView from "./ask.js";
import * as captions from "./captions.js";
import * as chat from "./chat.js";
import * as documents from "./documents.js";
import { $ } from "./dom.js";
import * as graph from "./graph.js";
import * as models from "./models.js";

const AGAIN_MS = 5000;

// A view is there where a pipeline serves what it needs.
const VIEWS = {
  captions: { code: captions, needs: (source) => source === "websocket /v1/realtime" },
  documents: { code: documents, needs: (source) => source === "folders" },
  ask: { code: askView, needs: (source) => source === "http POST /v1/ask" },
  chat: { code: chat, needs: (source) => source === "http POST /v1/chat/completions" },
  pipelines: { code: graph, needs: null },
  models: { code: models, needs: null },
};

let open = [];
let current = null;

async function pipelines() {
  try {
    return (await ask("/v1/pipelines")).data;
  } catch (problem) {
    if (problem.status !== 403) throw problem;
    // A key that may not see the pipelines: what they serve stands in the description of the server.
    const { paths, "x-websockets": sockets } = await ask("/openapi.json");
    const served = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `http ${method.toUpperCase()} ${path}`));
    return [...served, ...sockets.map((path) => `websocket ${path}`)].map((source) => ({ name: source, source, hidden: true }));
  }
}

async function look() {
  const found = await pipelines();
  const { data: folders } = await ask("/v1/folders").catch(() => ({ data: [] }));
  const sources = [...found.map(({ source }) => source), ...(folders.length ? ["folders"] : [])];
  const all = !found.some((pipeline) => pipeline.hidden);
  open = Object.keys(VIEWS).filter((name) => {
    const { needs } = VIEWS[name];
    if (needs) return sources.some(needs);
    return name === "models" || all;
  });
  documents.setFolders(folders);
  captions.announce(found.find(({ source }) => source === "websocket /v1/realtime")?.models?.[0]);
  for (const anchor of document.querySelectorAll("nav a")) anchor.hidden = !open.includes(anchor.hash.slice(1));
  show();
}

function show() {
  const wanted = location.hash.slice(1);
  const name = open.includes(wanted) ? wanted : open[0];
  $("view-none").hidden = Boolean(name);
  if (name === current) return;
  if (current) {
    VIEWS[current].view.hide?.();
    $(`view-${current}`).hidden = true;
  }
  current = name;
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.hash === `#${name}`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  if (!name) return;
  const { code } = VIEWS[name];
  VIEWS[name].view ||= code.start({ findInDocuments, hasDocuments: () => open.includes("documents") });
  $(`view-${name}`).hidden = false;
  document.title = `${$(`${name}-title`).textContent} · FastEmbed`;
  VIEWS[name].view.show?.();
}

function findInDocuments(quote) {
  location.hash = "#documents";
  show();
  documents.search(quote.slice(0, 300), true);
}

function reached(is) {
  $("dot").classList.toggle("bad", !is);
  $("dot").classList.toggle("good", is);
  const text = is ? location.host : "not reached";
  if ($("server").textContent !== text) $("server").textContent = text;
  const banner = $("banner");
  banner.hidden = is;
  if (!is && !banner.textContent) banner.textContent = "The server cannot be reached. This page comes back by itself when it is there again.";
  if (is) banner.textContent = "";
}

async function keepLooking() {
  try {
    if (!document.hidden || !current) await look();
  } catch (problem) {
    if (problem.status && problem.status !== 401) {
      $("banner").textContent = problem.message;
      $("banner").hidden = false;
    }
  }
  setTimeout(keepLooking, AGAIN_MS);
}

async function unlock(event) {
  event.preventDefault();
  const before = key();
  setKey($("key").value.trim());
  try {
    await ask("/v1/models");
    $("key").value = "";
    $("lock").close();
    await look();
  } catch (problem) {
    setKey(before);
    $("lock-problem").textContent = problem.message;
  }
}

link.addEventListener("reached", () => reached(true));
link.addEventListener("unreached", () => reached(false));
link.addEventListener("locked", () => {
  if (!$("lock").open) $("lock").showModal();
});
$("lock").addEventListener("cancel", (event) => event.preventDefault());
$("lock-form").addEventListener("submit", unlock);
window.addEventListener("hashchange", () => {
  show();
  $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
});
keepLooking();
