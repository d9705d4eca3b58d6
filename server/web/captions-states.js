// The states of live captions, with no microphone, socket or clock: events in, the next state and orders out.
//
//     off --press--> asking --granted--> connecting --opened--> listening <--> hearing --press--> finishing --> off
//                      |                    ^   |                      |          |
//                   refused              retry  lost                 lost        lost
//                      v                    |   v                      v          v
//                     off                  waiting <-------------------------------
//
// While `waiting` the microphone stays on, and what is said meanwhile is kept for a few seconds. `press` means off in every
// state but `off` and `finishing`. Answers to what was begun before (a permission that comes after Stop, a socket that
// opens late) carry the turn that they belong to; those of another turn change nothing, and a microphone that comes so is
// let go at once: so there is never a second one, and none that nobody sees.

export const OFF = Object.freeze({ name: "off", turn: 0, tries: 0, problem: "" });

const WAITS_MS = [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000, 8000];

const REFUSALS = {
  NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the address, then press Start.",
  NotFoundError: "No microphone was found. Connect one, then press Start.",
  NotReadableError: "The microphone is in use by another program, or does not answer.",
  insecure: "Browsers give the microphone only to https and to localhost. Open this page there, or serve it with TLS.",
};

const LOSSES = {
  network: "The connection was lost. Trying again; what you say meanwhile is kept for 5 seconds.",
  busy: "The server hears as many people as it can. Trying again.",
  starting: "The server is starting. Trying again.",
  slow: "The connection is too slow for sound. Trying again.",
};

const ENDS = {
  key: "The server wants an API key.",
  absent: "This server does not serve captions now.",
};

const live = (name) => name === "listening" || name === "hearing";

function off(state, problem = "") {
  return { ...state, name: "off", tries: 0, problem };
}

function lost(state, why, message) {
  if (state.name === "finishing") return [off(state, "The connection was lost before the last words came."), ["close_socket"]];
  if (!live(state.name) && state.name !== "connecting") return [state, []];
  if (why in ENDS) return [off(state, message || ENDS[why]), ["close_microphone", "close_socket"]];
  if (state.tries >= WAITS_MS.length) {
    return [off(state, "The server could not be reached again. The microphone is off."), ["close_microphone", "close_socket"]];
  }
  const next = { ...state, name: "waiting", tries: state.tries + 1, problem: LOSSES[why] || LOSSES.network };
  return [next, ["close_socket", ["retry_in", WAITS_MS[state.tries]]]];
}

function pressed(state) {
  if (state.name === "off" || state.name === "finishing") {
    const orders = state.name === "finishing" ? ["close_socket", "open_microphone"] : ["open_microphone"];
    return [{ name: "asking", turn: state.turn + 1, tries: 0, problem: "" }, orders];
  }
  if (live(state.name)) return [{ ...state, name: "finishing", problem: "" }, ["close_microphone", "finish"]];
  return [off(state), ["close_microphone", "close_socket"]];
}

const STEPS = {
  press: pressed,
  granted: (state) => (state.name === "asking" ? [{ ...state, name: "connecting" }, ["keep_microphone", "connect"]] : [state, ["release"]]),
  refused: (state, { reason, message }) =>
    state.name === "asking" ? [off(state, REFUSALS[reason] || message || "The microphone could not be opened."), []] : [state, []],
  opened: (state) => (state.name === "connecting" ? [{ ...state, name: "listening", problem: "" }, []] : [state, []]),
  steady: (state) => (live(state.name) ? [{ ...state, tries: 0 }, []] : [state, []]),
  lost: (state, { why, message }) => lost(state, why, message),
  retry: (state) => (state.name === "waiting" ? [{ ...state, name: "connecting" }, ["connect"]] : [state, []]),
  speech_started: (state) => (live(state.name) ? [{ ...state, name: "hearing", problem: "" }, []] : [state, []]),
  speech_stopped: (state) => (live(state.name) ? [{ ...state, name: "listening" }, []] : [state, []]),
  notice: (state, { message }) => (state.name === "off" ? [state, []] : [{ ...state, problem: message }, []]),
  settled: (state) => (state.name === "finishing" ? [off(state), ["close_socket"]] : [state, []]),
  unplugged: (state) =>
    state.name === "off" || state.name === "finishing"
      ? [state, []]
      : [off(state, "The microphone was unplugged, or the browser took it away."), ["close_microphone", "close_socket"]],
};

// Returns [the next state, orders]. An order is a name, or [name, value].
export function step(state, event) {
  if (event.turn !== undefined && event.turn !== state.turn) return [state, event.type === "granted" ? ["release"] : []];
  return STEPS[event.type](state, event);
}

const LINES = {
  off: "The microphone is off.",
  asking: "Allow the microphone in the browser.",
  connecting: "Connecting.",
  listening: "Listening.",
  hearing: "Hearing you.",
  finishing: "The microphone is off. Waiting for the last words.",
  waiting: "Trying again.",
};

export function describe(state) {
  return state.problem || LINES[state.name];
}

export function isOn(state) {
  return state.name !== "off" && state.name !== "finishing";
}
