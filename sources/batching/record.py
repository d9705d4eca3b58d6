"""One batch as it is kept: who asked, for what, how far it is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Literal

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
FINAL: Final = frozenset({"failed", "completed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch. body: its fields, as OpenAI has them. key: the id of the issued key that it came with; "": none."""

    id: str
    owner: str
    key: str
    status: BatchStatus
    created_at: int
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line that is to be answered. number: from 0, in the order of the file."""

    batch: str
    number: int
    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LineResult:
    """A line and how it ended. status: of HTTP; None: it was not answered, and `answer` is empty."""

    number: int
    custom_id: str
    status: int | None
    answer: bytes


def new_batch_id(now_s: float) -> str:
    """Return a fresh id; ids sort as their batches came. now_s: Unix seconds."""
    return f"batch_{int(now_s * 1e9):016x}{secrets.token_hex(8)}"


def request_id_of(line: BatchLine) -> str:
    """Return the id of a line's request: the same each time it is sent."""
    return f"batch_req_{line.batch.removeprefix('batch_')}_{line.number}"
