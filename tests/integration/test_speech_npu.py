"""Whisper on the NPU's own code path (NPUW), which here computes on the CPU."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from fastembed.inference.engines.sanity import is_garbled_speech
from fastembed.inference.engines.speech.engine import SpeechRequest
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.tasks import TASKS, LoadRequest
from fastembed.pipeline.errors import InvalidInput
from tests.integration.recordings import LIGHT, samples

FOLDER = Path(__file__).parents[2] / "models" / "whisper-pocket"
NPUW = {
    "NPU_USE_NPUW": "YES",
    "NPUW_DEVICES": "CPU",
    "NPUW_ONLINE_PIPELINE": "NONE",
    "INFERENCE_PRECISION_HINT": "f32",  # in bf16 this emulation writes nothing, or marks
}


async def test_a_language_that_is_not_named_is_told_apart_call_after_call() -> None:
    engine = WhisperEngine(FOLDER, devices=["NPU"], properties=NPUW)
    heard = [
        await engine.transcribe(SpeechRequest(samples(name)))
        for name in ("red-light.wav", "drei-vier-fuenf.wav", "red-light.wav")
    ]
    assert [found and found.language for found in heard] == ["en", "de", "en"]
    assert [found and found.text for found in heard] == [LIGHT, "drei vier f\u00fcnf", LIGHT]
    assert engine.device == "NPU"
    await engine.close()


async def test_a_model_without_alignment_heads_refuses_prompts_there(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "w")
    file = tmp_path / "w" / "generation_config.json"
    file.write_text(file.read_text().replace('"alignment_heads"', '"other_heads"'))
    engine = WhisperEngine(tmp_path / "w", devices=["NPU"], properties=NPUW)
    request = SpeechRequest(samples("red-light.wav"), "en", prompt="lights")
    try:
        with pytest.raises(InvalidInput, match="has no alignment heads"):
            await engine.transcribe(request)
    finally:
        await engine.close()


@pytest.mark.parametrize("text", ["!!!!", "! ! ! !", "......"])
def test_marks_over_and_over_are_no_words(text: str) -> None:
    assert is_garbled_speech(text)


@pytest.mark.parametrize("text", ["?", "\u266a\u266a\u266a\u266a", "aaaa", "", "Wait!!!!"])
def test_songs_and_exclamations_are_no_garble(text: str) -> None:
    assert not is_garbled_speech(text)


def test_the_devices_properties_and_their_cache_reach_whisper(tmp_path: Path) -> None:
    devices = Devices(cache=tmp_path / "compiled")
    kind = TASKS.get("transcription")
    assert kind.load
    for _ in range(2):
        loaded = kind.load(LoadRequest("whisper-pocket", kind, FOLDER, "CPU", devices))
        assert isinstance(loaded, WhisperEngine)
        (heard,) = loaded.load().write(0, [SpeechRequest(samples("red-light.wav"))], [threading.Event()])
        assert heard
        assert heard.text == LIGHT
    assert list((tmp_path / "compiled").rglob("*.blob"))
