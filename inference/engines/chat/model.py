"""A loaded chat model: takes requests, streams answers; the work is done in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from fastembed.inference.engines.chat.folder import read_traits
from fastembed.inference.engines.chat.options import PLAIN, ChatOptions
from fastembed.inference.engines.chat.process import ChatProcess
from fastembed.inference.engines.chat.resume import AnswerProgress
from fastembed.inference.engines.chat.wire import LoadChat
from fastembed.inference.library.folders import is_pocket
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest


class ChatModel:
    """One model for the whole process; all callers share its batches. Call it on one event loop."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        device: str = "CPU",
        properties: Mapping[str, Any] | None = None,
        cache: int | None = None,
        stall_s: float = 600.0,
        options: ChatOptions = PLAIN,
    ) -> None:
        """Load: takes seconds, call it off the event loop. cache: bytes for its contexts, None: as many as it can use.

        options: adapters, and what guesses tokens ahead.
        stall_s: an engine that gives no sign of life for so long is ended and started again.
        Raises ModelNotFound for a folder that lacks files, what OpenVINO says (RuntimeError) of one that it cannot run.
        """
        self.name = name
        self.folder = folder
        self.device = device
        self.pocket = is_pocket(folder)
        self.window = read_traits(folder).window
        loading = LoadChat(name, folder, device, properties or {}, cache, stall_s, options)
        self._process = ChatProcess(loading)

    @property
    def process(self) -> ChatProcess:
        """The process that generates."""
        return self._process

    async def generate(
        self, request: ChatRequest, *, route: str = "", progress: AnswerProgress | None = None
    ) -> AsyncGenerator[ChatEvent]:
        """Yield ChatStarted, then the deltas of all choices, interleaved, and one ChatFinished a choice.

        progress: how far the same model on another device has come with this answer, which goes on behind it; noted
        there too is how far it comes here.
        Closing the iterator cancels what has not ended. Raises InvalidInput (also with the code
        context_length_exceeded), Unprocessable (the template refuses), Overloaded, Unavailable.
        """
        route = "; ".join(filter(None, (*request.notes, route)))
        async with aclosing(self._process.generate(request, route, progress)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Fail what runs, free the model."""
        await self._process.close()
