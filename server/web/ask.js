// A question to the documents; each sentence of the answer has its sources.

import { events, send } from "./api.js";
import { $, chip, fill, make, modelChips } from "./dom.js";
import { pageOf } from "./passages.js";

let running = null;

async function put(question) {
  running?.abort();
  const control = (running = new AbortController());
  const text = make("p", { class: "draft" });
  fill($("answer"), [text]);
  $("answer").setAttribute("aria-busy", "true");
  $("ask-state").textContent = "Reading.";
  try {
    const response = await send("/v1/ask", { body: { question, stream: true }, signal: control.signal });
    const pocket = response.headers.get("x-fastembed-model-state") === "pocket";
    for await (const event of events(response)) {
      if (event.type === "answer.delta") text.textContent += event.text;
      else if (event.type === "answer.done") show(event.answer, pocket);
    }
  } catch (problem) {
    if (control.signal.aborted) return;
    fill($("answer"), []);
    $("ask-state").textContent = problem.status === 404 ? "No documents have been read yet." : problem.message;
  } finally {
    if (running === control) {
      running = null;
      $("answer").removeAttribute("aria-busy");
    }
  }
}

function show(answer, pocket) {
  const sure = `${Math.round(100 * answer.confidence)} %`;
  $("ask-state").textContent = answer.found ? "" : "Your documents do not say.";
  const sources = answer.sources || [];
  fill($("answer"), [
    answer.found
      ? make("p", { class: "text" }, ...answer.sentences.flatMap(sentence))
      : make("p", { class: "text soft", text: answer.answer }),
    make(
      "p",
      { class: "chips" },
      chip(`confidence ${sure}`, "", `answers below ${Math.round(100 * answer.floor)} % are not given`),
      ...(answer.model ? modelChips(answer.model, pocket) : answer.found ? [chip("quoted word for word")] : []),
    ),
    ...(answer.warnings || []).map((warning) => make("p", { class: "small soft", text: warning })),
    sources.length ? make("h2", { text: "Sources" }) : null,
    sources.length ? make("ol", { class: "sources" }, ...sources.map((source) => sourceRow(source, answer))) : null,
    answer.left_out?.length
      ? make("details", {}, make("summary", { class: "small", text: `${answer.left_out.length} sentences left out: nothing supports them` }), ...answer.left_out.map((left) => make("p", { class: "small soft", text: typeof left === "string" ? left : left.text || JSON.stringify(left) })))
      : null,
  ]);
}

function sentence({ text, citations }) {
  const numbers = [...new Set(citations.map(({ number }) => number))];
  const links = numbers.map((number) =>
    make("button", { class: "cite", type: "button", text: String(number), "aria-label": `source ${number}`, on: { click: () => look(number) } }),
  );
  return [make("span", { class: "sentence" }, text, ...links), " "];
}

function look(number) {
  const source = document.getElementById(`source-${number}`);
  source?.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  source?.focus({ preventScroll: true });
}

function sourceRow(source, answer) {
  const cited = answer.sentences.flatMap(({ citations }) => citations).filter(({ number }) => number === source.number);
  const quotes = [...new Set(cited.map(({ quote }) => quote).filter(Boolean))];
  const where = source.place || [source.file, pageOf(source)].filter(Boolean).join(", ");
  return make(
    "li",
    { id: `source-${source.number}`, value: source.number, tabIndex: -1 },
    make("b", { class: "name", text: where }),
    ...quotes.map((quote) => make("blockquote", { text: quote })),
    quotes.length && findable() ? make("button", { type: "button", text: "Show it in its page", on: { click: () => find(quotes[0]) } }) : null,
  );
}

let findable = () => false;
let find = () => {};

// findInDocuments: shows where a quote stands; hasDocuments: whether there is a view for that.
export function start({ findInDocuments, hasDocuments }) {
  find = findInDocuments;
  findable = hasDocuments;
  $("asking").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("question").value.trim()) put($("question").value.trim());
  });
  return {};
}
