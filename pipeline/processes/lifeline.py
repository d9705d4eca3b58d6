"""Child side: read commands from stdin and exit when the parent is gone.

Every process that this product starts begins here (`fastembed.pipeline.processes.starter`), before anything else is
imported. It needs the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from typing import Final

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2
_PR_SET_PDEATHSIG: Final = 1


def begin(argument: str) -> None:
    """Harden this process as its parent asks, then call `main(pipe, argument)` of its module.

    argument: JSON with module, argument, parent, memory_bytes, nice, files.
    """
    settings = json.loads(argument)
    faulthandler.enable()
    for polite in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group: the server drains first, then ends us
        signal.signal(polite, signal.SIG_IGN)
    _die_with_parent(settings["parent"])
    pipe = _take_pipe()
    threading.Thread(target=_exit_when_closed, args=(pipe.fileno(),), daemon=True).start()
    _limit(settings["memory_bytes"], settings["nice"], settings["files"])
    importlib.import_module(settings["module"]).main(pipe, settings["argument"])


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies.

    Linux does so when the thread that started the process ends: the starter has one that lasts. Elsewhere, and while
    native code keeps the interpreter's lock, it is the thread that watches the pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before this line
        os._exit(1)


def _take_pipe() -> socket.socket:
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


def _exit_when_closed(fileno: int) -> None:
    """End this process as soon as the other side of the pipe is gone, whatever it does then."""
    watch = select.poll()
    watch.register(fileno, getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR)
    watch.poll()
    os._exit(0)


def _limit(memory_bytes: int, nice: int, files: int) -> None:
    """Set the limits of the process; 0: no limit."""
    if nice:
        with contextlib.suppress(OSError):  # a container may forbid it; only politeness is lost
            os.nice(nice)
    try:
        import resource
    except ImportError:
        return  # Windows has no such limits
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it holds what users sent
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    if files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
