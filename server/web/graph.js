// The pipelines as a live graph: what comes in, what each step does, where it goes.

import { ask } from "./api.js";
import { $, chip, duration, fill, make, repeatedly } from "./dom.js";

const EVERY_MS = 1000;
const SPAN_S = 10; // rates are those of the last seconds
const BAD = new Set(["rejected", "failed", "expired", "dead_lettered"]);

const history = new Map(); // by counter: [{at_s, count}]

// Returns how many a second a counter grew over the last seconds; 0 until that is known, or after a restart.
function rate(name, count, at_s) {
  const seen = (history.get(name) || []).filter((point) => at_s - point.at_s <= SPAN_S && point.count <= count);
  seen.push({ at_s, count });
  history.set(name, seen);
  const [first] = seen;
  return at_s > first.at_s ? (count - first.count) / (at_s - first.at_s) : 0;
}

function perSecond(value) {
  if (value === 0) return "0/s";
  return value < 1 ? `${Math.max(1, Math.round(60 * value))}/min` : `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`;
}

function problems(outcomes) {
  return Object.entries(outcomes).filter(([name, count]) => BAD.has(name) && count);
}

function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

function node(kind, title, detail, { waiting = 0, oldest_s = 0, bad = [], busy = false, mean_s = null } = {}) {
  return make(
    "li",
    { class: `node ${kind}${busy ? " busy" : ""}${bad.length ? " has-errors" : ""}` },
    make("b", { text: title }),
    detail ? make("span", { class: "small soft", text: detail }) : null,
    waiting ? make("span", { class: "small queue", text: `${waiting} waiting${oldest_s ? `, ${duration(oldest_s)}` : ""}` }) : null,
    mean_s !== null ? make("span", { class: "small soft numbers", text: `${duration(mean_s)} each` }) : null,
    bad.length ? make("span", { class: "small problem", text: bad.map(([name, count]) => `${count} ${name}`).join(", ") }) : null,
  );
}

function card(pipeline, at_s) {
  const [sourceName, ...rest] = pipeline.source.split(" ");
  const [sinkName, ...sinkRest] = pipeline.sink.split(" ");
  const admitted = rate(`${pipeline.name} in`, pipeline.admitted, at_s);
  const stages = pipeline.stages || [];
  const flow = [
    node("edge", sourceName, rest.join(" "), { waiting: pipeline.waiting, busy: admitted > 0 }),
    ...stages.filter(({ name }) => name !== "sink" && name !== sinkName).map((stage) => {
      const through = rate(`${pipeline.name} ${stage.name}`, stage.items_in, at_s);
      return node("step", stage.name, through ? perSecond(through) : "", {
        waiting: stage.waiting,
        oldest_s: stage.oldest_seconds,
        mean_s: stage.mean_seconds,
        bad: problems(stage.outcomes),
        busy: through > 0 || stage.waiting > 0,
      });
    }),
    node("edge", sinkName, sinkRest.join(" "), { busy: admitted > 0 }),
  ];
  const ended = Object.values(pipeline.outcomes).reduce((sum, count) => sum + count, 0);
  const bad = problems(pipeline.outcomes);
  return make(
    "article",
    { class: "pipeline", "data-pipeline": pipeline.name },
    make(
      "header",
      {},
      make("h2", { text: pipeline.name }),
      pipeline.state === "running" ? null : chip(pipeline.state, pipeline.state === "broken" ? "bad" : "warn"),
      make("span", { class: "small soft", text: pipeline.guarantee }),
      make("span", { class: "small soft numbers last", text: [perSecond(admitted), pipeline.in_flight ? `${pipeline.in_flight} in work` : "", plural(ended, "item") + " done"].filter(Boolean).join(" · ") }),
    ),
    make("ol", { class: "flow", tabIndex: 0, "aria-label": `steps of ${pipeline.name}` }, ...flow),
    pipeline.models.length ? make("p", { class: "small soft", text: pipeline.models.join(", ") }) : null,
    bad.length ? make("p", { class: "small problem", text: bad.map(([name, count]) => `${count} ${name}`).join(", ") }) : null,
    pipeline.problem ? make("p", { class: "small problem", text: pipeline.problem }) : null,
  );
}

async function look() {
  try {
    const status = await ask("/v1/system/status"); // the pipelines are in it, too
    const at_s = performance.now() / 1000;
    const cards = status.pipelines.map((pipeline) => card(pipeline, at_s));
    // One card at a time, so that what did not change keeps its place in scrolling and for readers.
    const shelf = $("graph");
    cards.forEach((one, at) => {
      const old = shelf.children[at];
      if (!old) shelf.append(one);
      else if (!old.isEqualNode(one)) replaceCard(old, one);
    });
    while (shelf.children.length > cards.length) shelf.lastChild.remove();
    $("pipelines-sum").textContent = summary(status);
  } catch (problem) {
    if (problem.status) fill($("graph"), [make("p", { class: "problem", text: problem.message })]);
  }
}

function replaceCard(old, one) {
  const left = old.querySelector(".flow")?.scrollLeft || 0;
  const focused = old.contains(document.activeElement);
  old.replaceWith(one);
  one.querySelector(".flow").scrollLeft = left;
  if (focused) one.querySelector(".flow").focus({ preventScroll: true });
}

function summary(status) {
  const { requests_per_minute: perMinute, avg_response_time: mean } = status.performance_metrics;
  const rest = mean ? `, ${mean} each` : "";
  return `${plural(Math.round(perMinute), "request")} in the last minute${rest} · up ${duration(status.uptime_seconds)}`;
}

export function start() {
  let end = () => {};
  return { show: () => (end = repeatedly(look, EVERY_MS)), hide: () => end() };
}
