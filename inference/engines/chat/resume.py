"""Where an answer broke off, and how another engine of the same model goes on from there, on whatever device.

The tokens so far become part of the prompt. What they say is run through the answer's own stages once more, unseen, so
that stop strings, reasoning and tool calls go on in the middle; the reader of the answer sees no seam. With sampling it
is another draw from there on: the random numbers start again from the request's seed, so the same seed and the same
break give the same rest. An answer under a grammar cannot go on in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fastembed.inference.engines.chat.answer import AnswerSplitter
from fastembed.inference.engines.chat.generation import Ended, Generation, TextEngine
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished


class CannotGoOn(Unavailable):
    """An engine, though well, cannot go on with an answer that broke off."""


class Produced(NamedTuple):
    """Token ids of one choice: what they say comes with them, in the same message. formed: held to a grammar."""

    choice: int
    ids: Sequence[int]
    formed: bool = False


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """An answer so far: the ids that its choices have produced, the choices that have ended, whether it has begun."""

    produced: Mapping[int, Sequence[int]] = field(default_factory=dict)
    finished: frozenset[int] = frozenset()
    begun: bool = False


NOTHING: Final = BrokenOff()


class AnswerProgress:
    """How far one answer has come, noted as its events come, from any engine; the next one goes on from there.

    formed: it is held to a grammar, and no engine can go on with it.
    """

    __slots__ = ("_begun", "_finished", "_produced", "formed")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._produced: dict[int, list[int]] = {}
        self._finished: set[int] = set()
        self._begun = False
        self.formed = False

    def note(self, event: ChatEvent | Produced) -> None:
        """Note what came."""
        match event:
            # The ids come in the same message as the text that they say, so what is noted here and what the caller has
            # read never differ by a piece: the seam is between two messages.
            case Produced(choice, ids, formed):
                self._produced.setdefault(choice, []).extend(ids)
                self.formed = self.formed or formed
            case ChatDelta():
                self._begun = True
            case ChatFinished(index=choice):
                self._finished.add(choice)

    def so_far(self) -> BrokenOff:
        """Return where it stands."""
        return BrokenOff(self._produced, frozenset(self._finished), self._begun)


def go_on(engine: TextEngine, generation: Generation, answer: AnswerSplitter, ids: Sequence[int]) -> Ended | None:
    """Bring a choice to where it was; return how it ended, if nothing is missing but its end.

    Raises Unavailable where it cannot go on.
    """
    # In this order: what the caller has seen already is fed to the stages (so that a stop string that began before the
    # break is found when it goes on), then it is asked whether anything is missing, and only then whether there is
    # room.
    if not ids:
        return None
    # A grammar's automaton cannot be put into the middle of its text: the engine would begin a second JSON value.
    if generation.config.structured_output_config is not None:
        raise CannotGoOn(
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
        raise CannotGoOn(
            f"found {len(generation.prompt)} tokens in the prompt and the answer that broke off, expected at most "
            f"{engine.longest_prompt} on {engine.device} to go on",
            retry_after_s=1.0,
        )
    return None
