"""What a parser process can be made to do: the targets of the worker tests, loaded in the processes they start."""

import mmap
import os
import signal
import sys
from pathlib import Path

from fastembed.documents.faults import EngineFailed
from fastembed.pipeline.errors import TooLarge


def obedient(options):
    served = 0

    def answer(request):
        nonlocal served
        served += 1
        return {"pid": os.getpid(), "served": served, **options, **_DEEDS[request["do"]](request)}

    return answer


def broken(_options):
    raise RuntimeError("no parser here")


def _echo(request):
    return {"said": request.get("say", "")}


def _crash(_request):
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def _hang(request):
    Path(request["started"]).write_text("now", encoding="ascii")  # a FIFO: tells the test that the work has begun
    while True:
        signal.pause()


def _leave(_request):
    os._exit(3)


def _bloat(_request):
    return {"size": len(bytearray(1 << 40))}


def _recurse(request):
    return _recurse(request)


def _refuse(_request):
    raise TooLarge("found 9, expected 3", code="too_large")


def _stumble(_request):
    raise KeyError("w:body")


def _chatter(_request):
    sys.stdout.write("a library prints " * 1000)
    os.write(1, b"so does its C code")
    sys.stdin.read()
    return {}


def _killed(_request):
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _ocr_fails(_request):
    raise EngineFailed("the text recognition could not read a page (RuntimeError)") from RuntimeError("Exception from")


def _once(request):
    marker = Path(request["marker"])
    if not marker.exists():
        marker.touch()
        return _DEEDS[request["deed"]](request)
    return {}


def _keep(request):
    _KEPT.append(mmap.mmap(-1, request["mib"] << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    return {}


_KEPT = []
_DEEDS = {
    "killed": _killed,
    "ocr_fails": _ocr_fails,
    "once": _once,
    "keep": _keep,
    "echo": _echo,
    "crash": _crash,
    "hang": _hang,
    "leave": _leave,
    "bloat": _bloat,
    "recurse": _recurse,
    "refuse": _refuse,
    "stumble": _stumble,
    "chatter": _chatter,
}
