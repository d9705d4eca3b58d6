"""Whisper through openvino-genai's own pipeline: for devices with fixed shapes, and for other kinds of export."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, SpokenWord
from fastembed.inference.engines.speech.level import levelled
from fastembed.pipeline.errors import Unavailable

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
        self._device = device
        self._languages = {token.strip("<|>") for token in generation.get("lang_to_id") or {}}
        self._longest_prompt = int(generation.get("max_length") or 448) // 2 - 1  # tokens, as OpenAI's whisper
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
        samples = levelled(request.samples).tolist()
        language = self._language(request)
        options: dict[str, Any] = {"return_timestamps": True, "streamer": lambda _: left.is_set()}
        if language is not None and self._languages:
            options["language"] = f"<|{language}|>"
        if request.translate:
            options["task"] = "translate"
        if request.prompt:
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

    def _language(self, request: SpeechRequest) -> str | None:
        """Return the language to hear; an NPU cannot detect it."""
        if request.language:
            return request.language.partition("-")[0].lower()
        return "en" if self._device.startswith("NPU") else None

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
