"""Live speech in simulated time, for machines that are never idle: what the engine would do if its cores were its own.

    .venv/bin/python bench/speech_virtual.py [--sessions 1 4 8 16]

The real detector, operator, queue and model run in an event loop whose clock stands still while they work: a pass
takes, in simulated seconds, the processor time that it used. So the order of things, their batches and their words are
the real ones, and latencies are those of cores that nothing else uses (a busy machine's caches make passes dearer).
What is left out: the socket, decoding and resampling (2 ms a second of speech).
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from speech_sessions import READ, Session, at, errors, sentence, words

from fastembed.inference.engines.speech import whisper
from fastembed.inference.engines.speech.resample import Resampler
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.transcribe import Transcribe
from fastembed.operators.vad import Vad
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.payload.audio import (
    AudioFrame,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
)

USED: Counter[str] = Counter()


class _Selector(selectors.SelectSelector):
    """Waits in no time."""

    def __init__(self, loop: Callable[[], SimulatedLoop]) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop().now_s += timeout or 0.0
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes by what is worked and waited."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Selector(lambda: self))

    def time(self) -> float:
        """Return the simulated time."""
        return self.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Work here and now; it is done as much later as it used the processor."""
        del executor
        done: asyncio.Future[Any] = self.create_future()
        began = time.process_time()
        result = func(*args)
        used_s = time.process_time() - began
        USED[getattr(func, "__name__", "")] += used_s
        self.call_later(used_s, lambda: done.done() or done.set_result(result))
        return done


def item(value: object, key: str) -> Item[Any]:
    """Make an item that nobody waits for."""
    made = Item(value, key=key)
    made.ack = Ack(made, lambda _: None)
    return made


async def spoken(samples: np.ndarray, key: str) -> AsyncIterator[Item[Any]]:
    """Yield a session in the time in which it is spoken."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    yield item(SpeechSettings(), key)
    for number, begin in enumerate(range(0, len(samples), 1_600), 1):
        await asyncio.sleep(began + number * 0.1 - loop.time())
        yield item(AudioFrame(samples[begin : begin + 1_600], 16_000), key)


async def call(vad: Vad, step: Transcribe, samples: np.ndarray, session: Session, number: int) -> None:
    """Let one speak, and take note of what it is told and when."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(number * 0.37)
    started: dict[str, float] = {}
    stopped: dict[str, float] = {}

    async def answer(heard: Item[Any]) -> None:
        async for event in step(heard):
            match event:
                case SpeechStarted():
                    started[event.utterance_id] = loop.time()
                case SpeechStopped():
                    stopped[event.utterance_id] = loop.time()
                case TranscriptDelta():
                    session.deltas += 1
                    if event.utterance_id in started:
                        session.first_s.append(loop.time() - started.pop(event.utterance_id))
                case Transcript():
                    session.final_s.append(loop.time() - stopped[event.utterance_id])
                    session.said.append(event.text)

    async with asyncio.TaskGroup() as tasks:
        async for heard in vad(spoken(samples, str(number))):
            tasks.create_task(answer(heard))


async def run(count: int, sentences: dict[str, np.ndarray], model: str) -> list[Session]:
    """Let so many speak at once."""
    engines = SpeechEngines()
    context = Context("bench", "", "", Path(), resources=Resources(engines))
    vad, step = Vad(), Transcribe(model=model)
    await vad.open(context)
    await step.open(context)
    names = list(READ)
    sessions = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            order = names[number % len(names) :] + names[: number % len(names)]
            samples = np.concatenate([*(sentences[name] for name in order), np.zeros(32_000, np.float32)])
            sessions.append(Session(" ".join(READ[name] for name in order)))
            tasks.create_task(call(vad, step, samples, sessions[-1], number))
    await engines.close()
    return sessions


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="Live speech without a break, in simulated time.")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--model", default="whisper-base")
    options = parser.parse_args()
    sentences = {}
    for name in READ:
        downward = Resampler(24_000, 16_000)
        wide = sentence(name)
        sentences[name] = np.concatenate([downward.push(wide), downward.flush()])
    seconds = sum(map(len, sentences.values())) / 16_000
    table = Table(title=f"{seconds:.1f} s without a break, simulated", title_justify="left", box=None, pad_edge=False)
    for column in ("sessions", "first p50", "p95", "final p50", "p95", "deltas", "errors", "WER", "CPU passes"):
        table.add_column(column, justify="right")
    for count in options.sessions:
        loop = SimulatedLoop()
        whisper.time = type("Clock", (), {"monotonic": staticmethod(loop.time)})  # type: ignore[attr-defined]
        USED.clear()
        sessions = loop.run_until_complete(run(count, sentences, options.model))
        first = [s for session in sessions for s in session.first_s]
        final = [s for session in sessions for s in session.final_s]
        wrong = sum(errors(session.text, " ".join(session.said)) for session in sessions)
        total = sum(len(words(session.text)) for session in sessions)
        table.add_row(
            str(count),
            *(f"{value:.2f}" for value in (at(first, 0.5), at(first, 0.95), at(final, 0.5), at(final, 0.95))),
            f"{sum(session.deltas for session in sessions) / count:.0f}",
            str(wrong),
            f"{wrong / total:.1%}",
            f"{USED['_write'] / count / seconds:.3f}",
        )
        for session in sessions:
            if errors(session.text, " ".join(session.said)):
                print(count, "|", " / ".join(session.said))
    Console().print(table)


if __name__ == "__main__":
    main()
