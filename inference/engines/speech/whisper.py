"""Whisper through openvino-genai, from any local folder that holds one as OpenVINO IR."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpeechRequest, SpokenWord, audible
from fastembed.inference.engines.speech.turnstile import Turnstile
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable

_log: Final = logging.getLogger("fastembed.speech")
_FILES: Final = ("openvino_encoder_model.xml", "openvino_decoder_model.xml", "openvino_tokenizer.xml")


class WhisperEngine:
    """One Whisper on the first of its devices that takes it. One request at a time: a pipeline is not safe for more.

    A request runs in the engine's own thread; a partial request is refused while another runs. What is cancelled leaves
    off after the window that is being heard: genai 2026.4.1 cannot be stopped within one. device: where it was loaded,
    "" before.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        devices: Sequence[str] = ("CPU",),
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Take a folder; ModelNotFound names what it lacks. It is loaded by `warm` or the first request."""
        missing = [file for file in _FILES if not (folder / file).is_file()]
        if missing:
            raise ModelNotFound(f"found no {', '.join(missing)} in {folder}, expected a Whisper model as OpenVINO IR")
        self.folder = folder
        self.name = name or folder.name
        self.device = ""
        self._devices = list(devices)
        self._properties = dict(properties or {})
        generation = _read(folder / "generation_config.json")
        self._languages = {token.strip("<|>") for token in generation.get("lang_to_id", {})}
        self._translates = "translate" in generation.get("task_to_id", {})
        self._longest_prompt = int(generation.get("max_length", 448)) // 2 - 1  # tokens: OpenAI's whisper keeps as many
        self._times_words = bool(generation.get("alignment_heads"))
        self._window = int(_read(folder / "preprocessor_config.json").get("chunk_length", 30)) * RATE_HZ
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"whisper-{self.name}")
        self._turnstile: Turnstile[bool] = Turnstile()
        self._turnstile.give(True)
        self._pipeline: Any = None  # genai ships no types

    @property
    def label(self) -> str:
        """The model's name as users see it."""
        return self.name

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Refuse a language that the model was not trained on, and translating where it cannot."""
        if translate and not self._translates:
            raise InvalidInput(
                f"found a translation, expected a transcription: {self.name} knows one language only",
                param="model",
                code="unsupported_model",
            )
        if language is not None and self._languages and _base(language) not in self._languages:
            known = ", ".join(sorted(self._languages)[:12])
            raise InvalidInput(
                f"found language {language!r}, expected one that {self.name} knows: {known}",
                param="language",
                code="unsupported_language",
            )

    async def warm(self) -> None:
        """Load and compile."""
        await self._turnstile.wait()
        await self._run(self.load)

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        """Return what was said; None if the request is partial and another runs."""
        self.check(request.language, translate=request.translate)
        samples = audible(request.samples)
        if samples is None:
            return Heard(language=request.language)
        turn = self._turnstile.take() if request.partial else await self._turnstile.wait()
        if turn is None:
            return None
        left = threading.Event()
        try:
            heard: Heard = await self._run(self._generate, samples.tolist(), request, left)
        except asyncio.CancelledError:
            left.set()
            raise
        return heard

    async def close(self) -> None:
        """Free the model, after the request that runs."""
        self._turnstile.close(Unavailable("the speech engine is closed: found a new request, expected none"))
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        self._pipeline = None

    async def _run(self, work: Any, *arguments: Any) -> Any:
        """Run in the thread, holding the turn until it has really ended, also if the caller leaves before."""
        loop = asyncio.get_running_loop()
        future: Future[Any] = self._thread.submit(work, *arguments)

        def ended(_: Future[Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._turnstile.give, True)

        future.add_done_callback(ended)
        return await asyncio.shield(asyncio.wrap_future(future))

    def load(self) -> Any:
        """Load and compile here and now: blocks for seconds. Unavailable: none of its devices takes it."""
        if self._pipeline is not None:
            return self._pipeline
        import openvino_genai as genai

        if self._times_words:
            self._properties["word_timestamps"] = True
        refusals = []
        for device in self._devices:
            try:
                with OPENING:
                    self._pipeline = genai.WhisperPipeline(str(self.folder), device, **self._properties)
            except RuntimeError as error:  # what OpenVINO raises, whatever is wrong
                refusals.append(f"{device}: {str(error).strip().splitlines()[-1]}")
                _log.warning("%s does not load on %s", self.name, refusals[-1])
                continue
            self.device = device
            return self._pipeline
        raise Unavailable(f"{self.name} loads on none of its devices ({'; '.join(refusals)})")

    def try_out(self) -> None:
        """Hear a second of nothing here and now, so that all that it works with is there, and measured. Blocks."""
        language = "en" if "en" in self._languages else next(iter(sorted(self._languages)), None)
        nothing = np.zeros(RATE_HZ, np.float32)
        with contextlib.suppress(Unavailable):  # it has been logged, and whoever asks for something will be told
            self._generate(nothing.tolist(), SpeechRequest(nothing, language, partial=True), max_new_tokens=1)

    def _generate(
        self, samples: list[float], request: SpeechRequest, left: threading.Event | None = None, **options: Any
    ) -> Heard:
        """Transcribe in this thread. left: nobody waits any more; it leaves off after the window that it hears."""
        pipeline = self.load()
        language = request.language or ("en" if self.device.startswith("NPU") else None)  # the NPU cannot detect it
        if language is not None and self._languages:
            options["language"] = f"<|{_base(language)}|>"
        if request.translate:
            options["task"] = "translate"
        if request.prompt:
            options["initial_prompt"] = self._prompt(pipeline, request.prompt)
        if not request.partial or len(samples) > self._window:
            options["return_timestamps"] = True  # also what carries whisper over windows longer than its own
        if left is not None and len(samples) > self._window:
            options["streamer"] = lambda _: left.is_set()  # genai asks once a window; true: stop
        try:
            result = pipeline.generate(samples, **options)
        except RuntimeError as error:  # what OpenVINO raises, whatever is wrong
            _log.exception("%s failed on %.1f s of sound", self.name, len(samples) / RATE_HZ)
            raise Unavailable(f"{self.name} could not transcribe {len(samples) / RATE_HZ:.1f} s of sound") from error
        words = tuple(SpokenWord(w.word.strip(), w.start_ts, w.end_ts) for w in result.words or ())
        detected = getattr(result, "language", None) or language
        return Heard(
            result.texts[0].strip(),
            words,
            detected.strip("<|>") if detected else None,
            segments=_segments(result.chunks or (), len(samples) / RATE_HZ),
        )

    def _prompt(self, pipeline: Any, text: str) -> str:
        """Return the end of a prompt that is too long, as OpenAI's whisper does; genai would refuse it."""
        tokenizer = pipeline.get_tokenizer()
        tokens = tokenizer.encode(text, add_special_tokens=False).input_ids.data[0]
        if len(tokens) <= self._longest_prompt:
            return text
        ending: str = tokenizer.decode(tokens[-self._longest_prompt :].tolist())
        return ending


def _segments(chunks: Sequence[Any], end_s: float) -> tuple[SpokenWord, ...]:
    """Return the segments with words in them; the end of the last may be unknown (-1)."""
    return tuple(
        SpokenWord(text, chunk.start_ts, chunk.end_ts if chunk.end_ts > chunk.start_ts else end_s)
        for chunk in chunks
        if (text := chunk.text.strip())
    )


def _base(language: str) -> str:
    """Return `de` of `de-CH`."""
    return language.partition("-")[0].lower()


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
