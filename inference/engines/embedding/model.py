"""A loaded embedding model: checks and tokenises texts, shares batches between all callers, returns vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.embedding.engine import EmbeddingEngine
from fastembed.inference.engines.embedding.origin import revision_of
from fastembed.inference.engines.embedding.prompts import Prompts, read_prompts
from fastembed.inference.engines.embedding.tokens import Analyzed, Tokens, check_ids, check_inputs, foreign_ids
from fastembed.inference.engines.encoder.model import INLINE_CHARS, EncoderModel
from fastembed.inference.engines.encoder.tokenize import load_tokenizer
from fastembed.inference.engines.scheduling.batcher import BatchLimits
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.embedding import EmbeddingInput


class EmbeddingModel(EncoderModel):
    """One model for the whole process; all callers share its batches. Call it on one event loop."""

    def __init__(
        self,
        name: str,
        folder: Path,
        devices: Devices,
        device: str,
        limits: BatchLimits | None = None,
        *,
        prompts: Prompts | None = None,
    ) -> None:
        """Load and compile: takes a second, call it off the event loop. prompts: by default those of its files."""
        self.prompts = read_prompts(folder) if prompts is None else prompts
        with OPENING:
            self._tokenizer = load_tokenizer(folder)
            engine = EmbeddingEngine(folder, devices, device)
        self.dimensions = engine.dimensions
        self.revision = revision_of(folder, self.prompts)
        self._special = len(self._tokenizer.complete([]))
        super().__init__(name, folder, device, engine, limits)

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
        most_tokens: int | None = None,
        own_ids: bool = True,
    ) -> tuple[NDArray[np.float32], list[int]]:
        """Return float32 [n, dimensions], as the model gives them, and the tokens of each input.

        Inputs are texts, lists of this model's token ids, or `Tokens`. priority: higher first. deadline: loop time.
        batch_size: most inputs a model call for this request. most_tokens, own_ids: as `EmbeddingRequest` has them.
        Raises InvalidInput (empty, wrong type, too long, unknown ids), Overloaded (with `retry_after_s`), Expired,
        Unavailable.
        """
        tokens = await self.tokenize(inputs, most_tokens=most_tokens, own_ids=own_ids)
        counts = [len(row) for row in tokens]
        vectors = await self._compute(tokens, priority=priority, deadline=deadline, max_batch=batch_size)
        return vectors, counts

    async def tokenize(
        self, inputs: Sequence[EmbeddingInput], *, most_tokens: int | None = None, own_ids: bool = True
    ) -> list[Tokens]:
        """Check inputs and return them as the model sees them.

        most_tokens, own_ids: as `EmbeddingRequest` has them. Long texts are tokenised in a thread. Raises InvalidInput
        with the place of what is wrong.
        """
        if isinstance(inputs, Analyzed):
            inputs = inputs.for_model(self.name)
        check_inputs(inputs)
        return await self._tokenized(_chars(inputs), lambda: self._tokenize(inputs, most_tokens, own_ids=own_ids))

    def analyze(
        self, inputs: Sequence[EmbeddingInput], *, most_tokens: int | None = None, own_ids: bool = True
    ) -> Analyzed:
        """Check and measure at once: short inputs are tokenised, long ones estimated. Raises InvalidInput."""
        check_inputs(inputs)
        inline = _chars(inputs) <= INLINE_CHARS
        tokens = self._tokenize(inputs, most_tokens, own_ids=own_ids) if inline else None
        return Analyzed(inputs, tokens, self.name)

    def _tokenize(self, inputs: Sequence[EmbeddingInput], most_tokens: int | None, *, own_ids: bool) -> list[Tokens]:
        most = self._most(most_tokens)
        texts = [value for value in inputs if isinstance(value, str)]
        encoded = iter(self._tokenizer.encode(texts) if texts else ())
        return [
            value
            if isinstance(value, Tokens) and value.model == self.name
            else self._within(
                next(encoded) if isinstance(value, str) else self._checked(value, place, own_ids=own_ids),
                place,
                most,
                cuts=most_tokens is not None,
            )
            for place, value in enumerate(inputs)
        ]

    def _most(self, most_tokens: int | None) -> int:
        """Return how many tokens an input may have. InvalidInput: too few for anything but the special ones."""
        if not most_tokens:
            return self.window
        if most_tokens <= self._special:
            raise InvalidInput(
                f"found a limit of {most_tokens} tokens, expected at least {self._special + 1}: {self.name} puts "
                f"{self._special} special ones around a text",
                param="truncate_prompt_tokens",
            )
        return min(most_tokens, self.window)

    def _checked(self, ids: Sequence[int], place: int, *, own_ids: bool) -> list[int]:
        check_ids(ids, place, self._tokenizer.vocabulary, self.name)
        whole = self._tokenizer.complete(ids)
        if not own_ids and (not self._special or len(whole) > len(ids)):
            raise foreign_ids(place, self.name)
        return whole

    def _within(self, ids: list[int], place: int, most: int, *, cuts: bool) -> Tokens:
        excess = len(ids) - most
        if excess <= 0:
            return Tokens(ids, self.name)
        if cuts:
            return Tokens(self._tokenizer.cut(ids, most), self.name, excess)
        raise InvalidInput(
            f"found {len(ids)} tokens in input[{place}], expected at most {most} for {self.name}; "
            "truncate: true cuts longer ones",
            param="input",
            code="context_length_exceeded",
        )


def _chars(inputs: Sequence[EmbeddingInput]) -> int:
    """Return how many characters have to be tokenised."""
    return sum(len(value) for value in inputs if not isinstance(value, Tokens))
