"""A conversation is answered by the first candidate that can; what breaks before anything was shown is not seen.

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
    """Yield one answer's events. alternatives: is asked what else would help, if nobody answers. seed: makes one.

    Raises what the caller did wrong; Overloaded or Unavailable where nobody answers, or nobody goes on with an answer.
    """
    curtain = _Curtain(request)
    while (attempt := attempts.next()) is not None:
        goes_on = curtain.open
        try:
            events = ask(attempt.candidate, request, attempts.story, curtain.progress)
            async with aclosing(_through(curtain, events)) as shown:
                async for event in shown:
                    yield event
        except Exception as error:  # noqa: BLE001 - the engines' boundary: `failed` raises what is none of theirs
            attempts.failed(attempt, error, unfit=goes_on and isinstance(error, CannotGoOn))
            curtain.fall(error, attempt.candidate, attempts)
            continue
        except BaseException:
            attempts.abandoned(attempt)
            raise
        attempts.answered(attempt)
        if not curtain.faulty() or not (attempts.others or request.sampling.temperature > 0):
            break
        curtain.set_aside()
        if not attempts.others:
            request = replace(request, sampling=replace(request.sampling, seed=seed()))
            attempts.again(attempt.candidate)
    else:
        if curtain.open:
            raise attempts.error(to="go on with this answer")
        if not curtain.spare:
            raise attempts.error(alternatives())
    for event in curtain.rest():
        yield event


class _Curtain:
    """Keeps events back until there is something to show.

    named: it is known outside which model answers. open: something of the answer is. progress: of the attempt that runs
    and, once something was shown, of those before it. spare: an answer that is no good, for the case that there is no
    better one.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._kept: list[ChatEvent] = []
        self.named = False
        self.open = False
        self.spare: list[ChatEvent] = []
        self.progress = AnswerProgress()
        self._began_again = False

    def passes(self, event: ChatEvent) -> Sequence[ChatEvent]:
        """Take an event, return what may be shown now."""
        if isinstance(event, ChatStarted):
            if not (self.named or self.open):
                self._kept.append(event)
            return ()
        self._kept.append(event)
        if self._request.whole or isinstance(event, ChatFinished):
            return ()
        self.open = True
        return self._released()

    def reveal(self) -> Sequence[ChatEvent]:
        """Return which model answers, though it has said nothing yet."""
        self.named = bool(self._kept)
        return self._released()

    def rest(self) -> Sequence[ChatEvent]:
        """Return what is kept yet, at the end of all attempts."""
        return () if self.open else self._released() or self.spare

    def fall(self, error: Exception, candidate: Candidate, attempts: Attempts) -> None:
        """Drop what is kept of an attempt that has failed, and say who may be asked next."""
        self._kept.clear()
        if self.named or self.open:
            attempts.keep(candidate.model)
        if not self.open:
            self.progress = AnswerProgress()
            if isinstance(error, CannotGoOn) and not attempts.others and not self._began_again:
                self._began_again = True  # it can from its beginning, where it broke off
                attempts.again(candidate)
        elif isinstance(error, Garbled):
            attempts.give_up("nobody goes on behind garble")
        elif self.progress.formed:
            attempts.give_up("one that is held to a form (a JSON schema, a tool call) cannot go on in the middle")

    def set_aside(self) -> None:
        """Keep an answer that is no good for the case that there is no better one."""
        self.spare, self._kept, self.progress = self._kept, [], AnswerProgress()

    def faulty(self) -> bool:
        """Whether what is kept, the first time, is empty for no reason, or was cut as one that would not have ended."""
        if self.open or self.spare:
            return False
        ends = [event for event in self._kept if isinstance(event, ChatFinished)]
        said = {event.index for event in self._kept if isinstance(event, ChatDelta) and _says(event)}
        may_be_empty = self._request.prompt is not None or self._request.sampling.stop
        return any(end.cut or (end.reason == "stop" and end.index not in said and not may_be_empty) for end in ends)

    def _released(self) -> list[ChatEvent]:
        kept, self._kept = self._kept, []
        return kept


async def _through(curtain: _Curtain, events: AsyncGenerator[ChatEvent]) -> AsyncGenerator[ChatEvent]:
    """Yield what may be shown of one attempt's events."""
    async with aclosing(events):
        async for event in events:
            for one in curtain.passes(event):
                yield one
            break
        if not curtain.open:
            following = asyncio.ensure_future(anext(events, None))
            try:
                await asyncio.wait([following], timeout=PATIENCE_S)
                if not following.done():
                    for one in curtain.reveal():
                        yield one
                second = await following
            finally:
                if not following.done():
                    following.cancel()
                    await asyncio.wait([following])
            for one in () if second is None else curtain.passes(second):
                yield one
        async for event in events:
            if curtain.open:
                yield event
            else:
                for one in curtain.passes(event):
                    yield one


def _says(delta: ChatDelta) -> bool:
    return bool(delta.text or delta.reasoning or delta.tool_name)
