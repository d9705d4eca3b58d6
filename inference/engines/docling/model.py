"""A loaded document model: takes pictures of pages, gives DocTags; the work is done in a process of its own.

So its memory is its own, counted and given back to the last byte, one copy serves all parsers, and whatever native code
does with a page, the server and the parser live on. Requests take turns, in order of arrival. One that is cancelled
ends after a token; a process that does not end it so is killed. One that dies, or
whose engine fails, is replaced, and its pages tried twice more.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastembed.inference.engines.docling.folder import read_traits
from fastembed.inference.engines.docling.wire import CancelPages, LoadDocling, ReadPages
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.processes.framing import EngineError, pickled, receive
from fastembed.pipeline.processes.starter import ChildProcess, ProcessLimits

if TYPE_CHECKING:
    from fastembed.inference.engines.docling.engine import Written

PAGES_AT_ONCE: Final = 4
_LEAVE_S: Final = 2.0
_PAUSES_S: Final = (0.0, 0.5, 2.0)
"""Before each try of the same pages, each but the first in a fresh process."""
_NICE: Final = 5
"""Reading gives way to the server."""


class _DoclingChild(ChildProcess):
    """One document process, from its start to its end."""

    def __init__(self, loading: LoadDocling) -> None:
        """Start it and have it load the model: seconds, so in a thread. Raises what the load raises."""
        super().__init__("fastembed.inference.engines.docling.worker", limits=ProcessLimits(nice=_NICE))
        self._sending = threading.Lock()
        try:
            answer = self.ask(loading)
        except (EOFError, OSError) as error:
            raise RuntimeError(f"the document process {self.end()} while it loaded its model") from error
        if isinstance(answer, Exception):
            self.end()
            raise answer

    def ask(self, message: object) -> Any:
        """Return the answer to a message; blocks. EOFError, OSError: the process is gone."""
        with self._sending:
            self.pipe.sendall(pickled(message))
        return receive(self.pipe)

    def tell(self, message: object) -> None:
        """Send a short message that is not answered, if that can be done at once."""
        if self._sending.acquire(blocking=False):
            with contextlib.suppress(OSError):
                self.pipe.send(pickled(message))
            self._sending.release()


class DoclingModel:
    """One model for the whole process. Call it on one event loop."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        device: str = "CPU",
        properties: Mapping[str, Any] | None = None,
        pages: int = PAGES_AT_ONCE,
    ) -> None:
        """Load: takes seconds, call it off the event loop. pages: read at a time, of those that come together.

        Raises ModelNotFound for a folder that lacks files, what OpenVINO says (RuntimeError) of one that it cannot run.
        """
        self.name = name
        self.folder = folder
        self.device = device
        self.window = read_traits(folder).window
        self.pages = pages
        self._loading = LoadDocling(folder, device, dict(properties or {}), pages)
        self._child: _DoclingChild | None = _DoclingChild(self._loading)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"document-{name}")
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The present process's id; None: it has died, and the next pages start another."""
        return self._child.pid if self._child else None

    async def read(self, pictures: Sequence[bytes]) -> list[Written]:
        """Return the DocTags of pages, each a picture file.

        Raises TooLarge (a page that needs more tokens than the model's context has), RuntimeError (OpenVINO's, or its
        process died, three times), Unavailable (it is being closed).
        """
        if self._closed:
            raise Unavailable(f"{self.name} is closing and takes no new requests")
        left = threading.Event()
        asked: Future[list[Written]] = self._thread.submit(self._read, ReadPages(tuple(pictures)), left)
        try:
            return await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            left.set()
            if asked.running():
                self._leave(asked)
            raise

    async def close(self) -> None:
        """Fail what runs, free the model."""
        self._closed = True
        if self._child is not None:
            self._child.kill()
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
        if self._child is not None:
            await asyncio.to_thread(self._child.end)
            self._child = None

    def _leave(self, asked: Future[list[Written]]) -> None:
        """Have the pages under way given up; kill the process if that takes too long."""
        child = self._child
        if child is None:
            return
        child.tell(CancelPages())

        def insist() -> None:
            if not asked.done():
                child.kill()

        asyncio.get_running_loop().call_later(_LEAVE_S, insist)

    # In the thread from here on.

    def _read(self, message: ReadPages, left: threading.Event) -> list[Written]:
        failed = RuntimeError("it was not asked")
        for pause_s in _PAUSES_S:
            if left.wait(pause_s) or self._closed:
                break
            self._child = self._child or _DoclingChild(self._loading)
            try:
                answer = self._child.ask(message)
            except (EOFError, OSError):
                failed = RuntimeError(f"its process {self._end()} over these pages, {len(_PAUSES_S)} times")
                continue
            if isinstance(answer, EngineError):  # the machine's fault, as far as can be told: a fresh process may do it
                failed = answer
                self._end()
                continue
            if isinstance(answer, Exception):
                raise answer
            written: list[Written] = answer
            return written
        if self._closed or left.is_set():
            raise Unavailable(f"{self.name} was closed while it read, expected to finish first")
        raise failed

    def _end(self) -> str:
        """End the present process; return how it ended."""
        child, self._child = self._child, None
        return child.end() if child is not None else ""
