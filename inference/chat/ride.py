"""One `generate()` call that steps, without the GIL, until every request that was added to it has ended."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_CARRIER_TOKENS: Final = 16
"""Enough for requests to get on board; they cost next to nothing beside others in a batch."""
_START_S: Final = 30.0
_PLACE: Final = re.compile(r"^.*\.(?:cc|cpp|hpp):\d+: (?:Check failed: .* is false: )?")


class Ride:
    """One `generate()` call, from its carrier's first step to the end of the last request.

    No streamer is given to it: genai's thread for that does not survive a step that raises.
    """

    def __init__(self, pipeline: Any, config: Any) -> None:
        """Start, and return when requests can be added."""
        self.error: BaseException | None = None
        self.ended = threading.Event()
        config.max_new_tokens = _CARRIER_TOKENS
        config.ignore_eos = True
        config.do_sample = False
        self._arguments: Any = ([tensor([0])], [config])
        self._pipeline = pipeline
        threading.Thread(target=self._go, name="chat-ride", daemon=True).start()
        late = time.monotonic() + _START_S
        while not (pipeline.has_non_finished_requests() or self.ended.is_set()):
            if time.monotonic() > late:
                raise RuntimeError(f"found no generation after {_START_S:g} s, expected it to start")
            time.sleep(0.0001)  # in the owner's thread, while generate() takes its arguments

    def _go(self) -> None:
        try:
            self._pipeline.generate(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - a thread's boundary: the owner reads what was raised
            self.error = error
        finally:
            self._pipeline = self._arguments = None
            self.ended.set()


def warmed(pipeline: Any) -> Any:
    """Generate one token, so that the first request finds everything compiled and paged in."""
    config = pipeline.get_config()
    config.max_new_tokens = 1
    config.do_sample = False
    pipeline.generate([tensor([0])], [config])
    return pipeline


def tensor(ids: Sequence[int]) -> Any:
    """Return an openvino Tensor int64 [1, n]."""
    import openvino

    return openvino.Tensor(np.asarray([ids], np.int64))


def reason(error: BaseException) -> str:
    """Return what a C++ exception says, without the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    last = (kept or lines or [type(error).__name__])[-1]
    return _PLACE.sub("", last)[-300:]
