"""Counts the tokens of a request's results for the key that sent it."""

from __future__ import annotations

from typing import Any

from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished
from fastembed.pipeline.payload.embedding import Embeddings
from fastembed.pipeline.payload.rerank import Ranking
from fastembed.server.keys.meter import KeyMeter


class TokenCount:
    """Adds to a key's meter what its results say, as they come (a `fastembed.sources.http.ResultsObserver`).

    An answer whose client left before its end has no usage: each of its pieces counts as a token.
    """

    __slots__ = ("_counted", "_meter", "_pieces")

    def __init__(self, meter: KeyMeter) -> None:
        self._meter = meter
        self._pieces = 0
        self._counted = (0, 0)

    def take(self, value: Any) -> None:
        """Count one result."""
        if isinstance(value, ChatDelta):
            self._pieces += 1
        elif isinstance(value, ChatFinished):  # its counts are of the whole request so far
            given, made = self._counted
            self._counted = (value.prompt_tokens, value.completion_tokens)
            self._meter.add_tokens(value.prompt_tokens - given, value.completion_tokens - made)
        elif isinstance(value, Embeddings):
            self._meter.add_tokens(int(sum(value.token_counts)), 0)
        elif isinstance(value, Ranking):
            self._meter.add_tokens(value.tokens, 0)

    def close(self) -> None:
        """Count what an answer without an end had."""
        if self._pieces and self._counted == (0, 0):
            self._meter.add_tokens(0, self._pieces)
