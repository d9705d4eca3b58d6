// The shell around the states of captions: the microphone, the socket and the timers do what the states order.

import { Refused, ask, socket } from "./api.js";
import { OFF, step } from "./captions-states.js";

const RATE = 24000;
const PIECE_S = 0.1;
const KEPT_PIECES = 50; // 5 s: more of them the server would drop, too
const MOST_UNSENT_BYTES = 512 * 1024; // some 8 s of sound as base64
const STEADY_MS = 5000;
const LAST_WORDS_MS = 10000;
const QUIET_MS = 1500;

function base64(buffer) {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}

const append = (pcm) => JSON.stringify({ type: "input_audio_buffer.append", audio: base64(pcm) });

const SETTINGS = JSON.stringify({
  type: "session.update",
  session: {
    type: "transcription",
    audio: { input: { format: { type: "audio/pcm", rate: RATE }, transcription: { model: "auto" }, turn_detection: { type: "server_vad" } } },
  },
});

// Says why a socket was refused: a browser shows no status of a websocket.
async function reasonOf(code, reason) {
  if (code === 1008) return { why: "slow", message: reason };
  try {
    await ask("/v1/models");
    const { status } = await (await fetch("/readyz")).json();
    if (status === "starting") return { why: "starting" };
    const { data } = await ask("/v1/pipelines").catch((problem) => {
      if (problem instanceof Refused && problem.status === 403) return { data: null };
      throw problem;
    });
    if (data && !data.some((pipeline) => pipeline.source === "websocket /v1/realtime")) return { why: "absent" };
    return { why: "busy" };
  } catch (problem) {
    return { why: problem instanceof Refused && problem.status === 401 ? "key" : "network" };
  }
}

// changed(state), heard(event, wallOf), level(0 to 1). wallOf: milliseconds of the stream to seconds since the start.
export class Listening {
  constructor({ changed, heard, level, pending }) {
    Object.assign(this, { changed, heard, level, pending });
    this.state = OFF;
    this.microphone = null;
    this.connection = null;
    this.kept = [];
    this.began_ms = 0;
    this.wall_ms = 0; // when the stream of the socket now open had its beginning
    window.addEventListener("offline", () => this.do({ type: "lost", why: "network", turn: this.state.turn }));
    window.addEventListener("pagehide", () => this.close());
  }

  press() {
    if (this.state.name === "off" && !this.began_ms) this.began_ms = performance.now();
    this.do({ type: "press" });
  }

  clear() {
    this.began_ms = this.state.name === "off" ? 0 : performance.now();
  }

  do(event) {
    const [next, orders] = step(this.state, event);
    const before = this.state;
    this.state = next;
    for (const order of orders) {
      const [name, value] = Array.isArray(order) ? order : [order];
      this[name](value, event);
    }
    if (before !== next) this.changed(next);
  }

  async open_microphone() {
    const turn = this.state.turn;
    if (!navigator.mediaDevices) {
      this.do({ type: "refused", reason: "insecure", turn });
      return;
    }
    let media = null;
    let audio = null;
    try {
      media = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true } });
      audio = new AudioContext({ sampleRate: RATE });
      await audio.audioWorklet.addModule("/page/pcm-worklet.js");
      this.do({ type: "granted", microphone: { media, audio }, turn });
    } catch (problem) {
      this.release(null, { microphone: { media, audio } });
      this.do({ type: "refused", reason: problem.name, message: problem.message, turn });
    }
  }

  keep_microphone(_, { microphone }) {
    this.microphone = microphone;
    const { media, audio } = microphone;
    const turn = this.state.turn;
    const worklet = new AudioWorkletNode(audio, "pcm");
    worklet.port.onmessage = ({ data }) => this.sound(data);
    audio.createMediaStreamSource(media).connect(worklet);
    for (const track of media.getTracks()) track.onended = () => this.do({ type: "unplugged", turn });
  }

  release(_, { microphone }) {
    microphone?.media?.getTracks().forEach((track) => track.stop());
    microphone?.audio?.close();
  }

  close_microphone() {
    this.release(null, this);
    this.microphone = null;
    this.kept = [];
    this.level(0);
  }

  sound({ pcm, peak }) {
    if (!this.microphone) return;
    this.level(peak);
    this.kept.push(pcm);
    if (this.kept.length > KEPT_PIECES) this.kept.shift();
    if (!this.ready()) return;
    if (this.connection.bufferedAmount > MOST_UNSENT_BYTES) {
      this.do({ type: "lost", why: "slow", turn: this.state.turn });
      return;
    }
    const late_s = (this.kept.length - 1) * PIECE_S;
    if (!this.sent) this.wall_ms = performance.now() - 1000 * (late_s + PIECE_S);
    for (const piece of this.kept.splice(0)) this.connection.send(append(piece));
    this.sent = true;
  }

  ready() {
    const { name } = this.state;
    return (name === "listening" || name === "hearing") && this.connection?.readyState === WebSocket.OPEN;
  }

  connect() {
    const turn = this.state.turn;
    const connection = (this.connection = socket("/v1/realtime?intent=transcription"));
    const mine = (event) => this.connection === connection && this.do({ ...event, turn });
    this.sent = false;
    connection.onopen = () => connection.send(SETTINGS);
    connection.onmessage = ({ data }) => this.connection === connection && this.take(JSON.parse(data), turn);
    connection.onclose = async ({ code, reason }) => {
      if (this.connection === connection) mine({ type: "lost", ...(await reasonOf(code, reason)) });
    };
    setTimeout(() => mine({ type: "steady" }), STEADY_MS);
  }

  take(event, turn) {
    const kind = event.type.replace("conversation.item.input_audio_transcription.", "transcription.");
    if (kind === "session.updated") this.do({ type: "opened", turn });
    else if (kind === "input_audio_buffer.speech_started") this.do({ type: "speech_started", turn });
    else if (kind === "input_audio_buffer.speech_stopped") this.do({ type: "speech_stopped", turn });
    else if (kind === "fastembed.notice") this.do({ type: "notice", message: event.message, turn });
    else if (kind === "error") this.do({ type: "notice", message: event.error.message, turn });
    this.heard({ ...event, kind }, (ms) => (this.wall_ms + ms - this.began_ms) / 1000);
  }

  retry_in(wait_ms) {
    const turn = this.state.turn;
    setTimeout(() => this.do({ type: "retry", turn }), wait_ms);
  }

  // A second of silence ends what is being said; its words are waited for before the connection closes.
  finish() {
    const { connection } = this;
    const turn = this.state.turn;
    if (connection?.readyState !== WebSocket.OPEN) {
      this.do({ type: "settled", turn });
      return;
    }
    connection.send(append(new ArrayBuffer(2 * RATE)));
    const asked_ms = performance.now();
    const timer = setInterval(() => {
      const waited_ms = performance.now() - asked_ms;
      if (waited_ms < LAST_WORDS_MS && (waited_ms < QUIET_MS || this.pending())) return;
      clearInterval(timer);
      this.do({ type: "settled", turn });
    }, 100);
  }

  close_socket() {
    const { connection } = this;
    this.connection = null;
    if (connection) connection.close(1000);
    this.heard({ kind: "closed" }, () => 0);
  }

  close() {
    if (this.state.name === "finishing") this.do({ type: "settled" });
    else if (this.state.name !== "off") this.do({ type: "press" });
    if (this.state.name === "finishing") this.do({ type: "settled" });
  }
}
