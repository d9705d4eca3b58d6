"""Answer with a chat model, each answer in one piece; remember the conversation of a session."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

from pydantic import Field

from fastembed.operators.answering.fields import WorkedField
from fastembed.operators.answering.writer import AnswerWriter
from fastembed.operators.to_chat import turns_of
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import InvalidInput, Overloaded
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatRequest, Message, Sampling, TextPart
from fastembed.pipeline.payload.plain import PlainValue
from fastembed.pipeline.recent import Recent

MAX_CONVERSATIONS: Final = 4096
_WAITING: Final = 8


@dataclass(slots=True)
class TalkMemory:
    """The last turns of one key. waiting: messages whose turn has not come, the one that is answered included."""

    turns: list[Message] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@operator
class Converse:
    """Answer a text or a conversation with a chat model; the answer comes as text, in one piece.

    With `remember`, the messages of one key (a websocket's session, or what the source's `key` says) are one
    conversation: they are answered one after the other, each in the light of the turns before it. What is remembered is
    in memory only; of more than 4096 conversations the longest unused is forgotten.

    In: text, a `ChatRequest`, a list of turns, or a value of which `of` gives one of those. Out: text; with `into`, the
    value with the text under that name.

    Args:
        of: an expression for what is asked: `value.question`.
        into: put the answer under this name, beside the value's other fields.
        system: instructions that stand before every conversation.
        model: name from `models:`, or "auto".
        max_tokens: most tokens of an answer.
        temperature: 0 always takes the likeliest token.
        remember: so many turns, of both sides together, stay in mind.

    Raises:
        InvalidInput: nothing to answer, or a conversation longer than the model's context.
        Overloaded: more than 8 messages of one conversation wait for their answers, or too many answers are under way.
        Unavailable: none of the models that may answer can now.

    """

    workers = 256

    def __init__(
        self,
        *,
        of: ValueExpression | None = None,
        into: str | None = None,
        system: str = "",
        model: str = "auto",
        max_tokens: Annotated[int, Field(ge=1)] | None = None,
        temperature: Annotated[float, Field(ge=0, le=2)] = 1.0,
        remember: Annotated[int, Field(ge=0, le=1000)] = 0,
    ) -> None:
        self._field = WorkedField(of, into)
        self._before = (Message("system", (TextPart(system),)),) if system else ()
        self._sampling = Sampling(max_tokens=max_tokens, temperature=temperature)
        self._remember = remember
        self._writer = AnswerWriter(model=model, max_tokens=max_tokens)
        self._memories: Recent[str, TalkMemory] = Recent(MAX_CONVERSATIONS)

    async def open(self, context: Context) -> None:
        """Load the model that answers first."""
        await self._writer.open(context)

    async def __call__(self, item: Item[object]) -> PlainValue:
        """Answer one message."""
        asked = self._field.read(item)
        if isinstance(asked, ChatRequest):
            request = replace(asked, messages=(*self._before, *asked.messages), whole=True)
        else:
            request = ChatRequest((*self._before, *turns_of(asked)), sampling=self._sampling, whole=True)
        if request.prompt is not None and self._remember:
            raise InvalidInput("found a text to complete, expected messages: a conversation is remembered")
        return self._field.put(item, await self._answer(item, request))

    async def _answer(self, item: Item[Any], request: ChatRequest) -> str:
        if not self._remember or item.key is None:
            return (await self._writer.write(item, request))[0]
        memory = self._memories.get(item.key)
        if memory is None:
            memory = TalkMemory()
            self._memories.set(item.key, memory)
        if memory.waiting >= _WAITING:
            raise Overloaded(
                f"found {memory.waiting} messages that wait for their answers, expected fewer", retry_after_s=1.0
            )
        memory.waiting += 1
        try:
            async with memory.lock:
                return await self._next_turn(item, request, memory)
        finally:
            memory.waiting -= 1

    async def _next_turn(self, item: Item[Any], request: ChatRequest, memory: TalkMemory) -> str:
        new = request.messages[len(self._before) :]
        whole = replace(request, messages=(*self._before, *memory.turns, *new))
        answer, _ = await self._writer.write(item, whole)
        turns = [*memory.turns, *new, Message("assistant", (TextPart(answer),))][-self._remember :]
        while turns and turns[0].role == "assistant":  # a model's template may want the user's turn first
            turns.pop(0)
        memory.turns = turns
        return answer
