"""Where an answer broke off, and how another engine of the same model goes on from there.

The tokens so far become part of the prompt. What they say is run through the answer's own stages once more, unseen, so
that stop strings, reasoning and tool calls go on in the middle; whoever reads the answer sees no seam. With sampling it
is another draw from there on, as if the seed had been another. An answer under a grammar cannot go on in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from inference.chat.answer import Answer
from inference.chat.generation import Ended, Generation, TextEngine
from pipeline.errors import Unavailable


class Produced(NamedTuple):
    """Token ids of one choice: what they say comes with them, in the same message."""

    choice: int
    ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """An answer so far: the ids that its choices have produced, and the choices that have ended."""

    produced: Mapping[int, Sequence[int]] = field(default_factory=dict)
    finished: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.produced)


NOTHING: Final = BrokenOff()


def go_on(engine: TextEngine, generation: Generation, answer: Answer, ids: Sequence[int]) -> Ended | None:
    """Bring a choice to where it was; return how it ended, if nothing is missing but its end.

    Raises Unavailable where it cannot go on.
    """
    if not ids:
        return None
    if generation.config.structured_output_config is not None:
        raise Unavailable(
            "found an answer that is held to a form and broke off, expected a free one: only those go on in the middle",
            retry_after_s=1.0,
        )
    ((_, piece),) = engine.decoder.pieces([(generation, [(id_, 0.0) for id_ in ids], None)])
    answer.feed(piece.tokens, piece.tail)
    generation.renew()
    if ids[-1] in engine.decoder.stop_ids:
        return "stop"
    if generation.config.max_new_tokens < 1:
        return "length"
    if len(generation.prompt) > engine.longest_prompt:
        raise Unavailable(
            f"found {len(generation.prompt)} tokens in the prompt and the answer that broke off, expected at most "
            f"{engine.longest_prompt} on {engine.device} to go on",
            retry_after_s=1.0,
        )
    return None
