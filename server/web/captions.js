// Captions: what is said, large, while it is said.

import { ask } from "./api.js";
import { describe, isOn } from "./captions-states.js";
import { $, download, duration, fill, make, modelChips } from "./dom.js";
import { Listening } from "./listening.js";
import { toSrt, toText } from "./subtitles.js";

const lines = new Map(); // by item: {text, final, start_s, end_s, words, element}
let cards = new Map(); // models by name
let model = "";

function lineOf(id) {
  let line = lines.get(id);
  if (!line) {
    line = { text: "", final: false, start_s: 0, end_s: 0, words: [], element: make("p", { class: "open" }) };
    lines.set(id, line);
  }
  if (!line.element.isConnected) $("words").append(line.element);
  return line;
}

function show(line, text, kind = line.final ? "" : "open") {
  const words = $("words");
  const follows = words.scrollHeight - words.scrollTop - words.clientHeight < 80;
  line.text = text;
  line.element.textContent = text;
  line.element.className = kind;
  if (follows) words.scrollTop = words.scrollHeight;
  offer();
}

function done() {
  return [...lines.values()].filter((line) => line.final && line.text);
}

function offer() {
  const any = done().length > 0;
  for (const id of ["captions-copy", "captions-text", "captions-srt"]) $(id).disabled = !any;
  $("captions-clear").disabled = lines.size === 0;
  $("captions-empty").hidden = [...lines.values()].some((line) => line.element.isConnected);
}

async function name(found) {
  if (!found || found === model) return;
  model = found;
  if (!cards.has(found)) {
    const { data } = await ask("/v1/models").catch(() => ({ data: [] }));
    cards = new Map(data.map((card) => [card.id, card]));
  }
  const card = cards.get(found);
  fill($("captions-model"), modelChips(found, card?.state === "pocket", card?.parameters));
}

// Says which model will hear, until one has.
export function announce(found) {
  if (!model) name(found);
}

const WORDS = {
  "session.updated": (event) => name(event.session?.audio?.input?.transcription?.model),
  "input_audio_buffer.speech_started": (event, wall) => {
    const line = lines.get(event.item_id) || { text: "", final: false, words: [], element: make("p", { class: "open" }) };
    line.start_s = wall(event.audio_start_ms);
    lines.set(event.item_id, line);
  },
  "input_audio_buffer.speech_stopped": (event, wall) => {
    const line = lines.get(event.item_id);
    if (line) line.end_s = wall(event.audio_end_ms);
  },
  "transcription.delta": (event) => {
    const line = lineOf(event.item_id);
    name(event.model);
    if (!line.final) show(line, line.text + event.delta);
  },
  "transcription.completed": (event, wall) => {
    name(event.model);
    const line = lineOf(event.item_id);
    line.final = true;
    line.words = (event.words || []).map(({ word, start, end }) => ({ word, start: wall(1000 * start), end: wall(1000 * end) }));
    if (!line.end_s) line.end_s = wall(0) + (event.usage?.seconds || 0);
    if (!event.transcript.trim()) line.element.remove();
    show(line, event.transcript);
    const late_s = wall.now() - line.end_s;
    if (late_s > 0 && late_s < 60) $("latency").textContent = `${duration(late_s)} to the final text`;
    $("captions-said").textContent = event.transcript;
  },
  "transcription.failed": (event) => {
    const line = lineOf(event.item_id);
    line.final = true;
    show(line, event.error.message, "problem");
    line.text = "";
  },
  // What was being said when the connection ended has no final text: what was understood of it stays.
  closed: () => {
    for (const [id, line] of lines) {
      if (line.final) continue;
      line.final = true;
      if (line.text) show(line, line.text, "cut");
      else lines.delete(id);
    }
    offer();
  },
};

export function start() {
  const listening = new Listening({
    changed: (state) => {
      const on = isOn(state);
      $("speak").setAttribute("aria-pressed", String(on));
      $("speak-label").textContent = on ? "Stop" : "Start";
      $("stage").dataset.state = state.name;
      $("state").textContent = describe(state);
      $("state").classList.toggle("problem", Boolean(state.problem));
    },
    heard: (event, wallOf) => {
      const wall = Object.assign((ms) => wallOf(ms), { now: () => (performance.now() - listening.began_ms) / 1000 });
      WORDS[event.kind]?.(event, wall);
    },
    level: (peak) => {
      // Speech is quiet against full scale: a scale in decibels, from -50, as the ear has it.
      const share = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / 50) : 0;
      $("level").firstElementChild.style.transform = `scaleX(${share.toFixed(3)})`;
    },
    pending: () => [...lines.values()].some((line) => !line.final),
  });
  $("speak").addEventListener("click", () => listening.press());
  $("captions-copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(toText(done()));
      $("state").textContent = "Copied.";
    } catch {
      $("state").textContent = "The browser did not let the page copy: use Save text.";
    }
  });
  const today = () => new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-");
  $("captions-text").addEventListener("click", () => download(`captions-${today()}.txt`, toText(done())));
  $("captions-srt").addEventListener("click", () => download(`captions-${today()}.srt`, toSrt(done()), "application/x-subrip"));
  $("captions-clear").addEventListener("click", () => {
    for (const [id, line] of lines) if (line.final) lines.delete(id);
    for (const line of lines.values()) line.text = "";
    fill($("words"), []);
    $("latency").textContent = "";
    if (!lines.size) listening.clear();
    offer();
  });
  offer();
  return { listening };
}
