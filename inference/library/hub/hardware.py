"""How large the known models are, and what they need: publishers' figures, and memory of the files that are named here.

least, optimal: bytes of memory, weights and contexts together. npu: whether the publisher's OpenVINO files, or those
that `fastembed convert` makes, are of a form that an NPU takes; None: not known. Nothing of it was measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_GB: Final = 10**9


@dataclass(frozen=True, slots=True)
class Hardware:
    """parameters: billions that must be in memory, though some models (gemma's E4B) use a part of them at a time."""

    parameters: float
    least: int
    optimal: int
    npu: bool | None = None


def _needs(parameters: float, least_gb: float, optimal_gb: float, *, npu: bool | None = None) -> Hardware:
    return Hardware(parameters, round(least_gb * _GB), round(optimal_gb * _GB), npu)


HARDWARE: Final[Mapping[str, Hardware]] = {
    "gemma-3n-4b": _needs(7.8, 6, 8, npu=True),
    "gemma-3n-2b": _needs(5.4, 4, 6, npu=True),
    "gemma-4-e4b": _needs(8.0, 6, 8),
    "qwen3-omni": _needs(32, 20, 24),
    "phi-4-mini": _needs(3.8, 3, 5),
    "smollm2-135m": _needs(0.135, 0.4, 0.8),
    "granite-docling-258m": _needs(0.258, 0.6, 1.5),
    "bge-small-en-v1.5": _needs(0.033, 0.1, 0.3, npu=True),
    "multilingual-e5-small": _needs(0.118, 0.3, 0.6, npu=True),
    "kokoro": _needs(0.082, 1.2, 1.5),
    "piper-joe": _needs(0.016, 0.3, 0.5),
    "smart-turn": _needs(0.008, 0.05, 0.1),
    "resemblyzer": _needs(0.0014, 0.02, 0.1),
    "whisper-tiny": _needs(0.039, 0.2, 0.4, npu=True),
    "whisper-base": _needs(0.074, 0.3, 0.5, npu=True),
    "whisper-small": _needs(0.244, 0.7, 1.2, npu=True),
    "whisper-medium": _needs(0.769, 1.8, 2.6, npu=True),
    "whisper-large-v3": _needs(1.55, 3.5, 5, npu=True),
    "whisper-large-v3-turbo": _needs(0.809, 1.9, 2.8, npu=True),
    "bge-reranker-base": _needs(0.278, 0.7, 1.2),
    "bge-reranker-v2-m3": _needs(0.568, 1.3, 2.2),
}
