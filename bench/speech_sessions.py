"""Live speech without a break over the realtime socket: when words come, what they cost, and whether they are right.

    .venv/bin/python bench/speech_sessions.py [--sessions 1 4 8] [--peer-file]

Starts the real server; each session is a websocket of one event loop here that sends 25 s of read speech (LibriVox,
in an order of its own) as fast as it was read, begun 0.37 s after the last. First words: from `speech_started` to the
first delta. Final: from `speech_stopped` to `completed`. CPU: processor seconds of the server for a second of speech,
which a busy machine does not change much; latencies need an idle one. WER: against the text, beside the same sounds as
files.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from rich.console import Console
from rich.table import Table
from sessions import processor_s
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from fastembed.demo_server import DemoServer
from fastembed.inference.engines.speech.resample import Resampler

LIBRIVOX = Path(__file__).parents[1] / "tests" / "assets" / "librivox"
READ = {
    "0870": "and mister john dashwood had then leisure to consider how much there might be prudently in his power "
    "to do for them",
    "0880": "he was not an ill disposed young man",
    "0890": "unless to be rather cold hearted and rather selfish is to be ill disposed",
    "0920": "had he married a more amiable woman he might have been made still more respectable than he was",
    "0930": "he might even have been made amiable himself",
}
RATE_HZ = 24_000
CHUNK = RATE_HZ // 10
APART_S = 0.37
PAUSE_S = 2.0


@dataclass(slots=True)
class Session:
    """What one session was told, and when. refused: why it was not let in."""

    text: str
    first_s: list[float] = field(default_factory=list)
    final_s: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    deltas: int = 0
    dropped: int = 0
    refused: str = ""


def sentence(name: str) -> np.ndarray:
    """Return a sentence at 24 kHz, float32."""
    with av.open(str(LIBRIVOX / f"{name}.flac")) as media:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        frames = [out for frame in media.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    upward = Resampler(16_000, RATE_HZ)
    return np.concatenate([upward.push(samples), upward.flush()])


def spoken(order: Sequence[str], sentences: dict[str, np.ndarray]) -> bytes:
    """Return sentences one after the other as 16-bit PCM."""
    return (np.concatenate([sentences[name] for name in order]) * 32_767).astype("<i2").tobytes()


async def speak(socket: ClientConnection, pcm: bytes) -> None:
    """Send the speech and a pause behind it, each tenth of a second when it was said."""
    sound = pcm + bytes(int(PAUSE_S * RATE_HZ) * 2)
    began = time.perf_counter()
    for number, at in enumerate(range(0, len(sound), CHUNK * 2), 1):
        await asyncio.sleep(max(0.0, began + number * 0.1 - time.perf_counter()))
        audio = base64.b64encode(sound[at : at + CHUNK * 2]).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


async def listen(socket: ClientConnection, session: Session, spoken_out: asyncio.Event) -> None:
    """Take note of the events until all that was said is written down."""
    started: dict[str, float] = {}
    stopped: dict[str, float] = {}
    while not (spoken_out.is_set() and session.said and not started and not stopped):
        try:
            event = json.loads(await asyncio.wait_for(socket.recv(), 0.2))
        except TimeoutError:
            continue
        now, item = time.perf_counter(), event.get("item_id", "")
        match event["type"].rpartition(".")[2]:
            case "speech_started":
                started[item] = now
            case "speech_stopped":
                stopped[item] = now
            case "delta":
                session.deltas += 1
                if item in started:
                    session.first_s.append(now - started.pop(item))
            case "completed":
                session.final_s.append(now - stopped.pop(item, now))
                session.said.append(event["transcript"])
            case "error":
                session.dropped += event["error"].get("code") == "audio_dropped"


async def call(url: str, pcm: bytes, text: str, wait_s: float) -> Session:
    """Speak and listen."""
    session, spoken_out = Session(text), asyncio.Event()
    await asyncio.sleep(wait_s)
    try:
        async with connect(url, max_size=None) as socket:
            sound = {"input": {"format": {"type": "audio/pcm", "rate": RATE_HZ}}}
            await socket.send(
                json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": sound}})
            )
            listening = asyncio.create_task(listen(socket, session, spoken_out))
            await speak(socket, pcm)
            spoken_out.set()
            await listening
    except InvalidStatus as error:
        session.refused = f"{error.response.status_code}, {error.response.headers.get('retry-after')} s"
    return session


def errors(expected: str, found: str) -> int:
    """Return how many words must be changed, added or removed (Levenshtein)."""
    said, heard = words(expected), words(found)
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def words(text: str) -> list[str]:
    """Return what was said, without case and marks."""
    plain = text.lower().replace("mr.", "mister").replace("-", " ")
    return re.sub(r"[^\w' ]", " ", plain).split()


def at(values: list[float], share: float) -> float:
    """Return a quantile: of few values the next higher one."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


async def run(url: str, count: int, sentences: dict[str, np.ndarray]) -> list[Session]:
    """Let so many speak at once."""
    names = list(READ)
    calls = []
    for number in range(count):
        order = names[number % len(names) :] + names[: number % len(names)]
        text = " ".join(READ[name] for name in order)
        calls.append(call(url, spoken(order, sentences), text, number * APART_S))
    return list(await asyncio.gather(*calls))


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="Live speech without a break: latency, cost, errors.")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4, 8], help="sessions at once (default 1 4 8)")
    options = parser.parse_args()
    sentences = {name: sentence(name) for name in READ}
    seconds = sum(map(len, sentences.values())) / RATE_HZ
    table = Table(title=f"{seconds:.1f} s without a break", title_justify="left", box=None, pad_edge=False)
    columns = ("sessions", "first words p50", "p95", "final p50", "p95", "deltas", "dropped", "refused", "WER", "CPU")
    for column in columns:
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder, DemoServer(Path(folder), 0) as server:
        for count in options.sessions:
            before = processor_s(server.pid)
            sessions = asyncio.run(run(server.websocket_url, count, sentences))
            used_s = processor_s(server.pid) - before
            heard = [session for session in sessions if not session.refused]
            first = [s for session in heard for s in session.first_s]
            final = [s for session in heard for s in session.final_s]
            wrong = sum(errors(session.text, " ".join(session.said)) for session in heard)
            total = sum(len(words(session.text)) for session in heard)
            table.add_row(
                str(count),
                *(f"{value:.2f}" for value in (at(first, 0.5), at(first, 0.95), at(final, 0.5), at(final, 0.95))),
                f"{sum(session.deltas for session in heard) / len(heard):.0f}",
                str(sum(session.dropped for session in heard)),
                str(count - len(heard)),
                f"{wrong / total:.1%}",
                f"{used_s / (len(heard) * seconds):.3f}",
            )
            for session in sessions:
                if session.refused:
                    print(f"refused: {session.refused}")
    Console().print(table)


if __name__ == "__main__":
    main()
