"""What the processes of the starter's tests do: `main(pipe, argument)` answers one message with what it finds."""

import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path

from fastembed.pipeline.processes.framing import pickled, receive


def main(pipe: socket.socket, argument: object) -> None:
    print("a library prints this")  # noqa: T201 - which must not reach the pipe
    while True:
        match receive(pipe):
            case "state":
                pipe.sendall(pickled(_state(argument)))
            case "hang":
                threading.Thread(target=signal.pause, daemon=True).start()
                pipe.sendall(pickled("hanging"))
                while True:
                    signal.pause()
            case "leave":
                os._exit(3)
            case "read", int(number):
                pipe.sendall(pickled(os.pread(number, 100, 0)))


def _state(argument: object) -> dict[str, object]:
    return {
        "argument": argument,
        "limits": {
            name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in ("DATA", "CORE", "NOFILE")
        },
        "nice": os.nice(0),
        "files": sorted(int(name) for name in os.listdir("/proc/self/fd")),  # noqa: PTH208 - names are what is wanted
        "ignores": [signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": os.environ.get("OF_THE_CHILD"),
        "json": Path(sys.modules["json"].__file__ or "").parent.name,
        "isolated": sys.flags.isolated,
    }
