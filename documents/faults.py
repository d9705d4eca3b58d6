"""Whose fault it is that a parser process gave no answer: the file's, or the machine's.

Theory of operation. A file is refused for what it did, never for what happened around it. So what a process ended with
is sorted into three kinds, and a request is tried again in a fresh process until the kind is certain:

    kind     found                                                             then
    machine  SIGKILL and the like (a person, the kernel's out-of-memory        tried twice more, after a pause; then
             killer), a process that does not start, an engine (OCR on         Unavailable: the source keeps the file,
             OpenVINO) that fails or finds no memory                           HTTP answers 503 with Retry-After
    crash    SIGSEGV, SIGABRT ..., an exit of its own                          the file's when two fresh processes crash
    limit    an allocation beyond `memory`                                     the file's when a fresh process finds it

A process that has read other files before proves nothing: a library may have leaked, or corrupted its heap, over one of
those. What a process does to a file within its time limit is no fault but a result (`Expired`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastembed.pipeline.errors import ItemError, TooLarge, Unavailable, Unprocessable

PAUSES_S: Final = (0.5, 2.0)
"""Before the second and the third try of what the machine spoilt: what took the memory may be gone by then."""
RETRY_AFTER_S: Final = 5.0
_CRASHES_THAT_TELL: Final = 2


class EngineFailed(Unavailable):
    """An engine inside the parser process failed; this is not the document's fault."""

    code = "engine_failed"


class OutOfMemory(TooLarge):
    """A parser process may not have as much memory as it asked for."""

    code = "out_of_memory"


class ParserLost(Exception):
    """A parser process ended before it answered."""

    def __init__(self, ended: str, *, killed: bool = False, started: bool = True) -> None:
        """Store how it ended (text). killed: by a signal from outside. started: it had reported that it was ready."""
        super().__init__(f"the parser process {'ended' if started else 'did not start'} ({ended})")
        self.ended = ended
        self.killed = killed
        self.started = started


Fault = ParserLost | EngineFailed | OutOfMemory


class Tries:
    """The retries of one request. pauses_s: before each retry after a fault of the machine."""

    def __init__(self, memory_bytes: int, pauses_s: Sequence[float] = PAUSES_S) -> None:
        """Start with no try made. memory_bytes: the memory limit of a process, for the message."""
        self._memory_bytes = memory_bytes
        self._pauses_s = list(pauses_s)
        self._crashes = 0

    def pause_s(self, fault: Fault, *, fresh: bool) -> float:
        """Return how long to wait until the next try, in a fresh process; raise the error if there shall be none.

        fresh: the process had answered nothing before. Raises Unavailable (the machine's fault), TooLarge or
        Unprocessable (the file's).
        """
        if isinstance(fault, OutOfMemory):
            if fresh:
                raise fault
            return 0.0
        if isinstance(fault, EngineFailed) or fault.killed or not fault.started:
            if not self._pauses_s:
                raise _given_up(fault) from fault
            return self._pauses_s.pop(0)
        self._crashes += fresh
        if self._crashes >= _CRASHES_THAT_TELL:
            raise Unprocessable(
                f"the parser process crashed twice over this document ({fault.ended}), expected one that "
                f"can be parsed within the memory limit of {self._memory_bytes >> 20:,} MiB",
                code="parser_died",
            ) from fault
        return 0.0


def _given_up(fault: ParserLost | EngineFailed) -> ItemError:
    """Return the error to raise when every try failed through the machine."""
    what = fault.message if isinstance(fault, EngineFailed) else str(fault)
    return Unavailable(
        f"{what}, {len(PAUSES_S) + 1} times; this is not the document's fault: try again",
        code="parser_unavailable",
        retry_after_s=RETRY_AFTER_S,
    )
