"""The page at `/`, as a browser shows it. Left out, and said so, where there is no chromium (`tests/conftest.py`)."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import numpy as np

from fastembed.inference.engines.speech.resample import Resampler
from tests.e2e.browser import browsing, find_browser
from tests.e2e.serving import serving
from tests.integration.recordings import samples, wrong_words

MICROPHONE_HZ = 48_000
QUIET = np.zeros(3 * MICROPHONE_HZ, np.float32)  # the page must be listening when the first word comes
PIPELINES = """
version: 1
pipelines:
  transcription:
    source: {websocket: /v1/realtime, queue: 5s, overflow: drop_oldest}
    operators:
      - decode: {rate: 16000}
      - vad: {silence: 500ms}
      - transcribe: {model: whisper-pocket}
        order: none
        latest: not item.final
    sink: reply
"""
SPEAK = """
new Promise((resolve, reject) => {
  const look = () => {
    const problem = document.querySelector(".problem");
    const done = [...document.querySelectorAll("#words p:not(.open)")].filter((line) => line.textContent);
    if (problem) reject(new Error(problem.textContent));
    else if (done.length) resolve(done.map((line) => line.textContent));
  };
  const changes = { subtree: true, childList: true, attributes: true, characterData: true };
  new MutationObserver(look).observe(document.body, changes);
  document.getElementById("speak").click();
})
"""


def record(file: Path, name: str) -> None:
    """Write one of the tests' recordings as a microphone would hear it: between two silences."""
    resampler = Resampler(16_000, MICROPHONE_HZ)
    spoken = np.concatenate([QUIET, resampler.push(samples(name)), resampler.flush(), QUIET])
    with wave.open(str(file), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(MICROPHONE_HZ)
        recording.writeframes((spoken * 32_767).astype("<i2").tobytes())


async def test_the_words_said_into_a_browsers_microphone_appear_on_the_page(tmp_path: Path) -> None:
    program = find_browser()
    assert program is not None
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    record(tmp_path / "microphone.wav", "red-light.wav")
    with serving(tmp_path) as server:
        async with browsing(program, tmp_path / "browser", tmp_path / "microphone.wav") as page, asyncio.timeout(60):
            await page.open(server.url)
            words = await page.run(SPEAK)
            listed = await page.run("document.getElementById('pipelines').innerText")
    # In real time on a busy machine the browser loses samples: the exact words are the integration tests' business.
    assert wrong_words("turn on the red light please", " ".join(words)) <= 1, words
    assert "transcription" in listed
    assert "websocket /v1/realtime" in listed
