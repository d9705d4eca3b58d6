"""Fill a form with what a text says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
from pydantic import Field

from fastembed.operators.answering.fields import WorkedField
from fastembed.operators.answering.writer import AnswerWriter
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import ConfigError, Unprocessable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatRequest, Message, Sampling, TextPart
from fastembed.pipeline.payload.plain import PlainValue

INSTRUCTIONS: Final = "Fill in what the text says, as JSON of this schema. What it does not say is null or empty."


@operator
class Extract:
    """Have a chat model fill a JSON Schema with what a text says; its answer is held to the schema.

    In: text, or a value of which `of` gives one. Out: what the schema describes, most often a mapping; with `into`, the
    value with that under the name.

    Args:
        schema: the JSON Schema itself, or the path of a file that holds it.
        of: an expression for the text: `value.body`.
        into: put the result under this name, beside the value's other fields.
        instructions: what the model is told before the text.
        model: a name of `models:`, or "auto".
        max_tokens: most tokens of an answer.

    Raises:
        InvalidInput: no text, one that is longer than the model's context, a schema that answers cannot be held to.
        Unprocessable: the answer did not come to its end within `max_tokens`.
        Unavailable: none of the models that may answer can now.

    """

    workers = 16

    def __init__(
        self,
        schema: dict[str, Any] | Path,
        *,
        of: ValueExpression | None = None,
        into: str | None = None,
        instructions: str = INSTRUCTIONS,
        model: str = "auto",
        max_tokens: Annotated[int, Field(ge=1)] = 1024,
    ) -> None:
        self._schema = schema
        self._field = WorkedField(of, into)
        self._instructions = instructions
        self._most_tokens = max_tokens
        self._writer = AnswerWriter(model=model, max_tokens=max_tokens)

    async def open(self, context: Context) -> None:
        """Read the schema, load the model. ConfigError: there is no such file, or no schema in it."""
        if isinstance(self._schema, Path):
            self._schema = await asyncio.to_thread(_read, context.base / self._schema)
        await self._writer.open(context)

    async def __call__(self, item: Item[object]) -> PlainValue:
        """Fill one form."""
        text = self._field.text(item)
        told = f"{self._instructions}\n{json.dumps(self._schema, ensure_ascii=False)}"
        request = ChatRequest(
            (Message("system", (TextPart(told),)), Message("user", (TextPart(text),))),
            sampling=Sampling(max_tokens=self._most_tokens, temperature=0.0),
            json=self._schema if isinstance(self._schema, dict) else None,
            whole=True,
        )
        answer, whole = await self._writer.write(item, request)
        try:
            found: PlainValue = orjson.loads(answer)
        except orjson.JSONDecodeError:
            why = "" if whole else f" within {self._most_tokens} tokens (max_tokens)"
            raise Unprocessable(f"the model's answer is no whole JSON{why}: {answer[-60:]!r}") from None
        return self._field.put(item, found)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigError([f"found no JSON Schema in {path}: {error}"]) from None
    if not isinstance(found, dict):
        raise ConfigError([f"found {type(found).__name__} in {path}, expected a JSON Schema, which is an object"])
    return found
