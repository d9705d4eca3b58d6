"""One answer under way, between an engine and the event loop."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from fastembed.inference.engines.chat.detokenize import BytesDetokenizer, Detokenizer
from fastembed.inference.engines.chat.native import reason
from fastembed.inference.engines.chat.pictures import SeenPrompt
from fastembed.pipeline.errors import Unavailable

if TYPE_CHECKING:
    from fastembed.inference.engines.chat.decoding import Decoder

Ended = Literal["stop", "length"]
_ids: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the answer and the text that can be shown since; logprob: natural logarithm of its probability."""

    id: int
    text: str
    logprob: float = 0.0


@dataclass(frozen=True, slots=True)
class GeneratedPiece:
    """What came of one answer in one go. The last piece has `ended` or `error`."""

    index: int
    tokens: Sequence[Token] = ()
    ended: Ended | None = None
    error: Exception | None = None
    tail: str = ""  # text of earlier tokens that waited for the rest of a character


class Mailbox:
    """Where the pieces of one request's answers arrive. Its size is bounded by the tokens that the request may take."""

    def __init__(self) -> None:
        """Belong to the running event loop."""
        self.loop = asyncio.get_running_loop()
        self._pieces: deque[GeneratedPiece] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, piece: GeneratedPiece) -> None:
        """Deliver, on the event loop."""
        self._pieces.append(piece)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def pieces(self) -> AsyncGenerator[GeneratedPiece]:
        """Yield for ever: the reader knows when all its answers have ended."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            self._waiter = self.loop.create_future()
            await self._waiter


class Generation:
    """One answer that an engine was asked for. `cancel` may come from anywhere."""

    def __init__(
        self, prompt: Sequence[int], config: Any, mailbox: Mailbox, index: int = 0, seen: SeenPrompt | None = None
    ) -> None:
        """Ask for one answer to `prompt` (token ids) with a genai GenerationConfig.

        seen: the prompt as models that see take it.
        """
        self.id = next(_ids)  # fresh for ever: a repeated id breaks genai's scheduler
        self.prompt = prompt
        self.config = config
        self.mailbox = mailbox
        self.index = index
        self.seen = seen
        self.carried: list[int] = []  # produced, and part of the prompt since
        self.window = Detokenizer()
        self.bytes = BytesDetokenizer()
        self.handle: Any = None
        self.produced: list[int] = []
        self.ended: Ended = "stop"
        self.attempts = 0
        self.cancelled = False

    @property
    def resumable(self) -> bool:
        """Whether a new request can go on where this one broke off, once: a grammar cannot start in the middle."""
        return not self.attempts and (not self.produced or self.config.structured_output_config is None)

    def renew(self) -> None:
        """Become a new request that goes on after what was produced; nothing of the old one may be used again."""
        self.id = next(_ids)
        self.handle = None
        self.prompt = [*self.prompt, *self.produced]
        self.carried += self.produced
        self.config.max_new_tokens -= len(self.produced)
        self.produced = []

    def cancel(self) -> None:
        """Generate no more; the place is free after the engine's current step."""
        self.cancelled = True
        handle = self.handle
        if handle is not None:
            handle.cancel()


class TextEngine(Protocol):
    """Continues token ids; safe for concurrent use from one event loop.

    decoder: makes text of its tokens. tells_logprobs: whether tokens come with their probabilities. before_step: called
    on the event loop before a step that blocks it.
    """

    decoder: Decoder
    tells_logprobs: bool
    before_step: Callable[[], None]

    @property
    def device(self) -> str:
        """OpenVINO's name of the device."""

    @property
    def room(self) -> int:
        """Most tokens of a prompt and its answer together."""

    @property
    def longest_prompt(self) -> int:
        """Most tokens of a prompt."""

    @property
    def cache_bytes(self) -> int:
        """What is kept for contexts beside the model."""

    def config(self) -> Any:
        """Return a fresh GenerationConfig with the model's own defaults."""

    def submit(self, generations: Sequence[Generation]) -> None:
        """Begin. Raises Overloaded, Unavailable."""

    def give_way(self) -> None:
        """Let what is ready on the event loop run before the next step."""

    def release(self, generations: Iterable[Generation]) -> None:
        """Cancel those that have not ended."""

    async def close(self) -> None:
        """Fail what runs with Unavailable, free the model."""


def nothing() -> None:
    """Do nothing before a step."""


def failed(generation: Generation, cause: BaseException) -> tuple[Generation, GeneratedPiece]:
    """Return the piece that ends an answer with what the engine said."""
    error = Unavailable(f"the chat engine failed in this answer: {reason(cause)}", retry_after_s=1.0)
    error.__cause__ = cause
    return generation, GeneratedPiece(generation.index, error=error)


def deliver(pieces: Sequence[tuple[Generation, GeneratedPiece]]) -> None:
    """Hand pieces from an engine's thread to their mailboxes, with one wake-up an event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Generation, GeneratedPiece]]] = {}
    for generation, piece in pieces:
        by_loop.setdefault(generation.mailbox.loop, []).append((generation, piece))
    for loop, batch in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(put, batch)


def put(batch: Sequence[tuple[Generation, GeneratedPiece]]) -> None:
    """Hand pieces to their mailboxes, on their event loop."""
    for generation, piece in batch:
        generation.mailbox.put(piece)
