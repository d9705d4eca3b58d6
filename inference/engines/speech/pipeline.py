"""Whisper through openvino-genai's own pipeline: for devices with fixed shapes, and for other kinds of export."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, SpokenWord
from fastembed.inference.engines.speech.level import levelled
from fastembed.inference.engines.speech.windowed import LanguageDetector
from fastembed.inference.library.device_traits import traits_of
from fastembed.pipeline.errors import InvalidInput, Unavailable

_log: Final = logging.getLogger("fastembed.speech")


class PipelineWriter:
    """Writes down one request at a time, as a pipeline does, in windows of 30 s whatever the sound."""

    slots = 1
    rows = 1

    def __init__(self, folder: Path, device: str, generation: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Load and compile. RuntimeError: OpenVINO's."""
        import openvino_genai as genai

        options = {"word_timestamps": True, **properties} if generation.get("alignment_heads") else properties
        self._name = folder.name
        self._on_npu = traits_of(device).fixed_shapes
        self._languages = {token.strip("<|>") for token in generation.get("lang_to_id") or {}}
        self._longest_prompt = int(generation.get("max_length") or 448) // 2 - 1  # tokens, as OpenAI's whisper
        self._aligned = bool(generation.get("alignment_heads"))
        self._folder = folder
        self._detector: LanguageDetector | None = None
        self._pipeline: Any = genai.WhisperPipeline(str(folder), device, **options)  # genai ships no types

    def write(
        self, slot: int, requests: Sequence[SpeechRequest], left: Sequence[threading.Event]
    ) -> list[Heard | None]:
        """Return what was said. left: set when the caller has gone; it stops where it is, and returns None."""
        del slot
        return [self._heard(request, event) for request, event in zip(requests, left, strict=True)]

    def unheard_s(self, request: SpeechRequest) -> float:
        """Return how long a request is: all of it is heard."""
        return len(request.samples) / RATE_HZ

    def _heard(self, request: SpeechRequest, left: threading.Event) -> Heard | None:
        sound = levelled(request.samples)
        samples = sound.tolist()
        language = self._language(request, sound)
        options: dict[str, Any] = {"return_timestamps": True, "streamer": lambda _: left.is_set()}
        if language is not None and self._languages:
            options["language"] = f"<|{language}|>"
        if request.translate:
            options["task"] = "translate"
        if request.prompt:
            if self._on_npu and not self._aligned:
                raise InvalidInput(
                    f"found a prompt, expected none: {self._name} has no alignment heads, without which the NPU's code "
                    "takes no prompt; leave it out, or run the model on the CPU",
                    param="prompt",
                    code="unsupported_prompt",
                )
            options["initial_prompt"] = self._prompt(request.prompt)
        try:
            result = self._pipeline.generate(samples, **options)
        except RuntimeError as error:  # what OpenVINO raises, whatever is wrong
            _log.exception("%s failed on %.1f s of sound", self._name, len(samples) / RATE_HZ)
            raise Unavailable(f"{self._name} could not transcribe {len(samples) / RATE_HZ:.1f} s of sound") from error
        if left.is_set():
            return None
        end_s = len(samples) / RATE_HZ
        words = tuple(_within(w.word.strip(), w.start_ts, w.end_ts, end_s) for w in result.words or ())
        detected = getattr(result, "language", None) or language
        return Heard(
            result.texts[0].strip(),
            words,
            detected.strip("<|>") if detected else None,
            segments=_segments(result.chunks or (), end_s),
        )

    def _language(self, request: SpeechRequest, sound: NDArray[np.float32]) -> str | None:
        """Return the language to hear, None: the pipeline detects it.

        On an NPU it would hear the language of the call before (openvino-genai 2026.4.1), and the transcript would be
        invented in it: it is detected here, on the CPU. InvalidInput: this export cannot be detected with either.
        """
        if request.language:
            return request.language.partition("-")[0].lower()
        if not self._on_npu or not self._languages:
            return None
        if self._detector is None:
            try:
                self._detector = LanguageDetector(self._folder)
            except RuntimeError as error:  # OpenVINO's, or another kind of export
                raise InvalidInput(
                    f"found no language, expected one: an NPU cannot detect it, and {self._name} is an export that the "
                    "CPU cannot detect it with",
                    param="language",
                    code="language_required",
                ) from error
        return self._detector.detect(sound)

    def _prompt(self, text: str) -> str:
        """Return the end of a prompt that is too long, as OpenAI's whisper does; genai would refuse it."""
        tokenizer = self._pipeline.get_tokenizer()
        tokens = tokenizer.encode(text, add_special_tokens=False).input_ids.data[0]
        if len(tokens) <= self._longest_prompt:
            return text
        ending: str = tokenizer.decode(tokens[-self._longest_prompt :].tolist())
        return ending


def _segments(chunks: Sequence[Any], end_s: float) -> tuple[SpokenWord, ...]:
    """Return the segments with words in them; the end of the last may be unknown (-1), or behind the sound."""
    return tuple(
        _within(text, chunk.start_ts, chunk.end_ts if chunk.end_ts > chunk.start_ts else end_s, end_s)
        for chunk in chunks
        if (text := chunk.text.strip())
    )


def _within(text: str, start_s: float, end_s: float, last_s: float) -> SpokenWord:
    return SpokenWord(text, min(start_s, last_s), min(end_s, last_s))
