"""A plug-in that uses everything public, one component of each kind: type-checked strictly, and run by the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

from fastembed.pipeline.component import Batch, Context, operator, sink, source, threaded_operator
from fastembed.pipeline.errors import InvalidInput, Unprocessable
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.payload.document import Chunk, Document
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from fastembed.pipeline.units import Duration, Size


@source
class Countdown:
    """Yield the numbers from `start` down to 1, one every `pause`."""

    def __init__(self, start: int, *, pause: Duration = 0.0) -> None:
        """Remember the options; `items` counts."""
        self._start = start
        self._pause_s = pause
        self.ends: list[Outcome] = []

    async def items(self) -> AsyncIterator[Item[int]]:
        """Yield until there is no more."""
        for number in range(self._start, 0, -1):
            yield Item(number, key="odd" if number % 2 else "even", on_settled=self._settled)
            await asyncio.sleep(self._pause_s)

    def _settled(self, outcome: Outcome, error: BaseException | None) -> None:
        assert error is None or isinstance(error, Exception)
        self.ends.append(outcome)


@operator
def spell(number: int, *, most: int = 9) -> str:
    """Return the word for a number; an item whose number is too large is refused to its caller with status 400."""
    if number > most:
        raise InvalidInput(f"found {number}, expected at most {most}", param="number")
    return ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[number]


@operator
def keep(text: str, *, longer_than: int = 0) -> str | None:
    """Pass a text on, or None: the item ends as filtered."""
    return text if len(text) > longer_than else None


@operator
async def look_up(text: str, *, wait: Duration = 0.0) -> str:
    """Return the text in upper case after a pause; a step's `workers` says how many wait at once."""
    await asyncio.sleep(wait)
    return text.upper()


@threaded_operator
def digest(text: str) -> int:
    """Return the sum of the code points; runs in a thread, so that the event loop goes on."""
    return sum(map(ord, text))


@operator
def letters(text: str) -> Iterator[str]:
    """Yield one item for each letter."""
    yield from text


@operator
def lengths(texts: Batch[str]) -> list[int | InvalidInput]:
    """Return one result for each text of a batch; an exception instance fails that text alone."""
    return [len(text) if text else InvalidInput("found an empty text, expected letters") for text in texts]


@operator
async def running_total(numbers: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
    """Yield the sum so far of one key's numbers: a stream of its own for each key, so the state is a local variable."""
    total = 0
    async for item in numbers:
        total += item.value
        yield item.derive(total)


@operator
class Prefix:
    """Put words before a text; `open` is called before the first item, `close` after the last."""

    workers: ClassVar[int] = 4

    def __init__(self, *, words: str, most: Size = 1024) -> None:
        """Remember the options, which are the step's YAML keys."""
        self._words = words
        self._most = most
        self._pipeline = ""

    async def open(self, context: Context) -> None:
        """Learn where the component runs."""
        self._pipeline = context.pipeline

    async def __call__(self, text: str) -> str:
        """Return the text behind the words. Raises Unprocessable if that is too long."""
        longer = f"{self._words} {text}"
        if len(longer) > self._most:
            raise Unprocessable(f"found {len(longer)} characters, expected at most {self._most}")
        return longer

    async def close(self) -> None:
        """Free what `open` took."""


@operator
def title(document: Document) -> str | None:
    """Return a document's title: one of the payloads that shipped operators give and take."""
    return document.title or None


@operator
def ask(chunk: Chunk) -> EmbeddingRequest:
    """Return a request for the shipped step `embed`."""
    return EmbeddingRequest(inputs=(chunk.text,))


@sink
class Memory:
    """Keep what arrives, all that came of one source item together: `write` stages, `commit` makes it last."""

    transactional: ClassVar[bool] = True

    def __init__(self) -> None:
        """Start empty."""
        self.kept: list[object] = []
        self._staged: dict[int, list[object]] = {}

    async def write(self, item: Item[object]) -> None:
        """Stage one item."""
        self._staged.setdefault(item.ack.origin.id, []).append(item.value)

    async def commit(self, origin: Item[object]) -> None:
        """Keep all that was staged of `origin`."""
        self.kept += self._staged.pop(origin.id, [])

    async def abort(self, origin: Item[object]) -> None:
        """Forget all that was staged of `origin`."""
        self._staged.pop(origin.id, None)
