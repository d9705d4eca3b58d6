"""The chat process: loads one model, answers what comes over its standard input's socket, ends with the other side.

Started by `fastembed.inference.engines.chat.process`. One thread, that of its event loop, does all: it takes requests
in, steps the engine, and sends what came of a step in one message just before the next step begins. `inference` is
imported before openvino, as its own text asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import socket
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from fastembed.inference.engines.chat.local import LocalModel
from fastembed.inference.engines.chat.resume import Produced
from fastembed.inference.engines.chat.wire import AskChat, CancelChat, ChatLoaded, ChatOver, LoadChat
from fastembed.pipeline.collector import freeze_gc
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.payload.chat import ChatEvent
from fastembed.pipeline.processes.awaiting import read
from fastembed.pipeline.processes.framing import pickled, portable, receive

log = logging.getLogger("fastembed.chat")

_CLOSED: Final = (EOFError, OSError)


def main(pipe: socket.socket, _argument: object) -> None:
    """Serve until the socket closes."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with contextlib.suppress(*_CLOSED):
        loading: LoadChat = receive(pipe)
        try:
            model = LocalModel(
                loading.name,
                loading.folder,
                device=loading.device,
                properties=loading.properties,
                cache=loading.cache,
                options=loading.options,
            )
        except Exception as error:  # noqa: BLE001 - the process's boundary: the caller of the load raises it
            pipe.sendall(pickled(portable(error, "chat")))
        else:
            freeze_gc()
            pipe.sendall(pickled(ChatLoaded(model.cache_bytes)))
            asyncio.run(_serve(pipe, model, loading))
    os._exit(0)  # nothing here is worth the time and the risk of taking native engines down in order


async def _serve(pipe: socket.socket, model: LocalModel, loading: LoadChat) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=pipe)
    await ChatRequestServer(model, writer.write, loading).serve(reader)


class ChatRequestServer:
    """Takes requests to the model and their events back."""

    def __init__(self, model: LocalModel, write: Callable[[bytes], None], loading: LoadChat) -> None:
        """Write frames with `write`, which must not block; while there is work, one every `loading.beat_s` at least."""
        self._model = model
        self._write = write
        self._loading = loading
        self._news: list[tuple[int, ChatEvent | Produced | ChatOver]] = []
        self._answers: dict[int, asyncio.Task[ChatOver]] = {}
        self._loop = asyncio.get_running_loop()
        self._beat: asyncio.TimerHandle | None = None
        model.engine.before_step = self.flush

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Take messages until the other side is gone."""
        with contextlib.suppress(*_CLOSED):
            while True:
                message = await read(reader)
                self._model.engine.give_way()
                match message:
                    case AskChat() as ask:
                        self._begin(ask)
                    case CancelChat(id_) if id_ in self._answers:
                        self._answers[id_].cancel()

    def flush(self) -> None:
        """Send what came since the last time."""
        if self._news:
            self._write(pickled(self._news))
            self._news = []

    def _live(self) -> None:
        """Give signs of life while there is work; without them this process ends itself, and says where it hung."""
        faulthandler.cancel_dump_traceback_later()
        self._beat = None
        if self._answers:
            faulthandler.dump_traceback_later(self._loading.stall_s, exit=True)  # in C: it needs no lock of Python's
            self._beat = self._loop.call_later(self._loading.beat_s, self._live)
            self._write(pickled([]))

    def _begin(self, ask: AskChat) -> None:
        task = self._answers[ask.id] = asyncio.create_task(self._answer(ask))

        def end(task: asyncio.Task[ChatOver]) -> None:
            del self._answers[ask.id]
            self._tell(ask.id, ChatOver() if task.cancelled() else task.result())

        task.add_done_callback(end)
        if self._beat is None:
            self._live()

    async def _answer(self, ask: AskChat) -> ChatOver:
        def produced(tokens: Produced) -> None:
            self._tell(ask.id, tokens)

        try:
            answer = self._model.generate(ask.request, route=ask.route, so_far=ask.so_far, produced=produced)
            async with aclosing(answer) as events:
                async for event in events:
                    self._tell(ask.id, event)
        except ItemError as error:
            return ChatOver(error)
        except Exception as error:  # the process's boundary: the server says whose fault it is
            log.exception("an answer failed")
            return ChatOver(portable(error, "chat"))
        return ChatOver()

    def _tell(self, id_: int, event: ChatEvent | Produced | ChatOver) -> None:
        if not self._news:
            self._loop.call_soon(self.flush)  # where no step comes first
        self._news.append((id_, event))
