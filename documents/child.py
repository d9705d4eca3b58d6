"""The parser process: reads requests from its standard input's socket, answers each, ends with its parent.

Started by `fastembed.documents.worker`. It loads its target (which imports docling: seconds), says that it is ready,
and answers request after request.
"""

from __future__ import annotations

import importlib
import os
import resource
import select
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from fastembed.documents.faults import EngineFailed, OutOfMemory
from fastembed.documents.wire import decode, encode, error_message
from fastembed.pipeline.errors import ItemError, Unprocessable
from fastembed.pipeline.processes.framing import receive_body

Target = Callable[[dict[str, Any]], dict[str, Any]]
RunModel = Callable[[dict[str, Any]], list[list[Any]]]

_REST_AFTER_S: Final = 60.0
_TRACE_CHARS: Final = 8000


def main(pipe: socket.socket, settings: dict[str, Any]) -> None:
    """Serve until the pipe closes. `settings`: target and options."""
    target = load(settings["target"])(settings["options"])
    connect: Callable[[RunModel], None] = getattr(target, "connect", _nothing)
    connect(lambda message: run_model(pipe, message))
    pipe.sendall(encode({"ready": True, "memory": memory_bytes()}))
    serve(pipe, target)


def load(reference: str) -> Callable[[dict[str, Any]], Target]:
    """Return the factory that `module:function` names."""
    module, _, name = reference.partition(":")
    return cast("Callable[[dict[str, Any]], Target]", getattr(importlib.import_module(module), name))


def serve(pipe: socket.socket, target: Target) -> None:
    """Answer requests one by one until the other side closes. A target's `rest()` is called when it has been idle."""
    rest: Callable[[], None] = getattr(target, "rest", _nothing)
    while True:
        if not select.select([pipe], [], [], _REST_AFTER_S)[0]:
            rest()
        try:
            request = receive_body(pipe)
        except EOFError:
            return
        pipe.sendall(answer(target, decode(request)))


def run_model(pipe: socket.socket, message: dict[str, Any]) -> list[list[Any]]:
    """Ask the server, in the middle of a request, to run a document model on page images; return its output.

    RuntimeError: the model failed. Unprocessable: the server gives the request up, and knows why.
    """
    pipe.sendall(encode(message))
    try:
        answer = decode(receive_body(pipe))
    except EOFError:
        os._exit(0)
    if "failed" in answer:
        raise RuntimeError(answer["failed"])
    if "refused" in answer:
        raise Unprocessable(answer["refused"])
    written: list[list[Any]] = answer["written"]
    return written


def _nothing(*_: object) -> None:
    """Default hook: does nothing."""


def answer(target: Target, request: dict[str, Any]) -> bytes:
    """Return the frame that answers one request."""
    trace = {}
    try:
        return encode({"value": target(request), "memory": memory_bytes()})
    except ItemError as error:
        failed = error
        if isinstance(error, EngineFailed):  # its text may hold paths of this machine: it is for the log
            trace = {"trace": traceback.format_exc()[-_TRACE_CHARS:]}
    except MemoryError:
        limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
        failed = OutOfMemory(
            f"found a document that needs more memory than its parser may have, expected at most {limit >> 20:,} MiB"
        )
    except RecursionError:
        failed = Unprocessable(
            "found a document nested too deeply to read, expected a nesting of a few hundred levels at most",
            code="too_deep",
        )
    except Exception as error:  # noqa: BLE001 - the boundary to other people's parsers: what they raise is the file's fault
        failed = Unprocessable(
            f"found a document that its parser cannot read ({type(error).__name__}: {str(error)[:300]}), "
            "expected a well-formed one",
            code="corrupt",
        )
        trace = {"trace": traceback.format_exc()[-_TRACE_CHARS:]}
    return encode({"error": {**error_message(failed), **trace}, "memory": memory_bytes()})


def memory_bytes() -> int:
    """Return how much memory this process has to itself, in the measure of its limit.

    That is what RLIMIT_DATA counts (Linux: private writable mappings), written to or not; files that are mapped, models
    among them, and threads' reserves do not count, as they do in the address space. Elsewhere: the resident peak.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
