"""Make a request to a chat model of what a path of one's own takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatRequest, ChatRole, Message, Sampling, TextPart

_ROLES: Final = ("system", "developer", "user", "assistant")


@operator
class ToChat:
    """Make a conversation for a chat model of a text, or of a list of turns.

    In: text, a list of turns `{role: user, content: text}`, or what `of` makes one of those of; of a mapping without
    `of`, its field `messages` or `text`. Out: `ChatRequest`, for `generate` and `converse`.

    Args:
        of: an expression for the text or the turns: `value.question`.
        system: the instructions that stand before it.
        model: who is asked, a name of `models:`; by default what the step behind it says.
        max_tokens: of the answer.
        temperature: 0 always takes the likeliest token.

    Raises:
        InvalidInput: nothing of that; the message says what was found.

    """

    def __init__(
        self,
        of: ValueExpression | None = None,
        *,
        system: str = "",
        model: str = "auto",
        max_tokens: Annotated[int, Field(ge=1)] | None = None,
        temperature: Annotated[float, Field(ge=0, le=2)] = 1.0,
    ) -> None:
        self._of = of
        self._before = (Message("system", (TextPart(system),)),) if system else ()
        self._request = ChatRequest(model=model, sampling=Sampling(max_tokens=max_tokens, temperature=temperature))

    def __call__(self, item: Item[str | list[Any] | dict[str, Any]]) -> ChatRequest:
        """Make one request; runs on the event loop."""
        found: Any = item.value if self._of is None else self._of.evaluate(item)
        if isinstance(found, Mapping):
            found = found.get("messages", found.get("text"))
        turns = turns_of(found)
        request = self._request
        return ChatRequest(messages=(*self._before, *turns), model=request.model, sampling=request.sampling)


def turns_of(found: object) -> tuple[Message, ...]:
    """Return the turns that a text, or a list of `{role, content}`, says. InvalidInput names what is wrong."""
    if isinstance(found, str):
        if not found.strip():
            raise InvalidInput("found an empty text, expected words")
        return (Message("user", (TextPart(found),)),)
    if not isinstance(found, list) or not found:
        kind = "nothing" if found in (None, []) else type(found).__name__
        raise InvalidInput(f"found {kind}, expected text, or a list of turns {{role, content}}")
    return tuple(_turn(place, turn) for place, turn in enumerate(found))


def _turn(place: int, turn: object) -> Message:
    role = turn.get("role") if isinstance(turn, Mapping) else None
    content = turn.get("content") if isinstance(turn, Mapping) else None
    if role not in _ROLES:
        raise InvalidInput(f"found role {role!r:.40} in turn {place}, expected one of {', '.join(_ROLES)}")
    if not isinstance(content, str):
        raise InvalidInput(f"found content of {type(content).__name__} in turn {place}, expected text")
    return Message(cast("ChatRole", role), (TextPart(content),))
