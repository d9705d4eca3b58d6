"""When does a turn end: `semantic_vad` (Smart Turn) beside a rule of silence, on 40 utterances.

    .venv/bin/python bench/turns.py            (after `fastembed pull smart-turn`)

Twenty sentences, read (LibriVox) or spoken by flite, each whole, and cut behind a word in its middle, as if the speaker
thought there. A rule of silence cannot tell them apart: it breaks into every cut one whose pause is longer, and lets
every whole one wait as long.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from fastembed.inference.engines.speech.engine import SpeechRequest
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.engines.turns import TurnModel

ASSETS = Path(__file__).parents[1] / "tests" / "assets"
RATE_HZ = 16_000
SAID = (
    "Please send me the invoice before the end of the month.",
    "I would like to book a table for four people tomorrow evening.",
    "The train to Hamburg leaves at seven from platform nine.",
    "My phone number is in the letter that I sent you yesterday.",
    "Could you tell me when the library opens on Saturday?",
    "We moved the meeting because the room was too small.",
    "She put the keys on the shelf behind the kitchen door.",
    "If it rains in the morning we will stay at home.",
    "He told me that the order had been shipped on Monday.",
    "The doctor said that I should drink more water.",
    "There is a parcel for you at the front desk.",
    "Turn off the lights before you leave the office.",
    "They are looking for somebody who can speak French.",
    "The second chapter explains how the engine works.",
)
ASKED_S = 0.2  # of silence, when the question is asked


def read(path: Path) -> np.ndarray:
    """Return a file at 16 kHz, float32."""
    with av.open(str(path)) as media:
        resampler = av.AudioResampler("flt", "mono", RATE_HZ)
        frames = [out for frame in media.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def sentences() -> Iterator[tuple[str, np.ndarray]]:
    """Yield twenty, fewer without flite."""
    for path in sorted((ASSETS / "librivox").glob("*.flac")):
        yield path.stem, read(path)
    yield "committee", read(ASSETS / "audio" / "committee.wav")
    if shutil.which("flite") is None:
        print("flite is not installed: fewer sentences")
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(SAID):
            file = Path(folder) / "said.wav"
            voice = ("slt", "rms", "awb")[number % 3]
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(file)], check=True)
            with wave.open(str(file)):
                yield f"{voice} {number}", read(file)


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Return the samples without the silence behind them."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[: loud[-1] + 1]


def main() -> None:
    """Print one line a rule."""
    engine = WhisperEngine(Path(__file__).parents[1] / "models" / "whisper-base")
    writer = engine.load()
    model = TurnModel()
    pause = np.zeros(int(ASKED_S * RATE_HZ), np.float32)
    whole, cut, took = [], [], []
    for name, samples in sentences():
        spoken = trimmed(samples)
        (heard,) = writer.write(0, [SpeechRequest(spoken, "en")], [threading.Event()])
        if heard is None or len(heard.words) < 4:
            continue
        middle = heard.words[len(heard.words) // 2].end_s
        for found, samples_so_far in ((whole, spoken), (cut, spoken[: int(middle * RATE_HZ)])):
            began = time.process_time()
            found.append(model.finished(np.concatenate([samples_so_far, pause])))
            took.append(time.process_time() - began)
        print(f"{name:12} whole {whole[-1]:.2f}   cut behind {heard.words[len(heard.words) // 2].text!r} {cut[-1]:.2f}")
    print(f"{len(whole) + len(cut)} utterances, {1e3 * float(np.median(took)):.0f} ms of processor each")
    for eagerness, sure in (("low", 0.9), ("medium, auto", 0.7), ("high", 0.5)):
        at_once = sum(found >= sure for found in whole)
        broken = sum(found >= sure for found in cut)
        print(
            f"semantic_vad {eagerness:12} {at_once} of {len(whole)} ends answered after 0.3 s, "
            f"{broken} of {len(cut)} pauses broken into"
        )
    print(f"server_vad, 0.5 s: 0 of {len(whole)} ends answered after 0.3 s, all pauses of 1 s broken into")


if __name__ == "__main__":
    main()
