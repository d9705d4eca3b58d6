// Elements, and nothing of a framework.

export const $ = (id) => document.getElementById(id);

// Makes an element: `class`, `text`, `on: {click}`, properties, and attributes with a dash or of ARIA.
export function make(tag, options = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") found.className = value;
    else if (name === "text") found.textContent = value;
    else if (name === "on") for (const [event, act] of Object.entries(value)) found.addEventListener(event, act);
    else if (name.includes("-") || name === "role" || name === "for") found.setAttribute(name, value);
    else found[name] = value;
  }
  found.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return found;
}

// Puts children in place only where they are other ones: what has the focus, or is being read, stays.
export function fill(parent, children) {
  const now = children.filter(Boolean);
  const same = parent.childNodes.length === now.length && now.every((child, at) => child.isEqualNode(parent.childNodes[at]));
  if (!same) parent.replaceChildren(...now);
}

export function download(name, text, media = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type: `${media};charset=utf-8` }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function chip(text, kind = "", title = "") {
  return make("span", { class: `chip ${kind}`.trim(), text, title });
}

// A model's name, and that it stands in for a real one.
export function modelChips(name, pocket, parameters = 0) {
  const stand = "A tiny model that ships with the server: it shows that everything works, and knows little. The view Models says how to get a real one.";
  return [chip(name), pocket ? chip("pocket stand-in", "warn", stand) : parameters ? chip(`${amountOf(parameters)} parameters`) : null].filter(Boolean);
}

export function amountOf(parameters) {
  return parameters >= 1e9 ? `${+(parameters / 1e9).toPrecision(3)} billion` : `${Math.round(parameters / 1e6)} million`;
}

export function amount(bytes) {
  if (!Number.isFinite(bytes)) return "";
  const units = ["B", "KB", "MB", "GB", "TB"];
  const at = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** at;
  return `${value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function duration(seconds) {
  if (seconds < 0.0095) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.95) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = `${String(minutes).padStart(hours ? 2 : 1, "0")}:${String(whole % 60).padStart(2, "0")}`;
  return hours ? `${hours}:${rest}` : rest;
}

// Runs `act` at once and then every so often (a number, or what tells it) while the tab is seen; returns what ends it. Never two
// at a time.
export function repeatedly(act, every_ms) {
  let ended = false;
  let timer = null;
  const turn = async () => {
    if (!document.hidden) await act();
    if (!ended) timer = setTimeout(turn, typeof every_ms === "function" ? every_ms() : every_ms);
  };
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
