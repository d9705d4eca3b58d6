"""One answer at a time: the way of an NPU, whose graphs are compiled for fixed shapes, and of models that hear.

A thread of its own generates (without the GIL) and waits in between; requests wait their turn in order of arrival. An
NPU fixes the longest prompt and answer when the model is compiled: `MAX_PROMPT_LEN` and `MIN_RESPONSE_LEN` among its
properties, by default 1024 and 512 tokens, within the model's context. Models that hear go this way on every device:
genai 2026.4.1 takes sound in `VLMPipeline.generate` only, not where requests are added to a batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastembed.inference.engines.chat.decoding import Decoder
from fastembed.inference.engines.chat.folder import BLOCK_TOKENS, fixed_lengths, model_path, open_hearing
from fastembed.inference.engines.chat.generation import Ended, GeneratedPiece, Generation, deliver, failed, nothing
from fastembed.inference.engines.chat.native import tensor
from fastembed.inference.engines.chat.sampling import SamplingDefaults
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import Overloaded, Unavailable

log = logging.getLogger("fastembed.chat")


class StatefulEngine:
    """Owns one LLMPipeline, of a model that sees one VLMPipeline; loads it anew when two answers in a row fail."""

    def __init__(
        self,
        folder: Path,
        device: str,
        properties: Mapping[str, Any],
        window: int,
        *,
        sees: bool = False,
        kv_blocks: int | None = None,
        cache_bytes: int = 0,
        most: int = 64,
    ) -> None:
        """Load now: takes seconds, on an NPU maybe minutes. sees: prompts are texts with pictures, maybe with sounds.

        kv_blocks: cache to reserve where the device fixes no lengths, of `cache_bytes`; elsewhere the compiled model
        has a place for one context. most: answers that run and wait.
        """
        if kv_blocks is None:
            self.longest_prompt, answer = fixed_lengths(properties, window)
            self.room = min(window, self.longest_prompt + answer)
            properties = {**properties, "MAX_PROMPT_LEN": self.longest_prompt, "MIN_RESPONSE_LEN": answer}
        else:
            self.room = min(window, (kv_blocks - 1) * BLOCK_TOKENS)
            self.longest_prompt = self.room - 1
        self.device = device
        self._kv_blocks = kv_blocks
        self.cache_bytes = cache_bytes
        self.tells_logprobs = False
        self.before_step: Callable[[], None] = nothing  # its steps block nothing
        self._folder = folder
        self._sees = sees
        self._properties = properties
        self._pipeline = self._load()
        self._defaults = SamplingDefaults(self._pipeline.get_generation_config())
        self.decoder = Decoder(self._pipeline.get_tokenizer(), self._defaults.stop_ids)
        self._most = most
        self._wake = threading.Condition()
        self._waiting: deque[Generation] = deque()
        self._current: Generation | None = None
        self._closing = False
        self._failures = 0
        self._owner = threading.Thread(target=self._own, name="chat-engine", daemon=True)
        self._owner.start()

    @property
    def busy(self) -> int:
        """Answers that run or wait."""
        return len(self._waiting) + (self._current is not None)

    def config(self) -> Any:
        """Return a fresh GenerationConfig with the model's own defaults."""
        config = self._defaults.fresh()
        config.apply_chat_template = False  # prompts have been through it
        return config

    def submit(self, generations: Sequence[Generation]) -> None:
        """Begin. Raises Overloaded when too many run and wait, Unavailable after `close`."""
        with self._wake:
            if self._closing:
                raise Unavailable("the chat model is closing and takes no new requests")
            if self.busy + len(generations) > self._most:
                raise Overloaded(
                    f"found {self.busy} answers under way, expected at most {self._most} with these {len(generations)}",
                    retry_after_s=float(self.busy),
                )
            self._waiting.extend(generations)
            self._wake.notify()

    def give_way(self) -> None:
        """Do nothing: its steps block nothing."""

    def release(self, generations: Iterable[Generation]) -> None:
        """Cancel those that have not ended; one that runs ends with its next token."""
        for generation in generations:
            generation.cancel()
            with self._wake:
                if generation in self._waiting:
                    self._waiting.remove(generation)

    async def close(self) -> None:
        """Fail what runs with Unavailable, free the model."""
        with self._wake:
            self._closing = True
            running = [*([self._current] if self._current else []), *self._waiting]
            self._waiting.clear()
            for generation in running:
                generation.cancel()
            self._wake.notify()
        closed = Unavailable("the chat model was closed in this answer, expected to finish first")
        deliver([(generation, GeneratedPiece(generation.index, error=closed)) for generation in running])
        await asyncio.to_thread(self._owner.join)
        self._pipeline = None

    # The owner's thread from here on.

    def _own(self) -> None:
        while True:
            with self._wake:
                while not (self._closing or self._waiting):
                    self._wake.wait()
                if self._closing:
                    return
                self._current = self._waiting.popleft()
            self._answer(self._current)
            self._current = None

    def _answer(self, generation: Generation) -> None:
        try:
            if self._pipeline is None:
                self._pipeline = self._load()
            carrier = _streamer(generation, self.decoder)
            self._end(generation, self._generate(generation, carrier))
        except Exception as error:  # this thread's boundary: whatever genai raises ends the request, not the engine
            log.exception("an answer failed on %s", self.device)
            deliver([failed(generation, error)])
            self._failures += 1
            if self._failures > 1:
                self._failures, self._pipeline = 0, None
        else:
            self._failures = 0

    def _end(self, generation: Generation, result: Any) -> None:
        if not generation.cancelled:
            deliver(self.decoder.pieces([(generation, [], ended_by(result.finish_reasons[0].name))]))

    def _generate(self, generation: Generation, carrier: Any) -> Any:
        if generation.seen is None:
            return self._pipeline.generate(tensor(generation.prompt), generation.config, carrier)
        seen = generation.seen
        heard = {} if seen.sounds is None else {"audios": seen.audios()}
        return self._pipeline.generate(
            seen.text + self.decoder.carried(generation),
            images=seen.tensors(),
            generation_config=generation.config,
            streamer=carrier,
            **heard,
        )

    def _load(self) -> Any:
        import openvino_genai as genai

        if self._kv_blocks is not None:
            return open_hearing(self._folder, self.device, self._properties, self._kv_blocks)
        with OPENING:
            if self._sees:  # its parts are compiled apart, and only the language model's for fixed lengths
                properties = {self.device: self._properties}
                return genai.VLMPipeline(str(self._folder), self.device, DEVICE_PROPERTIES=properties)
            return genai.LLMPipeline(model_path(self._folder), self.device, **self._properties)


def ended_by(reason: str) -> Ended:
    """Return how an answer ended, by genai's reason: NONE says that it ran out of the compiled length, undone."""
    return "stop" if reason == "STOP" else "length"


def _streamer(generation: Generation, decoder: Decoder) -> Any:
    """Return what genai calls with each token."""
    import openvino_genai as genai

    running, cancel = genai.StreamingStatus.RUNNING, genai.StreamingStatus.CANCEL

    class Streamer(genai.StreamerBase):  # type: ignore[misc] # genai ships no types
        def __init__(self) -> None:
            super().__init__()

        def write(self, token: int | list[int]) -> Any:
            if generation.cancelled:
                return cancel
            ids = token if isinstance(token, list) else [token]
            deliver(decoder.pieces([(generation, [(id_, 0.0) for id_ in ids], None)]))
            return running

        def end(self) -> None:
            """Do nothing: the result says how it ended."""

    return Streamer()
