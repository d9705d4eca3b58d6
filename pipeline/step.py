"""One running step: calls its operator with retries and timeouts, applies `on_error`, counts."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastembed.pipeline.component import OperatorKind
from fastembed.pipeline.errors import Expired, InvalidInput, ItemError, Overloaded, StepFailed
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.observe import StageStats
from fastembed.pipeline.plan import StepPlan
from fastembed.pipeline.policy import Timeouts
from fastembed.pipeline.raised import RAISED, component_error
from fastembed.pipeline.timeouts import SharedTimeout
from fastembed.pipeline.tracing import Tracing

T = TypeVar("T")
log = logging.getLogger("fastembed.pipeline")


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome that stands for an error."""
    if isinstance(error, Expired):
        return Outcome.EXPIRED
    if isinstance(error, ItemError) and not isinstance(error, StepFailed):
        return Outcome.REJECTED
    return Outcome.FAILED


class Step:
    """A planned operator with its callable, its statistics and its error policy.

    call: the operator itself, taking what its kind takes. plain: whether it is called with the bare value and
    unconditionally (the fast case of a fused run). first, idle: how long its outputs may let wait, None: for ever.
    """

    __slots__ = (
        "_random",
        "_total",
        "call",
        "config_hash",
        "first",
        "id",
        "idle",
        "in_thread",
        "is_async",
        "kind",
        "plain",
        "plan",
        "stats",
        "tracing",
        "wants_item",
    )

    def __init__(
        self,
        plan: StepPlan,
        call: Callable[..., Any],
        stats: StageStats,
        *,
        config_hash: str = "",
        tracing: Tracing | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.plan = plan
        self.id = plan.id
        self.call = call
        self.stats = stats
        self.kind: OperatorKind | None = plan.component.kind
        self.wants_item = plan.component.wants_item
        self.in_thread = plan.component.in_thread
        self.is_async = plan.component.is_async
        self.plain = plan.condition is None and not self.wants_item
        self.config_hash = config_hash
        self.tracing = tracing
        times = plan.timeouts if self.kind is OperatorKind.EXPAND else _of_one_output(plan.timeouts)
        self.first = _timeout(times.first_s, f"{plan.id}: no first output after {{}} s")
        self.idle = _timeout(times.idle_s, f"{plan.id}: no further output for {{}} s")
        self._total = _timeout(times.total_s, f"{plan.id}: no result after {{}} s")
        self._random = rng or random.Random()  # noqa: S311 - jitter, no secret

    def applies(self, item: Item[Any]) -> bool:
        """Evaluate the step's `if`."""
        return self.plan.condition is None or bool(self.plan.condition.evaluate(item))

    def skips(self, item: Item[Any], now: float) -> bool:
        """Settle an item that is cancelled or past its deadline; True if it was."""
        if item.ack.cancelled:
            self._end(item, Outcome.CANCELLED, None)
        elif item.deadline is not None and now > item.deadline:
            late_s = now - item.deadline
            self._end(item, Outcome.EXPIRED, Expired(f"{self.id}: the item is {late_s:.2f} s past its deadline"))
        else:
            return False
        return True

    def filtered(self, item: Item[Any]) -> None:
        """Settle an item that the operator filtered out."""
        self._end(item, Outcome.FILTERED, None)

    def cancelled(self, item: Item[Any]) -> None:
        """Settle an item whose caller left."""
        self._end(item, Outcome.CANCELLED, None)

    def fail(self, item: Item[Any], cause: BaseException, attempts: int = 1) -> bool:
        """End, skip or pass on an item whose operator raised, as `on_error` says; True: it goes on unchanged."""
        error = (
            cause
            if isinstance(cause, ItemError)
            else StepFailed(self.id, cause, attempts=attempts, config_hash=self.config_hash)
        )
        if self.plan.on_error == "fail":
            self._end(item, outcome_of(error), error)
            return False
        self.stats.skipped += 1
        log.warning(
            "%s: %s",
            self.id,
            error,
            exc_info=cause if isinstance(error, StepFailed) else None,
            extra={"item": item.id, "request": item.trace, "step": self.id},
        )
        if self.plan.on_error == "skip":
            self._end(item, Outcome.FILTERED, None)
            return False
        return True

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await `call()` under the step's total timeout, again after an unexpected error while tries are left.

        An `InvalidInput` or `Expired` would end the same way again and is not retried; the timeout bounds all tries.
        """
        retried = self.plan.retry.attempts > 0
        if self._total is None:
            return await (self._tries(call) if retried else call())
        with self._total():
            return await (self._tries(call) if retried else call())

    async def _tries(self, call: Callable[[], Awaitable[T]]) -> T:
        # Full jitter (uniform from 0 to the doubled pause): items that failed together, because an engine died, would
        # otherwise all come back in the same moment. An engine that says when it has room is not asked before.
        retry = self.plan.retry
        for attempt in range(retry.attempts + 1):
            try:
                return await call()
            except (InvalidInput, Expired):
                raise
            except RAISED as raised:  # the runner: whatever an operator raises is this item's, not ours
                error = component_error(raised)
                if attempt == retry.attempts:
                    if isinstance(error, ItemError):
                        raise
                    raise StepFailed(self.id, error, attempts=attempt + 1, config_hash=self.config_hash) from error
                self.stats.retries += 1
                delay_s = self._random.uniform(0, min(retry.max_s, retry.base_s * 2**attempt))
                if isinstance(error, Overloaded) and error.retry_after_s is not None:
                    delay_s = max(delay_s, error.retry_after_s)
                await asyncio.sleep(delay_s)
        raise AssertionError("unreachable: the last try returns or raises")

    def _end(self, item: Item[Any], outcome: Outcome, error: BaseException | None) -> None:
        self.stats.ended(outcome)
        item.settle(outcome, error, self.id)


def _of_one_output(times: Timeouts) -> Timeouts:
    """Return the timeouts of an operator with one output: its first output is its only one."""
    limits = [limit for limit in (times.first_s, times.total_s) if limit is not None]
    return Timeouts(total_s=min(limits, default=None))


def _timeout(limit_s: float | None, what: str) -> SharedTimeout | None:
    return None if limit_s is None else SharedTimeout(limit_s, f"{what.format(f'{limit_s:g}')}, its timeout")
