"""Say what pictures show."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from fastembed.inference.engines.media.pictures import decode_picture
from fastembed.operators.answering.writer import AnswerWriter
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatRequest, ImagePart, Message, Sampling, TextPart
from fastembed.pipeline.payload.plain import PlainValue

QUESTION: Final = "Describe this picture in one or two sentences."


@operator
class Describe:
    """Have a vision model say what a picture shows.

    In: bytes of a PNG, JPEG, WebP or still GIF, these in base64, pixels uint8 [height, width, 3] in RGB, or a mapping
    with one of those as `picture`, as `frames` gives it. Out: text; of a mapping the same with the text under `into` in
    place of the picture.

    Args:
        question: what the model is asked about each picture.
        model: a name of `models:` that sees, or "auto": one that does.
        into: the name under which a mapping gets the text.
        max_tokens: most tokens of a text.
        temperature: 0 always takes the likeliest token.

    Raises:
        InvalidInput: no picture, a broken one, or a model that does not see.
        Unavailable: none of the models that may answer can now.

    """

    workers = 16

    def __init__(
        self,
        *,
        question: str = QUESTION,
        model: str = "auto",
        into: str = "text",
        max_tokens: Annotated[int, Field(ge=1)] = 128,
        temperature: Annotated[float, Field(ge=0, le=2)] = 0.0,
    ) -> None:
        self._question = TextPart(question)
        self._into = into
        self._sampling = Sampling(max_tokens=max_tokens, temperature=temperature)
        self._writer = AnswerWriter(model=model, max_tokens=max_tokens)

    async def open(self, context: Context) -> None:
        """Load the model that answers first."""
        await self._writer.open(context)

    async def __call__(self, item: Item[bytes | np.ndarray[Any, Any] | dict[str, Any]]) -> PlainValue:
        """Describe one picture."""
        value: Any = item.value
        picture = value.get("picture") if isinstance(value, dict) else value
        picture = _bytes_of(picture) if isinstance(picture, str) else picture
        pixels = await asyncio.to_thread(decode_picture, picture) if isinstance(picture, bytes) else picture
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:  # noqa: PLR2004 - RGB
            raise InvalidInput(
                f"found {type(picture).__name__}, expected a picture: bytes, or uint8 [height, width, 3], or a mapping "
                "with one as `picture`"
            )
        message = Message("user", (ImagePart(pixels), self._question))
        text, _ = await self._writer.write(item, ChatRequest((message,), sampling=self._sampling, whole=True))
        if not isinstance(value, dict):
            return text
        return {**{name: field for name, field in value.items() if name != "picture"}, self._into: text}


def _bytes_of(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise InvalidInput("found text, expected a picture, in base64", param="picture") from None
