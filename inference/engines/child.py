"""A process of ours that holds a model, from its start to its end, as the server sees it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from typing import Any, Final

from fastembed.inference.engines.framing import framed, receive

_BOOT: Final = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[2])
importlib.import_module(sys.argv[1]).main()
"""


class Child:
    """Runs the `main` of a module in a fresh interpreter (never forked); its standard input is the pipe's other end."""

    def __init__(self, module: str) -> None:
        """Start it: milliseconds. `end` must follow at last."""
        self.pipe, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-c", _BOOT, module, json.dumps(sys.path)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )

    def ask(self, message: object) -> Any:
        """Return the answer to a message; blocks. EOFError, OSError: the process is gone."""
        self.pipe.sendall(framed(message))
        return receive(self.pipe)

    def end(self, patience_s: float = 0.0) -> str:
        """End it, return how it ended. patience_s: wait so long for it to end by itself, its pipe being closed."""
        self.pipe.close()
        if patience_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
        self.process.kill()
        code = self.process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
