"""Realtime speech on this machine: `python bench/speech.py`. Times are of this process unless said otherwise.

Sessions a core: how many live sessions one core carries through decode and voice activity detection, by the input's
format. Latency: from the detected end of a sentence, sent in real time, to its transcript; from a word's end to its
delta.
"""

import argparse
import asyncio
import os
import sys
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import numpy as np

from fastembed.inference.engines.speech.resample import Resampler
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.decode import Decode
from fastembed.operators.transcribe import Transcribe
from fastembed.operators.vad import Vad
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.payload.audio import (
    AudioBytes,
    SpeechSettings,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
    Utterance,
)

ASSETS = Path(__file__).parents[1] / "tests" / "assets" / "audio"
CONTEXT = Context("bench", "", "", Path())


def recording() -> np.ndarray:
    """Return int16 [n] at 16 kHz."""
    with wave.open(str(ASSETS / "two-sentences.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def item(value: object) -> Item:
    """Make an item that nobody waits for."""
    made = Item(value, key="bench")
    made.ack = Ack(made, lambda _: None)
    return made


async def stream(settings: SpeechSettings, data: bytes, size: int, period_s: float = 0.0) -> AsyncIterator[Item]:
    """Yield the messages of a session, in real time where a period is given."""
    yield item(settings)
    began = time.perf_counter()
    for number, at in enumerate(range(0, len(data), size)):
        if period_s:
            await asyncio.sleep(max(0.0, began + number * period_s - time.perf_counter()))
        yield item(AudioBytes(data[at : at + size], sniff=settings.format == "webm"))


async def cost(settings: SpeechSettings, data: bytes, size: int, seconds: float) -> float:
    """Return CPU seconds of this process for a second of audio through decode and vad."""
    vad = Vad(partial=0)
    await vad.open(CONTEXT)
    found = []
    for _ in range(5):
        began = time.process_time()
        async for _out in vad(Decode()(stream(settings, data, size))):
            pass
        found.append((time.process_time() - began) / seconds)
    return min(found)


async def sessions(spoken: np.ndarray) -> None:
    """Print how many sessions a core carries."""
    seconds = len(spoken) / 16_000
    floats = spoken.astype(np.float32) / 32_768
    upsampled = (Resampler(16_000, 24_000).push(floats) * 32_767).astype("<i2").tobytes()
    wide = (Resampler(16_000, 48_000).push(floats) * 32_767).astype("<i2").tobytes()
    narrow = np.full(int(seconds * 8_000), 0x7F, np.uint8).tobytes()
    cases = [
        ("PCM 16 kHz, 20 ms messages", SpeechSettings(rate_hz=16_000), spoken.tobytes(), 640),
        ("PCM 24 kHz, 20 ms messages", SpeechSettings(rate_hz=24_000), upsampled, 960),
        ("PCM 24 kHz, 100 ms messages", SpeechSettings(rate_hz=24_000), upsampled, 4_800),
        ("PCM 48 kHz, 100 ms messages", SpeechSettings(rate_hz=48_000), wide, 9_600),
        ("G.711 mu-law, 20 ms messages", SpeechSettings(format="pcmu"), narrow, 160),
        (
            "webm/opus, 100 ms messages",
            SpeechSettings(format="webm"),
            (ASSETS / "two-sentences.webm").read_bytes(),
            300,
        ),
    ]
    print(f"{'decode + voice activity detection':38} {'ms CPU a second':>16} {'sessions a core':>16}")
    for name, settings, data, size in cases:
        used = await cost(settings, data, size, seconds)
        print(f"{name:38} {used * 1e3:16.2f} {1 / used:16.0f}")


async def latency(spoken: np.ndarray, model: str) -> None:
    """Print how long after the speech its words are there."""
    engines = SpeechEngines()
    vad, step = Vad(), Transcribe(model=model)
    context = Context("bench", "", "", Path(), resources=Resources(engines))
    await vad.open(context)
    await step.open(context)
    events: asyncio.Queue[tuple[float, Item]] = asyncio.Queue()
    data, began = spoken.tobytes(), time.perf_counter()

    async def listen() -> None:
        async for out in vad(Decode()(stream(SpeechSettings(rate_hz=16_000), data, 640, 0.02))):
            events.put_nowait((time.perf_counter() - began, out))
        events.put_nowait((0.0, item(None)))

    listening = asyncio.create_task(listen())
    stopped, finals, words = 0.0, [], []
    while True:
        _, heard = await events.get()
        if heard.value is None:
            break
        if isinstance(heard.value, Utterance) and not heard.value.final and not events.empty():
            continue  # as `latest` does
        async for said in step(heard):
            now = time.perf_counter() - began
            if isinstance(said, SpeechStopped):
                stopped = now
            elif isinstance(said, TranscriptDelta):
                words.append((said.utterance_id, len(said.text.split()), now))
            elif isinstance(said, Transcript):
                finals.append(now - stopped)
                report_words(said, words)
    await listening
    await engines.close()
    print(f"{engines_label(model):38} final {median(finals) * 1e3:6.0f} ms after the end of speech was detected")


DELAYS: list[float] = []


def report_words(said: Transcript, deltas: list[tuple[str, int, float]]) -> None:
    """Note how long after its end each word was published."""
    published = [now for utterance_id, count, now in deltas if utterance_id == said.utterance_id for _ in range(count)]
    DELAYS.extend(now - word.end_ms / 1e3 for now, word in zip(published, said.words, strict=False))


def engines_label(model: str) -> str:
    """Name the row."""
    return f"latency, {model}"


async def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="whisper-base", help="a transcription model (default: %(default)s)")
    arguments = parser.parse_args()
    spoken = recording()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    await sessions(spoken)
    await latency(spoken, arguments.model)
    if DELAYS:
        typical, worst = median(DELAYS) * 1e3, max(DELAYS) * 1e3
        print(f"{'':38} words {typical:6.0f} ms after they were said, {worst:.0f} at worst")


if __name__ == "__main__":
    asyncio.run(main())
