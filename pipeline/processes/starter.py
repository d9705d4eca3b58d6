"""Child processes as the server sees them: started, spoken to over a socket, ended. All of them start here.

Each is a fresh interpreter (never forked: threads and native engines do not survive that), isolated from the user's
Python settings and folders, which begins with `fastembed.pipeline.processes.lifeline`: it dies with the server, cannot
write a core file, has the limits that it is given and no file descriptor of the server's but those named.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import IO, Any, Final

_BOOT: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from fastembed.pipeline.processes.lifeline import begin
begin(sys.argv[2])
"""
_STARTER: Final = ThreadPoolExecutor(1, thread_name_prefix="start-process")
"""The thread that starts every process. Linux kills a process with the thread that started it (prctl(2),
PR_SET_PDEATHSIG), so that must be one that lasts as long as the server, not whichever asked."""

_OWN_SIGNALS: Final = frozenset(
    getattr(signal, name).value
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGXCPU", "SIGXFSZ")
    if hasattr(signal, name)
)
"""What a process dies of through its own doing; any other signal comes from outside."""


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a process may use; 0: as much as it likes.

    memory_bytes: private memory (RLIMIT_DATA). nice: added to its priority, so that it gives way to the server. files:
    open file descriptors.
    """

    memory_bytes: int = 0
    nice: int = 0
    files: int = 0


class ChildProcess:
    """One process, from its start to its end: `pipe` is the socket to it, `process` the handle of the system's."""

    def __init__(
        self,
        module: str,
        argument: Any = None,
        *,
        limits: ProcessLimits = ProcessLimits(),
        environment: Mapping[str, str] | None = None,
        stderr: IO[bytes] | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start `main(pipe, argument)` of a module: milliseconds. `end`, or `kill` and `reap`, must follow.

        argument: what JSON can hold. environment: added to the server's. stderr: where it writes, None: where the
        server does. keep_open: file descriptors that it gets. OSError: there is no memory, process id or descriptor.
        """
        settings = {"module": module, "argument": argument, "parent": os.getpid(), **asdict(limits)}
        self.pipe, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = _STARTER.submit(
                    subprocess.Popen[bytes],
                    [sys.executable, "-I", "-c", _BOOT, json.dumps(sys.path), json.dumps(settings)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=None if environment is None else {**os.environ, **environment},
                    pass_fds=keep_open,
                ).result()
        except BaseException:  # raised again: the process did not start, nobody else closes our end of the socket
            self.pipe.close()
            raise

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it now, whatever it does; idempotent. `reap` must follow."""
        self.process.kill()

    def reap(self) -> int:
        """Wait until it has ended, so that no zombie stays; blocks. Return its exit status, negative: a signal."""
        self.pipe.close()
        return self.process.wait()

    def end(self, patience_s: float = 0.0) -> str:
        """End it, return how it ended; blocks. patience_s: wait so long for it to end by itself, its pipe closed."""
        if patience_s:
            self.pipe.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
        self.process.kill()
        code = self.reap()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def killed_from_outside(status: int) -> bool:
    """Whether an exit status (negative: a signal) is none that a process comes to by itself."""
    return status < 0 and -status not in _OWN_SIGNALS
