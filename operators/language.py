"""Tell the language of a text."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from fastembed.operators.answering.fields import WorkedField
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.plain import PlainValue

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN: Final = "und"
"""ISO 639's code for a language that could not be told."""
_NO_LANGUAGE: Final = "zxx"
_MOST_CHARS: Final = 4096


@operator
class Language:
    """Tell the language of a text, by its letters (py3langid, 140 languages; a few words are enough).

    In: text, or a value of which `of` gives one. Out: the code of ISO 639-1 (`en`, `de`), `und` where it is too
    uncertain; with `into`, the value with the code under that name.

    Args:
        of: an expression for the text: `value.question`.
        into: put the code under this name, beside the value's other fields.
        among: only these are considered, such as `[en, de, fr]`; short texts are told more surely then.
        least: the probability below which the answer is `und`.

    Raises:
        InvalidInput: no text.

    """

    workers = 2

    def __init__(
        self,
        *,
        of: ValueExpression | None = None,
        into: str | None = None,
        among: tuple[str, ...] = (),
        least: Annotated[float, Field(ge=0, le=1)] = 0.5,
    ) -> None:
        self._field = WorkedField(of, into)
        self._among = among
        self._least = least
        self._lock = Lock()
        self._identifier: LanguageIdentifier | None = None

    async def open(self, context: Context) -> None:
        """Load the table of the languages (some 100 MB while it is unpacked, 1.5 s)."""
        del context
        self._identifier = await asyncio.to_thread(self._loaded)

    async def __call__(self, item: Item[object]) -> PlainValue:
        """Tell one text's language."""
        text = self._field.text(item)[:_MOST_CHARS]
        return self._field.put(item, await asyncio.to_thread(self._told, text))

    def _told(self, text: str) -> str:
        with self._lock:
            identifier = self._identifier or self._loaded()
            code, probability = identifier.classify(text)
        return code if probability >= self._least and code != _NO_LANGUAGE else UNKNOWN

    def _loaded(self) -> LanguageIdentifier:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        if unknown := set(self._among) - set(identifier.labels):
            raise ConfigError(
                [f"language: found {', '.join(sorted(unknown))}, expected codes of {', '.join(identifier.labels)}"]
            )
        if self._among:
            identifier.set_languages(list(self._among))
        return identifier
