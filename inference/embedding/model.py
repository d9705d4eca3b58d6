"""A loaded embedding model: checks and tokenises texts, shares batches between all callers, returns vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.devices import Devices
from inference.embedding.engine import EmbeddingEngine
from inference.embedding.tokenize import load_tokenizer
from inference.scheduling.batcher import Limits
from inference.scheduling.scheduler import Scheduler
from pipeline.errors import InvalidInput
from pipeline.payload.embedding import EmbeddingInput

MAX_INPUTS: Final = 2048
_INLINE_CHARS: Final = 2_000  # about 0.3 ms of tokenising, three times what a hop to a thread costs


class Tokens(list[int]):
    """One input as the model sees it: ids with special tokens, within the window and the vocabulary."""

    __slots__ = ()


class EmbeddingModel:
    """One model for the whole process; all callers share its batches. Call it on one event loop."""

    def __init__(self, name: str, folder: Path, devices: Devices, device: str, limits: Limits | None = None) -> None:
        """Load and compile: takes a second, call it off the event loop."""
        self.name = name
        self.folder = folder
        self.device = device
        self._tokenizer = load_tokenizer(folder)
        self._engine = EmbeddingEngine(folder, devices, device)
        self._scheduler: Scheduler[Tokens, NDArray[np.float32]] = Scheduler(
            self._engine, limits or Limits(in_flight=self._engine.slots)
        )
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenizing")
        self.dimensions = self._engine.dimensions
        self.window = self._engine.window

    @property
    def waiting(self) -> tuple[int, int]:
        """Inputs and tokens that wait for a batch."""
        return self._scheduler.batcher.waiting_items, self._scheduler.batcher.waiting_cost

    @property
    def eta_s(self) -> float:
        """Seconds until what waits now has been served, at the measured rate."""
        return self._scheduler.batcher.eta_s()

    def warm(self) -> None:
        """Run a few shapes through the model, so that the first request finds everything compiled and paged in."""
        ids = self._tokenizer.complete([])
        for rows, length in ((1, 8), (8, 16), (8, 32), (1, self.window)):
            self._engine.infer([(ids * length)[:length]] * rows)

    async def embed(
        self,
        inputs: Sequence[EmbeddingInput],
        *,
        priority: int = 0,
        deadline: float | None = None,
        batch_size: int | None = None,
    ) -> tuple[NDArray[np.float32], list[int]]:
        """Return float32 [n, dimensions], as the model gives them, and the tokens of each input.

        Inputs are texts, lists of this model's token ids, or `Tokens`. priority: higher first. deadline: loop time.
        batch_size: most inputs a model call for this request. Raises InvalidInput (empty, wrong type, too long, unknown
        ids), Overloaded (with `retry_after_s`), Expired, Unavailable.
        """
        tokens = await self.tokenize(inputs)
        counts = [len(row) for row in tokens]
        rows = await self._scheduler.run(tokens, counts, priority=priority, deadline=deadline, max_batch=batch_size)
        return np.stack(rows), counts

    async def tokenize(self, inputs: Sequence[EmbeddingInput], *, truncate: bool = False) -> list[Tokens]:
        """Check inputs and return them as the model sees them; `truncate` shortens what is too long.

        Long texts are tokenised in a thread. Raises InvalidInput with the place of what is wrong.
        """
        _check_count(inputs)
        characters = sum(len(value) for value in inputs if isinstance(value, str))
        if characters <= _INLINE_CHARS:
            return self._tokenize(inputs, truncate=truncate)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tokenizing, lambda: self._tokenize(inputs, truncate=truncate))

    async def close(self) -> None:
        """Serve what was admitted, then free the model."""
        await self._scheduler.close()
        await asyncio.to_thread(self._engine.close)
        self._tokenizing.shutdown()

    def _tokenize(self, inputs: Sequence[EmbeddingInput], *, truncate: bool) -> list[Tokens]:
        texts = [_checked_text(value, place) for place, value in enumerate(inputs) if isinstance(value, str)]
        encoded = iter(self._tokenizer.encode(texts) if texts else ())
        result = []
        for place, value in enumerate(inputs):
            if isinstance(value, Tokens):
                result.append(value)
                continue
            ids = next(encoded) if isinstance(value, str) else self._checked_ids(value, place)
            if truncate:
                ids = self._tokenizer.cut(ids, self.window)
            if len(ids) > self.window:
                raise InvalidInput(
                    f"found {len(ids)} tokens in input[{place}], expected at most {self.window} for {self.name}",
                    param="input",
                    code="context_length_exceeded",
                )
            result.append(Tokens(ids))
        return result

    def _checked_ids(self, value: Any, place: int) -> list[int]:
        if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
            raise InvalidInput(
                f"found {type(value).__name__} in input[{place}], expected a text or a list of token ids", param="input"
            )
        if not value:
            raise InvalidInput(f"found no token ids in input[{place}], expected at least one", param="input")
        vocabulary = self._tokenizer.vocabulary
        for token in value:
            if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < vocabulary:
                raise InvalidInput(
                    f"found token id {token!r} in input[{place}], expected integers of 0 to {vocabulary - 1}, "
                    f"the vocabulary of {self.name}",
                    param="input",
                )
        return self._tokenizer.complete(value)


def _check_count(inputs: Sequence[EmbeddingInput]) -> None:
    if isinstance(inputs, str):
        raise InvalidInput("found one text as the list of inputs, expected a list of texts", param="input")
    if not inputs:
        raise InvalidInput("found an empty list of inputs, expected at least one", param="input")
    if len(inputs) > MAX_INPUTS:
        raise InvalidInput(f"found {len(inputs)} inputs, expected at most {MAX_INPUTS}", param="input")


def _checked_text(value: str, place: int) -> str:
    if not value:
        raise InvalidInput(f"found an empty text in input[{place}], expected at least one character", param="input")
    return value
