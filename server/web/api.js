// Requests to this server, with the key of this tab where it asks for one.

const KEY = "fastembed-key";

export class Refused extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status; // 0: the server was not reached
    this.code = code;
  }
}

export const link = new EventTarget(); // "locked", "reached", "unreached"

export function key() {
  return sessionStorage.getItem(KEY) || "";
}

export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

function authorization() {
  return key() ? { authorization: `Bearer ${key()}` } : {};
}

// Returns the response; Refused says what the server said, or that it was not reached.
export async function send(path, { body, method, signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: method || (body === undefined ? "GET" : "POST"),
      headers: { ...authorization(), ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    link.dispatchEvent(new Event("unreached"));
    throw new Refused("The server cannot be reached.");
  }
  link.dispatchEvent(new Event("reached"));
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function ask(path, options) {
  return (await send(path, options)).json();
}

async function refusal(response) {
  const text = await response.text();
  return refusalOf(response.status, text);
}

function refusalOf(status, text) {
  if (status === 401) link.dispatchEvent(new Event("locked"));
  try {
    const { message, code } = JSON.parse(text).error;
    return new Refused(message, status, code || "");
  } catch {
    return new Refused(`The server answered ${status}.`, status);
  }
}

// Yields the JSON of each event of a stream; an error event is thrown.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
        if (data === "[DONE]") return;
        if (!data) continue;
        const found = JSON.parse(data);
        if (found.error) throw new Refused(found.error.message, 500, found.error.code || "");
        yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Sends a file as a form; progress: called with 0 to 1. (fetch tells nothing of how far an upload is.)
export function upload(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name);
    request.open("POST", path);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
    request.onerror = () => reject(new Refused("The server cannot be reached."));
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText));
      else reject(refusalOf(request.status, request.responseText));
    };
    request.send(form);
  });
}

export function socket(path) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${location.host}${path}`, ["realtime", ...(key() ? [`openai-insecure-api-key.${key()}`] : [])]);
}
