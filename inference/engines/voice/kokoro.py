"""Kokoro-82M on OpenVINO GenAI: text in, speech of 24 kHz out; its grapheme-to-phoneme rules (misaki) are in GenAI.

A folder holds `openvino_model.xml`, `config.json` (model_type kokoro), the dictionaries in `data/` and one file a voice
in `voices/`: float32 [510, 1, 256], a style for each number of phonemes. Words that the dictionaries lack are sounded
out by libespeak-ng, where it is installed; without it GenAI leaves them out without a word, so they are spelled here.
Source: huggingface.co/hexgrad/Kokoro-82M (Apache-2.0).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.voice.engine import VoiceList
from fastembed.inference.engines.voice.english import in_words
from fastembed.pipeline.errors import InvalidInput, ModelNotFound

RATE_HZ: Final = 24_000
VOICES: Final = "voices"
_DEFAULT: Final = "af_heart"
_STYLES: Final = (510, 1, 256)
_LANGUAGES: Final[Mapping[str, str]] = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "p": "pt-br",
}
"""By a voice's first letter. The voices of others (j, z) are not read: GenAI knows no phonemes of theirs."""
_ALIASES: Final[Mapping[str, str]] = {
    "alloy": "af_alloy",
    "ash": "am_fenrir",
    "ballad": "bm_george",
    "cedar": "am_michael",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "bf_emma",
    "shimmer": "af_sarah",
    "verse": "am_puck",
}
_ESPEAK: Final = ("libespeak-ng.so.1", "libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll", "libespeak-ng.dll")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ENDINGS: Final = ("'s", "’s", "s", "es", "ed", "d", "ing", "ly", "er", "r")
_LETTERS: Final = 3
"""Shorter words that no dictionary has are names in capitals, which are spelled anyway."""


def voices_of(folder: Path) -> VoiceList:
    """Return the voices of a folder."""
    names = tuple(sorted(file.stem for file in (folder / VOICES).glob("*.bin") if file.stem[:1] in _LANGUAGES))
    default = _DEFAULT if _DEFAULT in names else next(iter(names), "")
    return VoiceList(names, default, {alias: name for alias, name in _ALIASES.items() if name in names})


def has_espeak(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the library that sounds out unknown words, and all of other languages, can be loaded."""
    for name in filter(None, (environ.get("MISAKI_ESPEAK_LIBRARY"), *_ESPEAK)):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


class KokoroEngine:
    """The pipeline of one folder; not safe for use by several threads at a time."""

    rate_hz: Final = RATE_HZ

    def __init__(self, folder: Path, device: str, properties: Mapping[str, Any]) -> None:
        """Load and compile: seconds, during which GenAI holds the interpreter's lock. ModelNotFound: no voices."""
        import openvino_genai

        self._folder = folder
        if not voices_of(folder).names:
            raise ModelNotFound(f"found no voices in {folder / VOICES}, expected files such as {_DEFAULT}.bin")
        # bf16, the default where a CPU computes in it, takes two thirds of f32's time, and the same words are heard
        self._pipeline = openvino_genai.Text2SpeechPipeline(folder, device, **properties)
        self._style = lru_cache(maxsize=16)(self._read_style)
        self._speller = None if has_espeak() else Speller(folder / "data")

    def speak(self, text: str, voice: str, speed: float) -> NDArray[np.float32]:
        """Return the sound of a sentence. InvalidInput: the voice's language needs what this machine lacks."""
        language = _LANGUAGES[voice[:1]]
        if self._speller is not None and not language.startswith("en"):
            raise InvalidInput(
                f"voice: {voice} speaks {language}, which needs the library espeak-ng on the server: install it, "
                "or choose an English voice",
                param="voice",
            )
        if language.startswith("en"):
            text = in_words(text, language)
        if self._speller is not None:
            text = self._speller.spelled(text, language)
        found = self._pipeline.generate(text, self._style(voice), language=language, speed=speed)
        pieces = [np.array(speech.data, np.float32).reshape(-1) for speech in found.speeches]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _read_style(self, voice: str) -> Any:
        import openvino

        file = self._folder / VOICES / f"{voice}.bin"
        values = np.fromfile(file, np.float32)
        if values.size != np.prod(_STYLES):
            raise ModelNotFound(f"found {values.size} values in {file}, expected {list(_STYLES)}")
        return openvino.Tensor(values.reshape(_STYLES))


class Speller:
    """Spells the words that the dictionaries lack, letter by letter, so that they are not left out."""

    def __init__(self, data: Path) -> None:
        """Read the dictionaries when the first word is asked for."""
        self._known = lru_cache(maxsize=2)(lambda country: _words(data / f"{country}_{kind}.json" for kind in KINDS))

    def spelled(self, text: str, language: str) -> str:
        """Return the text with a full stop behind each letter of unknown words."""
        known = self._known("gb" if language == "en-gb" else "us")

        def say(match: re.Match[str]) -> str:
            word = match[0]
            if len(word) < _LETTERS or _is_known(word, known):
                return word
            return " ".join(f"{letter.upper()}." if letter.isalpha() else letter for letter in word)

        return _WORD.sub(say, text)


KINDS: Final = ("gold", "silver")


def _words(files: Iterable[Path]) -> frozenset[str]:
    return frozenset(word for file in files if file.is_file() for word in json.loads(file.read_text(encoding="utf-8")))


def _is_known(word: str, known: frozenset[str]) -> bool:
    forms = {word, word.lower(), word.capitalize(), word.replace("’", "'"), word.lower().replace("’", "'")}
    stems = {form[: -len(ending)] for form in forms for ending in _ENDINGS if form.endswith(ending)}
    stems |= {f"{stem}e" for stem in stems} | {stem[:-1] for stem in stems if stem[-1:] == stem[-2:-1]}
    stems |= {f"{form[:-3]}y" for form in forms if form.endswith(("ies", "ied"))}
    return not known.isdisjoint(forms | stems)
