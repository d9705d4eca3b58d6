"""A loaded embedding model: checks and tokenises texts, shares batches between all callers, returns vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.devices import Devices
from inference.embedding.engine import EmbeddingEngine
from inference.embedding.tokens import Analyzed, Tokens, check_ids, check_inputs
from inference.encoder.tokenize import load_tokenizer
from inference.resilience.sanity import check_vectors
from inference.scheduling.batcher import Limits
from inference.scheduling.scheduler import Scheduler
from pipeline.errors import InvalidInput
from pipeline.payload.embedding import EmbeddingInput

_INLINE_CHARS: Final = 2_000  # about 0.3 ms of tokenising, three times what a hop to a thread costs


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
            self._engine, limits or _limits_of(self._engine)
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

    @property
    def padding(self) -> float:
        """The part of all computed tokens that were padding, 0 to 1."""
        return self._engine.padding

    def warm(self) -> None:
        """Run a few shapes through the model, so that the first request finds everything compiled and paged in."""
        self._engine.warm(self._tokenizer.complete([]))

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
        costs = [self._engine.cost(row) for row in tokens]
        rows = await self._scheduler.run(tokens, costs, priority=priority, deadline=deadline, max_batch=batch_size)
        vectors = np.stack(rows)
        check_vectors(vectors, self.name)
        return vectors, counts

    async def tokenize(self, inputs: Sequence[EmbeddingInput], *, truncate: bool = False) -> list[Tokens]:
        """Check inputs and return them as the model sees them; `truncate` shortens what is too long.

        Long texts are tokenised in a thread. Raises InvalidInput with the place of what is wrong.
        """
        if isinstance(inputs, Analyzed):
            inputs = inputs.for_model(self.name)
        check_inputs(inputs)
        if _is_short(inputs):
            return self._tokenize(inputs, truncate=truncate)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tokenizing, lambda: self._tokenize(inputs, truncate=truncate))

    def analyze(self, inputs: Sequence[EmbeddingInput]) -> Analyzed:
        """Check and measure at once: short inputs are tokenised, long ones estimated. Raises InvalidInput."""
        check_inputs(inputs)
        tokens = self._tokenize(inputs, truncate=False) if _is_short(inputs) else None
        return Analyzed(inputs, tokens, self.name)

    async def close(self) -> None:
        """Serve what was admitted, then free the model."""
        await self._scheduler.close()
        await asyncio.to_thread(self._engine.close)
        self._tokenizing.shutdown()

    def _tokenize(self, inputs: Sequence[EmbeddingInput], *, truncate: bool) -> list[Tokens]:
        texts = [value for value in inputs if isinstance(value, str)]
        encoded = iter(self._tokenizer.encode(texts) if texts else ())
        return [
            value
            if isinstance(value, Tokens) and value.model == self.name
            else self._within(next(encoded) if isinstance(value, str) else self._checked(value, place), place, truncate)
            for place, value in enumerate(inputs)
        ]

    def _checked(self, ids: Sequence[int], place: int) -> list[int]:
        check_ids(ids, place, self._tokenizer.vocabulary, self.name)
        return self._tokenizer.complete(ids)

    def _within(self, ids: list[int], place: int, truncate: bool) -> Tokens:  # noqa: FBT001 - private
        excess = len(ids) - self.window
        if excess <= 0:
            return Tokens(ids, self.name)
        if truncate:
            return Tokens(self._tokenizer.cut(ids, self.window), self.name, excess)
        raise InvalidInput(
            f"found {len(ids)} tokens in input[{place}], expected at most {self.window} for {self.name}",
            param="input",
            code="context_length_exceeded",
        )


def _limits_of(engine: EmbeddingEngine) -> Limits:
    return Limits(in_flight=engine.slots, batch_items=1) if engine.lengths else Limits(in_flight=engine.slots)


def _is_short(inputs: Sequence[EmbeddingInput]) -> bool:
    """Whether checking and tokenising is quick enough for the event loop."""
    return sum(len(value) for value in inputs if not isinstance(value, Tokens)) <= _INLINE_CHARS
