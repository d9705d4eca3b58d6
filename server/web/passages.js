// A passage where it stands: its file, the path of its headings, its page, and what is around it on that page.

import { ask } from "./api.js";
import { clock, make } from "./dom.js";

const AROUND = 2; // passages before and after, where a file has no pages
const LEAST_OVERLAP = 12;

export function pageOf({ pages, seconds }) {
  if (seconds) return `${clock(seconds[0])} to ${clock(seconds[1])}`;
  if (!pages) return "";
  return pages[0] === pages[1] ? `page ${pages[0]}` : `pages ${pages[0]} to ${pages[1]}`;
}

const COMMON = new Set(
  ("the and for are was were has had have how who whom what when where which why not but you your our its his her their " +
    "this that these those with from into does did can could will would should may might than then there about").split(" "),
);

// Whether a word tells anything of what is looked for: "of" and "the" stand everywhere.
function tells(word) {
  return (word.length > 2 || /\p{N}|\p{Lo}/u.test(word)) && !COMMON.has(word);
}

// Splits a text into strings and <mark> elements: the query's words, and others that begin with one of four letters or more.
export function marked(text, query) {
  const all = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) || [])];
  if (!all.length) return [text];
  const telling = all.filter(tells);
  const words = telling.length ? telling : all;
  const escaped = words.map((word) => (word.length > 3 && !/\p{Lo}/u.test(word) ? `${word}[\\p{L}\\p{N}]*` : word));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})(?![\\p{Ll}\\p{Lu}\\p{N}])`, "giu");
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    if (found.index > at) parts.push(text.slice(at, found.index));
    parts.push(make("mark", { text: found[0] }));
    at = found.index + found[0].length;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

// The server's own highlights, from and to which character (whole ones, not UTF-16's halves).
export function highlighted(text, ranges) {
  const letters = [...text];
  const parts = [];
  let at = 0;
  for (const [from, to] of ranges) {
    if (!tells(letters.slice(from, to).join("").toLowerCase())) continue;
    if (from > at) parts.push(letters.slice(at, from).join(""));
    parts.push(make("mark", { text: letters.slice(from, to).join("") }));
    at = to;
  }
  parts.push(letters.slice(at).join(""));
  return parts;
}

// The words of a hit that are highlighted in its snippet: the whole passage has them, too.
export function wordsOf({ snippet, highlights }) {
  const letters = [...snippet];
  return (highlights || []).map(([from, to]) => letters.slice(from, to).join("")).join(" ");
}

// Takes off the beginning of a text what the text before it ends with: passages overlap.
export function withoutOverlap(before, text) {
  for (let size = Math.min(before.length, text.length); size >= LEAST_OVERLAP; size -= 1) {
    if (before.endsWith(text.slice(0, size))) return text.slice(size);
  }
  return text;
}

async function neighbours(hit) {
  const table = `"${hit.table.replaceAll('"', '""')}"`;
  const [first, last] = hit.pages || [];
  const where = hit.pages ? "first_page <= $last AND last_page >= $first" : '"index" BETWEEN $first AND $last';
  const params = { document: hit.document_id, first: first ?? hit.index - AROUND, last: last ?? hit.index + AROUND };
  const query = `SELECT "index", text, headings FROM ${table} WHERE document_id = $document AND ${where} ORDER BY "index" LIMIT 60`;
  const { data } = await ask("/v1/sql", { body: { query, params, database: hit.database } });
  return data.some((row) => row.index === hit.index) ? data : [hit];
}

let shown = 0;

export async function showPassage(panel, hit, query, focus) {
  const mine = ++shown;
  // A key that may search need not have the right to query: then the passage stands alone.
  const rows = await neighbours(hit).catch(() => [hit]);
  if (mine !== shown) return;
  const parts = [];
  let heading = null;
  let before = "";
  for (const row of rows) {
    const last = row.headings.at(-1) || "";
    if (last && last !== heading) parts.push(make("h3", { text: last }));
    heading = last;
    const mine = row.index === hit.index;
    const text = mine ? row.text : withoutOverlap(before, row.text);
    if (mine && parts.at(-1)?.tagName === "P" && before) parts.at(-1).textContent = withoutTail(parts.at(-1).textContent, row.text);
    before = row.text;
    if (text.trim()) parts.push(make("p", { class: mine ? "here" : "around" }, ...(mine ? marked(text, query) : [text])));
  }
  panel.replaceChildren(
    make("header", {}, make("b", { class: "name", text: hit.document }), make("span", { class: "soft small", text: pageOf(hit) })),
    make("p", { class: "path small soft", text: [hit.title !== hit.document ? hit.title : "", ...hit.headings].filter((part, at, all) => part && part !== all[at - 1]).join(" › ") }),
    make("div", { class: "sheet" }, ...parts),
  );
  panel.hidden = false;
  const here = panel.querySelector(".here");
  if (here) panel.querySelector(".sheet").scrollTop = here.offsetTop - 48;
  if (focus) panel.focus({ preventScroll: matchMedia("(min-width: 64rem)").matches });
}

// Takes off the end of a text what the passage that was found begins with, so that the passage is whole.
export function withoutTail(text, next) {
  for (let size = Math.min(text.length, next.length); size >= LEAST_OVERLAP; size -= 1) {
    if (text.endsWith(next.slice(0, size))) return text.slice(0, -size);
  }
  return text;
}
