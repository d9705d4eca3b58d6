"""From one answer's tokens to what is shown of it: text, reasoning, tool calls.

tokens -> stop strings -> reasoning | answer -> tool calls | text -> is it an answer at all?
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from fastembed.inference.engines.chat.calling import CallStyle
from fastembed.inference.engines.chat.calls import CallArguments, CallBegun, CallParser, Found
from fastembed.inference.engines.chat.generation import Ended, Token
from fastembed.inference.engines.chat.reasoning import ReasoningSplitter
from fastembed.inference.engines.chat.repeated_calls import RepeatedCalls
from fastembed.inference.engines.chat.stops import StopStrings
from fastembed.inference.engines.sanity import Fault, TextCheck
from fastembed.pipeline.payload.chat import ChatDelta, FinishReason, TokenLogprob


class AnswerSplitter:
    """One choice on its way out. `stopped`: a stop string, or a call beyond the allowed one, ends it here."""

    def __init__(
        self,
        index: int,
        *,
        stops: Sequence[str] = (),
        style: CallStyle | None = None,
        forced: bool = False,
        one_call: bool = False,
        thinks: bool = False,
        opened: bool = False,
        logprobs: bool = False,
        likeliest: bool = False,
    ) -> None:
        """Show choice `index`. style: how tool calls are written, None: there are none. opened: it starts thinking.

        likeliest: each chosen token is the likeliest one, and is told as such.
        """
        self._index = index
        self._stops = StopStrings(stops)
        self._reasoning = ReasoningSplitter(enabled=thinks, opened=opened)
        self._calls = CallParser(style, forced=forced) if style else None
        self._repeats = RepeatedCalls() if forced else None
        self._one_call = one_call
        self._begun = 0
        self._logprobs = logprobs
        self._likeliest = likeliest
        self._check = TextCheck()
        self._held: list[ChatDelta] = []
        self.stopped = False
        self.tokens = 0
        self.reasoning_tokens = 0

    def feed(self, tokens: Sequence[Token], tail: str = "") -> list[ChatDelta]:
        """Return what these tokens add; those after the end are not counted."""
        deltas: list[ChatDelta] = []
        for token in tokens:
            if self.stopped:
                break
            self.tokens += 1
            self.reasoning_tokens += self._reasoning.thinking
            shown = self._through(self._stops.feed(token.text)) if token.text else []
            self.stopped = self.stopped or bool(self._stops.found)
            deltas += self._with_logprob(shown, token)
        if tail and not self.stopped:
            deltas += self._through(self._stops.feed(tail))
            self.stopped = bool(self._stops.found)
        return self._checked(_merged(deltas))

    def end(self, ended: Ended) -> tuple[list[ChatDelta], FinishReason]:
        """Return what was held back, and why the answer ends."""
        deltas = self._through("" if self.stopped else self._stops.flush())
        cut = self.stopped or ended == "length"
        reasoning, text = self._reasoning.flush(cut=cut)
        if reasoning:
            deltas.append(ChatDelta(self._index, reasoning=reasoning))
        if text:
            deltas += self._answer(text)
        if self._calls:
            deltas += self._shown(self._calls.close(cut=cut))
            if self._repeats:
                deltas += self._repeats.close()
        deltas = self._checked(_merged(deltas))
        if self._begun and (self.stopped or ended == "stop"):
            return deltas, "tool_calls"
        return deltas, "stop" if self.stopped else ended

    @property
    def stop(self) -> str:
        """The stop string that ended it; "": none did."""
        return self._stops.found

    @property
    def fault(self) -> Fault | None:
        """Why this is no answer and should be ended; None: it may be one."""
        return self._check.fault

    @property
    def garbled(self) -> bool:
        """Whether, with nothing more to come, it is garble."""
        return self._check.suspect or self._check.fault is Fault.GARBLE

    def _checked(self, deltas: list[ChatDelta]) -> list[ChatDelta]:
        """Return what may be shown: all, but garble that an answer begins with."""
        for delta in deltas:
            self._check.feed(delta.text or delta.reasoning or delta.tool_arguments)
        if self._check.suspect:
            self._held += deltas
            return []
        if self._held:
            deltas, self._held = self._held + deltas, []
        return deltas

    def _through(self, text: str) -> list[ChatDelta]:
        reasoning, answer = self._reasoning.feed(text) if text else ("", "")
        deltas = [ChatDelta(self._index, reasoning=reasoning)] if reasoning else []
        return deltas + (self._answer(answer) if answer else [])

    def _answer(self, text: str) -> list[ChatDelta]:
        return self._shown(self._calls.feed(text)) if self._calls else [ChatDelta(self._index, text=text)]

    def _shown(self, found: Sequence[Found]) -> list[ChatDelta]:
        deltas = self._calls_and_texts(found)
        if self._repeats is None:
            return deltas
        kept = [delta for one in deltas for delta in self._repeats.feed(one)]
        self.stopped = self.stopped or self._repeats.found
        return kept

    def _calls_and_texts(self, found: Sequence[Found]) -> list[ChatDelta]:
        deltas: list[ChatDelta] = []
        for one in found:
            match one:
                case CallBegun(index, name):
                    if self._one_call and index:
                        self.stopped = True
                        break
                    self._begun = index + 1
                    call_id = f"call_{uuid.uuid4().hex[:24]}"
                    deltas.append(ChatDelta(self._index, tool_index=index, tool_id=call_id, tool_name=name))
                case CallArguments(index, text):
                    if index < self._begun:
                        deltas.append(ChatDelta(self._index, tool_index=index, tool_arguments=text))
                case str():
                    deltas.append(ChatDelta(self._index, text=one))
        return deltas

    def _with_logprob(self, deltas: list[ChatDelta], token: Token) -> list[ChatDelta]:
        """Attach the token's probability to what it adds, or to an empty delta."""
        if not self._logprobs:
            return deltas
        top = ((token.text, token.logprob),) if self._likeliest else ()
        return [*deltas, ChatDelta(self._index, logprobs=(TokenLogprob(token.text, token.logprob, top),))]


def _merged(deltas: Sequence[ChatDelta]) -> list[ChatDelta]:
    """Join neighbours of one kind: a reader that is late gets fewer, larger pieces."""
    merged: list[ChatDelta] = []
    for delta in deltas:
        last = merged[-1] if merged else None
        if last is not None and last.tool_name is None and delta.tool_name is None and _joins(last, delta):
            merged[-1] = ChatDelta(
                delta.index,
                text=last.text + delta.text,
                reasoning=last.reasoning + delta.reasoning,
                tool_index=last.tool_index if last.tool_index is not None else delta.tool_index,
                tool_arguments=last.tool_arguments + delta.tool_arguments,
                logprobs=last.logprobs + delta.logprobs,
            )
        else:
            merged.append(delta)
    return merged


def _joins(one: ChatDelta, other: ChatDelta) -> bool:
    """Whether two deltas say the same kind of thing; a bare probability joins anything."""
    kinds = {kind for delta in (one, other) if (kind := _kind(delta)) is not None}
    return len(kinds) <= 1


def _kind(delta: ChatDelta) -> object:
    if delta.tool_index is not None:
        return delta.tool_index
    return "reasoning" if delta.reasoning else "text" if delta.text else None
