"""Answer a chat request with the first candidate that can; a failure before anything was sent stays unseen.

Nothing of an attempt is handed on before it has something to show, so that the next candidate can take over unseen; an
answer that is sent in one piece (`ChatRequest.whole`) is kept until it is complete. Only `ChatStarted` is not kept
longer than `PATIENCE_S`: a stream's headers and its signs of life depend on it. From then on the model stays, devices
may change.

What breaks off later goes on, unseen too, on the next device of the same model, behind the tokens that were produced
(`fastembed.inference.engines.chat.resume`). Another model never goes on with its words: with no device left an error
ends the stream.

An answer that is empty, or that was cut because it would not have ended, is asked for once more if nothing of it was
shown: of the next candidate, else with another seed. The second answer is given whatever it is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from fastembed.inference.engines.chat.resume import AnswerProgress, CannotGoOn
from fastembed.inference.engines.sanity import Garbled
from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.resilience.attempts import Attempts
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted

PATIENCE_S: Final = 10.0

Ask = Callable[[Candidate, ChatRequest, str, AnswerProgress], AsyncGenerator[ChatEvent]]
"""Asks one candidate, to go on behind the progress; the text says what was tried before."""


async def answer(
    request: ChatRequest,
    attempts: Attempts,
    ask: Ask,
    *,
    alternatives: Callable[[], Sequence[str]] = tuple,
    seed: Callable[[], int] = lambda: random.getrandbits(32),
) -> AsyncGenerator[ChatEvent]:
    """Yield one answer's events. alternatives: is asked what else would help, if no model answers. seed: makes one.

    Raises what the caller did wrong; Overloaded or Unavailable where no model answers, or goes on with an answer.
    """
    held = HeldAnswer(request)
    while (attempt := attempts.next()) is not None:
        goes_on = held.shown
        try:
            events = ask(attempt.candidate, request, attempts.story, held.progress)
            async with aclosing(_through(held, events)) as released:
                async for event in released:
                    yield event
        except Exception as error:  # noqa: BLE001 - the engines' boundary: `failed` raises what is none of theirs
            attempts.failed(attempt, error, unfit=goes_on and isinstance(error, CannotGoOn))
            held.discard(error, attempt.candidate, attempts)
            continue
        except BaseException:  # a cancelled caller, raised again: it says nothing about the engine
            attempts.abandoned(attempt)
            raise
        attempts.answered(attempt)
        if not held.faulty() or not (attempts.others or request.sampling.temperature > 0):
            break
        held.keep_as_fallback()
        if not attempts.others:
            request = replace(request, sampling=replace(request.sampling, seed=seed()))
            attempts.again(attempt.candidate)
    else:
        if held.shown:
            raise attempts.error(to="go on with this answer")
        if not held.fallback:
            raise attempts.error(alternatives())
    for event in held.remaining():
        yield event


class HeldAnswer:
    """Holds one attempt's events until the first of them that shows something; after that nothing is held.

    announced: the caller knows which model answers. shown: it has seen a part of the answer. progress: of the attempt
    that runs and, once something was shown, of those before it. fallback: a faulty answer, sent where no better one
    comes.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._events: list[ChatEvent] = []
        self.announced = False
        self.shown = False
        self.fallback: list[ChatEvent] = []
        self.progress = AnswerProgress()
        self._began_again = False

    def accept(self, event: ChatEvent) -> Sequence[ChatEvent]:
        """Take an event; return the events to send now."""
        if isinstance(event, ChatStarted):
            if not (self.announced or self.shown):
                self._events.append(event)
            return ()
        self._events.append(event)
        if self._request.whole or isinstance(event, ChatFinished):
            return ()
        self.shown = True
        return self.release()

    def announce(self) -> Sequence[ChatEvent]:
        """Return `ChatStarted`, if it is held: the caller learns which model answers before it says anything."""
        self.announced = bool(self._events)
        return self.release()

    def remaining(self) -> Sequence[ChatEvent]:
        """Return the events to send at the end of all attempts: what is held, else the fallback."""
        return () if self.shown else self.release() or self.fallback

    def discard(self, error: Exception, candidate: Candidate, attempts: Attempts) -> None:
        """Drop the held events of an attempt that has failed, and limit which candidates may be asked next."""
        self._events.clear()
        if self.announced or self.shown:
            attempts.keep(candidate.model)
        if not self.shown:
            self.progress = AnswerProgress()
            if isinstance(error, CannotGoOn) and not attempts.others and not self._began_again:
                self._began_again = True  # it can from its beginning, where it broke off
                attempts.again(candidate)
        elif isinstance(error, Garbled):
            attempts.give_up("an answer that stopped being text is not continued")
        elif self.progress.formed:
            attempts.give_up("an answer held to a form (a JSON schema, a tool call) cannot go on in the middle")

    def keep_as_fallback(self) -> None:
        """Keep a faulty answer; it is sent if no better one comes."""
        self.fallback, self._events, self.progress = self._events, [], AnswerProgress()

    def faulty(self) -> bool:
        """Whether the first answer, still held, is empty for no reason, or was cut because it would not end."""
        if self.shown or self.fallback:
            return False
        ends = [event for event in self._events if isinstance(event, ChatFinished)]
        said = {event.index for event in self._events if isinstance(event, ChatDelta) and _says(event)}
        begun = [message.role for message in self._request.messages[-1:]] == ["assistant"]
        goes_on = self._request.prompt is not None or begun
        may_be_empty = goes_on or self._request.sampling.stop
        return any(end.cut or (end.reason == "stop" and end.index not in said and not may_be_empty) for end in ends)

    def release(self) -> list[ChatEvent]:
        """Return the held events, and hold them no longer."""
        kept, self._events = self._events, []
        return kept


async def _through(held: HeldAnswer, events: AsyncGenerator[ChatEvent]) -> AsyncGenerator[ChatEvent]:
    """Yield the events of one attempt that are to be sent, as `HeldAnswer` releases them."""
    async with aclosing(events):
        async for event in events:
            for one in held.accept(event):
                yield one
            break
        if not held.shown:
            following = asyncio.ensure_future(anext(events, None))
            try:
                await asyncio.wait([following], timeout=PATIENCE_S)
                if not following.done():
                    for one in held.announce():
                        yield one
                second = await following
            finally:
                if not following.done():
                    following.cancel()
                    await asyncio.wait([following])
            for one in () if second is None else held.accept(second):
                yield one
        async for event in events:
            if held.shown:
                yield event
            else:
                for one in held.accept(event):
                    yield one


def _says(delta: ChatDelta) -> bool:
    return bool(delta.text or delta.reasoning or delta.tool_name)
