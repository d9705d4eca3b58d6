"""The bounds and tries that a configuration declares. Immutable; durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Order = Literal["strict", "key", "none"]
Overflow = Literal["block", "reject", "drop_oldest", "drop_newest"]


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """A bound: at most this many items, bytes or seconds (of event time) wait; and what happens beyond."""

    max_items: int | None = 64
    max_bytes: int | None = None
    max_seconds: float | None = None
    overflow: Overflow = "block"


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When a batch closes: at `max_items`, at `max_cost` (tokens), or `wait_s` after its first item.

    At once, whatever its size, when the operator is idle; it lingers only while other batches are in flight.
    """

    max_items: int = 32
    max_cost: float | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one item in one step, tries included: until its first output, between two outputs, in all."""

    first_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Try up to `attempts` more times; waits double from base_s to max_s, with full jitter (Brooker, AWS, 2015)."""

    attempts: int = 0
    base_s: float = 0.1
    max_s: float = 10.0
