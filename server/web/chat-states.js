// The states of a chat: one answer at a time, and Stop means stop.
//
//     idle --send--> waiting --word--> answering --end--> idle
//     stop, fail and end lead to idle from both; those of an answer before the present one change nothing.

export const IDLE = Object.freeze({ name: "idle", turn: 0, problem: "" });

export function step(state, event) {
  if (event.turn !== undefined && event.turn !== state.turn) return [state, []];
  const busy = state.name !== "idle";
  switch (event.type) {
    case "send":
      return busy ? [state, []] : [{ name: "waiting", turn: state.turn + 1, problem: "" }, ["request"]];
    case "word":
      return state.name === "waiting" ? [{ ...state, name: "answering" }, []] : [state, []];
    case "stop":
      return busy ? [{ ...state, name: "idle", turn: state.turn + 1 }, ["abort"]] : [state, []];
    case "end":
      return busy ? [{ ...state, name: "idle" }, []] : [state, []];
    case "fail":
      return busy ? [{ ...state, name: "idle", problem: event.message }, []] : [state, []];
    default:
      throw new Error(`found the event ${event.type}, expected send, word, stop, end or fail`);
  }
}
