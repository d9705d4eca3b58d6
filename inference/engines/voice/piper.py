"""Piper voices (VITS) on plain OpenVINO: the small, fast ones; the program espeak-ng gives them phonemes.

A folder holds a voice's `NAME.onnx` and `NAME.onnx.json`. f32 is asked for by name: in bf16, the default of some CPUs,
one call in fifteen raised ("overflow while converting elements", OpenVINO 2026.4).
Source: github.com/rhasspy/piper (MIT).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.voice.engine import OPENAI_VOICES, VoiceList
from fastembed.inference.engines.voice.english import in_words
from fastembed.pipeline.errors import ModelNotFound, Unavailable

PROGRAM: Final = "espeak-ng"
CONFIG: Final = ".onnx.json"
_BEGIN, _BETWEEN, _END = "^", "_", "$"
_CLAUSES: Final = re.compile(r"([,;:.!?…—]+)(?=\s|$)")
_PATIENCE_S: Final = 20
_DROPPED: Final = str.maketrans({"\u200d": None, "_": None, "\n": " "})


def model_of(folder: Path) -> Path | None:
    """Return a voice's ONNX file, if the folder holds one with its description."""
    found = sorted(folder.glob(f"*{CONFIG}"))
    file = found[0].with_suffix("") if found else None
    return file if file is not None and file.is_file() else None


def voices_of(folder: Path) -> VoiceList:
    """Return the one voice of a folder, which answers to all of OpenAI's names."""
    file = model_of(folder)
    if file is None:
        return VoiceList((), "")
    name = str(_description(file).get("dataset") or file.stem)
    return VoiceList((name,), name, {**dict.fromkeys(OPENAI_VOICES, name), file.stem.casefold(): name})


class PiperEngine:
    """The voice of one folder; not safe for use by several threads at a time."""

    def __init__(self, folder: Path, device: str, properties: Mapping[str, Any]) -> None:
        """Load and compile. ModelNotFound: no voice of one speaker is there. Unavailable: no espeak-ng is here."""
        import openvino

        file = model_of(folder)
        if file is None:
            raise ModelNotFound(f"found no *{CONFIG} beside its *.onnx in {folder}, expected a Piper voice")
        self._program = shutil.which(PROGRAM) or ""
        if not self._program:
            raise Unavailable(f"found no program {PROGRAM}, which Piper's voices need: install it, or use kokoro")
        described = _description(file)
        self.rate_hz: int = described["audio"]["sample_rate"]
        self._ids: Mapping[str, list[int]] = described["phoneme_id_map"]
        self._language: str = described["espeak"]["voice"]
        settings = described.get("inference", {})
        self._noise = float(settings.get("noise_scale", 0.667))
        self._pace = float(settings.get("length_scale", 1.0))
        self._variation = float(settings.get("noise_w", 0.8))
        if described.get("num_speakers", 1) > 1:
            raise ModelNotFound(f"found {described['num_speakers']} speakers in {file.name}, expected one")
        self._model = openvino.Core().compile_model(file, device, {**properties, "INFERENCE_PRECISION_HINT": "f32"})

    def speak(self, text: str, voice: str, speed: float) -> NDArray[np.float32]:
        """Return the sound of a sentence."""
        del voice  # it has one
        phonemes = self._phonemes(in_words(text, self._language) if self._language.startswith("en") else text)
        if not phonemes:
            return np.zeros(0, np.float32)
        ids = self._ids[_BEGIN] + self._ids[_BETWEEN]
        for phoneme in phonemes:
            if phoneme in self._ids:
                ids = ids + self._ids[phoneme] + self._ids[_BETWEEN]
        ids = ids + self._ids[_END]
        scales = np.array([self._noise, self._pace / speed, self._variation], np.float32)
        found = self._model({0: np.array([ids], np.int64), 1: np.array([len(ids)], np.int64), 2: scales})
        return np.array(found[0], np.float32).reshape(-1)

    def _phonemes(self, text: str) -> str:
        """Return the text in IPA. espeak-ng drops punctuation, which the voice needs: it is kept from the text."""
        said = ""
        for part in _CLAUSES.split(text):
            if re.search(r"\w", part):
                said += f" {self._sounded(part.strip())}"
            elif part.strip():
                said += part.strip()[0]
        return said.strip() if re.search(r"\w", said) else ""

    def _sounded(self, clause: str) -> str:
        command = [self._program, "-v", self._language, "-q", "--ipa=3", "-b", "1", "--stdin"]
        try:
            ended = subprocess.run(  # noqa: S603 - a program found by its name, fixed words
                command, input=clause.encode(), capture_output=True, check=True, timeout=_PATIENCE_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"{PROGRAM} failed ({error})") from error
        return " ".join(ended.stdout.decode("utf-8", "replace").translate(_DROPPED).split())


def _description(file: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(file.with_name(f"{file.name}.json").read_text(encoding="utf-8"))
    return described
