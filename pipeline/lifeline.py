"""What a process of ours has at its own end: the socket that it was started with as standard input."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from typing import Final

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


def take_pipe() -> socket.socket:
    """Return the socket that is standard input; nothing else of this process may read it or write to it.

    What is printed goes to standard error.
    """
    pipe = socket.socket(fileno=os.dup(_STDIN))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    os.dup2(_STDERR, _STDOUT)
    sys.stdout = sys.stderr
    return pipe


def end_with(pipe: socket.socket) -> None:
    """End this process as soon as the other side of the pipe is gone, whatever it does then."""
    threading.Thread(target=_exit_when_closed, args=(pipe.fileno(),), daemon=True).start()


def _exit_when_closed(fileno: int) -> None:
    watch = select.poll()
    watch.register(fileno, getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR)
    watch.poll()
    os._exit(0)
