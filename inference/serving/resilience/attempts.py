"""One request's way through the models and devices that can answer it: who is asked next, what came of the others.

Theory of operation. Candidates are asked in order, best first. One whose breaker is open is passed over. What an
attempt ends with says whose fault it was: the engine's (Unavailable, and whatever is no `ItemError`) counts in its
breaker, and the next candidate is asked; a full queue (Overloaded), and what this engine cannot do but another may (a
prompt over an NPU's fixed length, logprobs), only has the next one asked, after a full queue none that was not made for
the request: its places are soon free, an answer of such a model is wrong; what the caller did wrong is raised at once.
With no candidate left the errors become one, which says when to come back and what else would help.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.resilience.breaker import Breaker, Pass
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.pipeline.errors import InvalidInput, ItemError, ModelNotFound, Overloaded, Unavailable

log = logging.getLogger("fastembed.resilience")
T = TypeVar("T")
Fate = Literal["answered", "failed", "busy", "unfit", "skipped", "abandoned"]
_UNFIT: Final = frozenset({"context_length_exceeded", "unsupported_parameter"})
"""Codes of what one engine cannot do, and that of another device may."""


class NotLoaded(Unavailable):
    """A model cannot be loaded on a device: trying again at once would be in vain, and take long."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate that is being asked."""

    candidate: Candidate
    breaker: Breaker
    entered: Pass


@dataclass(frozen=True, slots=True)
class _Tried:
    """A candidate that did not answer. error: None where its breaker was open."""

    candidate: Candidate
    fate: Fate
    why: str
    retry_after_s: float | None
    error: Exception | None = None

    def __str__(self) -> str:
        return f"{self.candidate.model} on {self.candidate.device}: {self.why}"


class Attempts:
    """The attempts of one request. It sends nothing itself: `call` and `chatting.answer` do."""

    def __init__(self, candidates: Sequence[Candidate], breakers: Breakers) -> None:
        """Take the candidates, best first."""
        self._left = deque(candidates)
        self._breakers = breakers
        self._tried: list[_Tried] = []
        self._because: list[str] = []

    @property
    def story(self) -> str:
        """What was tried in vain so far, in a line; empty: nothing."""
        return "; ".join(map(str, self._tried))

    @property
    def others(self) -> bool:
        """Whether another candidate may yet be asked."""
        return bool(self._left)

    def next(self) -> Attempt | None:
        """Return the next candidate that lets a request pass, None: there is none."""
        while self._left:
            candidate = self._left.popleft()
            breaker = self._breakers.of(candidate.model, candidate.device)
            now_s = self._breakers.clock()
            entered = breaker.enter(now_s)
            if entered is not None:
                return Attempt(candidate, breaker, entered)
            wait_s = breaker.retry_after_s(now_s)
            self._note(_Tried(candidate, "skipped", self._breakers.why(wait_s), wait_s))
        return None

    def again(self, candidate: Candidate) -> None:
        """Have a candidate asked once more."""
        self._left.append(candidate)

    def keep(self, model: str) -> None:
        """Ask no other model from now on: the caller has been told that this one answers."""
        self._left = deque(candidate for candidate in self._left if candidate.model == model)

    def give_up(self, why: str) -> None:
        """Try no other candidate."""
        if self._left:
            self._because.append(why)
        self._left.clear()

    def _spare_lesser(self) -> None:
        """Ask no model that was not made for the request."""
        lesser = list(dict.fromkeys(one.model for one in self._left if one.lesser))
        if lesser:
            self._because.append(f"not made for this: {', '.join(lesser)}")
            self._left = deque(one for one in self._left if not one.lesser)

    def answered(self, attempt: Attempt) -> None:
        """Note that a candidate did its work."""
        attempt.breaker.succeeded(attempt.entered)
        self._count(attempt.candidate, "answered")

    def abandoned(self, attempt: Attempt) -> None:
        """Note that the caller left, or took back what it asked for."""
        attempt.breaker.abandoned(attempt.entered)
        self._count(attempt.candidate, "abandoned")

    def failed(self, attempt: Attempt, error: Exception, *, unfit: bool = False) -> None:
        """Note what an attempt ended with, so that the next candidate can be asked. Raises what is the caller's fault.

        unfit: whatever the error says, it is no failure of the engine. Call it in the `except` clause.
        """
        # fate        the breaker    asked next
        # abandoned   says nothing   none: the caller's own fault is raised
        # failed      counts it      the next candidate
        # busy        says nothing   the next one that was made for this
        # unfit       says nothing   the next candidate
        fate = "unfit" if unfit else _fate(error)
        if fate == "abandoned":
            self.abandoned(attempt)
            raise error
        if fate == "failed":
            attempt.breaker.failed(attempt.entered, self._breakers.clock(), surely=isinstance(error, NotLoaded))
            log.warning(
                "%s failed on %s: %s",
                attempt.candidate.model,
                attempt.candidate.device,
                error,
                exc_info=error if error.__cause__ is not None or not isinstance(error, ItemError) else None,
            )
        else:
            attempt.breaker.abandoned(attempt.entered)
        if fate == "busy" and not attempt.candidate.lesser:
            self._spare_lesser()
        # what is not ours may hold paths and names of this machine: the log has it
        why = error.message if isinstance(error, ItemError) else f"it failed ({type(error).__name__})"
        wait_s = error.retry_after_s if isinstance(error, ItemError) else None
        self._note(_Tried(attempt.candidate, fate, why, wait_s, error))

    def error(self, alternatives: Sequence[str] = (), *, to: str = "answer") -> Exception:
        """Return what to raise when no candidate answered. alternatives: what else would help, each a clause.

        to: what was to be done, for the message.
        """
        tried, alternatives = self._tried, [*self._because, *alternatives]
        # One error for all of them: 429 if a queue was full anywhere (waiting helps), 503 otherwise, and the shortest
        # of their times to come back. Where all say the same about the request, or one alone was asked, its own words
        # stand.
        if not tried:
            return Unavailable("no model could answer: there is none for this request")
        if all(one.fate == "unfit" for one in tried) or (len(tried) == 1 and not alternatives):
            first = tried[0]
            if isinstance(first.error, ItemError):
                return first.error
        kind = Overloaded if any(one.fate == "busy" for one in tried) else Unavailable
        waits_s = [one.retry_after_s for one in tried if one.retry_after_s is not None and one.fate != "unfit"]
        others = f"; {'; '.join(alternatives)}" if alternatives else ""
        error = kind(f"no model could {to}: {self.story}{others}", retry_after_s=min(waits_s, default=1.0))
        error.__cause__ = next((one.error for one in tried if one.error is not None), None)
        return error

    def _note(self, tried: _Tried) -> None:
        self._tried.append(tried)
        self._count(tried.candidate, tried.fate)

    def _count(self, candidate: Candidate, fate: Fate) -> None:
        self._breakers.count(candidate.model, candidate.device, fate)


async def call(attempts: Attempts, ask: Callable[[Candidate], Awaitable[T]]) -> T:
    """Return the first answer. Raises what the caller did wrong, else `attempts.error()`."""
    while (attempt := attempts.next()) is not None:
        try:
            answer = await ask(attempt.candidate)
        except Exception as error:  # noqa: BLE001 - the engines' boundary: `failed` raises what is none of theirs
            attempts.failed(attempt, error)
        except BaseException:  # a cancelled caller, raised again: it says nothing about the engine
            attempts.abandoned(attempt)
            raise
        else:
            attempts.answered(attempt)
            return answer
    raise attempts.error()


def _fate(error: Exception) -> Fate:
    """Say whose fault an error is."""
    if isinstance(error, Overloaded):
        return "busy"
    if isinstance(error, ModelNotFound) or (isinstance(error, InvalidInput) and error.code in _UNFIT):
        return "unfit"
    if isinstance(error, Unavailable) or not isinstance(error, ItemError):
        return "failed"
    return "abandoned"
