"""The process of a document model: loads it, reads pages that come over its standard input's socket, ends with that.

Started by `fastembed.inference.engines.docling.model`. One thread reads pages; another takes messages, so that it hears
at once when the caller of the pages has gone.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import socket
import threading
from collections.abc import Sequence

from PIL import Image

from fastembed.inference.engines.docling.engine import DoclingEngine, Written
from fastembed.inference.engines.docling.wire import CancelPages, DoclingLoaded, LoadDocling, ReadPages
from fastembed.pipeline.processes.framing import pickled, portable, receive


def main(pipe: socket.socket, _argument: object) -> None:
    """Serve until the socket closes."""
    with contextlib.suppress(EOFError, OSError):
        loading: LoadDocling = receive(pipe)
        server = PageRequestServer(pipe)
        try:
            engine = DoclingEngine(loading.folder, device=loading.device, properties=loading.properties)
        except Exception as error:  # noqa: BLE001 - the process's boundary: the caller of the load raises it
            pipe.sendall(pickled(portable(error, "document")))
        else:
            pipe.sendall(pickled(DoclingLoaded()))
            server.serve(engine, loading.pages)
    os._exit(0)  # nothing here is worth the time and the risk of taking native engines down in order


class PageRequestServer:
    """Takes pages to the model and what it writes back."""

    def __init__(self, pipe: socket.socket) -> None:
        """Take messages from now on; when the other side is gone, the process ends, whatever it does."""
        self._pipe = pipe
        self._asked: queue.Queue[ReadPages] = queue.Queue()
        self._left = threading.Event()
        threading.Thread(target=self._take, daemon=True).start()

    def serve(self, engine: DoclingEngine, pages: int) -> None:
        """Read pages, so many at a time, until the other side is gone."""
        while True:
            pictures = self._asked.get().pictures
            batches = [pictures[start : start + pages] for start in range(0, len(pictures), pages)]
            try:
                answer: object = [page for batch in batches for page in self._written(engine, batch)]
            except Exception as error:  # noqa: BLE001 - the process's boundary: the server says whose fault it is
                answer = portable(error, "document")
            self._pipe.sendall(pickled(answer))

    def _take(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = receive(self._pipe)
                if isinstance(message, ReadPages):
                    self._left.clear()
                    self._asked.put(message)
                elif isinstance(message, CancelPages):
                    self._left.set()
        os._exit(0)

    def _written(self, engine: DoclingEngine, pictures: Sequence[bytes]) -> list[Written]:
        if self._left.is_set():
            return []
        return engine.read([Image.open(io.BytesIO(picture)) for picture in pictures], left=self._left.is_set)
