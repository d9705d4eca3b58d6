"""Small things that genai's pipelines want, and what their exceptions say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_PLACE: Final = re.compile(r"^.*\.(?:cc|cpp|hpp):\d+: (?:Check failed: .* is false: )?")


def warmed(pipeline: Any, config: Any, *, sees: bool = False) -> Any:
    """Generate one token, so that the first request finds everything compiled and paged in."""
    config.max_new_tokens = 1
    config.do_sample = False
    if sees:
        pipeline.generate(["a"], [[]], [config])
    else:
        pipeline.generate([tensor([0])], [config])
    return pipeline


def unchanged(config: Any) -> Any:
    """Return a GenerationConfig as it is."""
    return config


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
