"""The item, and the acknowledgement that tracks it and everything derived from it to the end.

A source yields `Item`s. Each admitted item gets one `Ack`, a counter of the items derived from it: a split adds to
the counter, a fork shares it, and every derived item takes one off when it is settled. At zero the ack completes, once,
with the gravest outcome seen. So acks = items in, always, whatever happened on the way (Storm's acker and Akka's
ack-the-offset-last idea, kept in one process and therefore exact).

An item belongs to one stage at a time, which may replace its `value` in place; a stage that gives one item to two
places gives each place its own `derive`d copy.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from fastembed.pipeline.reply import Reply

T = TypeVar("T")
U = TypeVar("U")

NO_META: Final[Mapping[str, Any]] = MappingProxyType({})


class Outcome(StrEnum):
    """How an item ended. deferred: the machine could not do it now, and its source, which can, brings it again."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    CANCELLED = "cancelled"
    DEFERRED = "deferred"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FAILED = "failed"


# Of several derived items the gravest end counts. DELIVERED outweighs FILTERED, or a document of which one chunk is
# filtered would count as filtered. CANCELLED and DEFERRED are nobody's fault, so that what else went wrong outweighs
# them; FAILED is a defect, and must not hide behind a refusal.
_GRAVITY: Final = {
    Outcome.FILTERED: 0,
    Outcome.DELIVERED: 1,
    Outcome.CANCELLED: 2,
    Outcome.DEFERRED: 3,
    Outcome.EXPIRED: 4,
    Outcome.REJECTED: 5,
    Outcome.FAILED: 6,
}


class EndOfKey:
    """The value of a key's last item: the session is over, keyed operators flush. Other operators never see it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Name itself in logs."""
        return "END_OF_KEY"


END_OF_KEY: Final = EndOfKey()

_ids = itertools.count(1)
_new_id: Callable[[], int] = _ids.__next__


class ItemFailure(NamedTuple):
    """A derived item that ended with an error. value: what the step was given."""

    value: Any
    outcome: Outcome
    error: BaseException
    step: str | None


class Ack:
    """The acknowledgement of one admitted item: counts the items derived from it, completes once, can be cancelled.

    `on_complete(ack)` is called when nothing derived from the item is left in the pipeline. `participants`: the
    transactional sinks that hold its writes and commit or abort them together
    (`fastembed.pipeline.component.Transactional`). `failures`: every derived item that ended with an error, if the
    pipeline has an `on_error` sink; else None.
    """

    __slots__ = (
        "_on_cancel",
        "_on_complete",
        "_pending",
        "_room",
        "cancelled",
        "error",
        "failures",
        "origin",
        "origin_value",
        "outcome",
        "participants",
        "step",
    )

    def __init__(self, origin: Item[Any], on_complete: Callable[[Ack], None]) -> None:
        """Start with one item in flight: the origin itself."""
        self.origin = origin
        self.origin_value = origin.value
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.step: str | None = None
        self.cancelled = False
        self.failures: list[ItemFailure] | None = None
        self.participants: list[Any] | None = None  # Transactional; untyped to keep the item below its users
        self._pending = 1
        self._on_complete = on_complete
        self._on_cancel: dict[object, Callable[[], object]] | None = None
        self._room: tuple[int, Callable[[], object]] | None = None

    @property
    def pending(self) -> int:
        """How many items derived from the origin are in the pipeline, itself included."""
        return self._pending

    def when_pending_below(self, limit: int, callback: Callable[[], object]) -> None:
        """Call `callback` once, when fewer than `limit` items are pending; it replaces one that still waits."""
        if self._pending < limit:
            callback()
        else:
            self._room = (limit, callback)

    @property
    def done(self) -> bool:
        """Whether nothing derived from the origin is in the pipeline any more."""
        return self._pending == 0

    def enlist(self, participant: object) -> None:
        """Register a participant whose commit or abort is called when this ack completes. Idempotent."""
        if self.participants is None:
            self.participants = [participant]
        elif participant not in self.participants:
            self.participants.append(participant)

    def add(self, count: int = 1) -> None:
        """Count `count` more derived items."""
        self._pending += count

    def settle(self, outcome: Outcome, error: BaseException | None = None, step: str | None = None) -> None:
        """Count one item's end; keep the worst outcome and the first error with it."""
        # Invariant: `_pending` is the number of live items that share this ack. Whoever derives adds before it settles
        # what it derived from, so the count cannot touch zero while anything is left, and `_on_complete` is called
        # once.
        if self._pending <= 0:
            return  # abandoned: what is still on its way counts no more
        if self.outcome is None or _GRAVITY[outcome] > _GRAVITY[self.outcome]:
            self.outcome, self.error, self.step = outcome, error, step
        self._pending -= 1
        if self._room is not None and self._pending < self._room[0]:
            (_, callback), self._room = self._room, None
            callback()
        if self._pending == 0:
            self._on_cancel = None  # before the callback: what completes cannot be cancelled any more
            self._on_complete(self)

    def abandon(self, outcome: Outcome, error: BaseException | None = None, step: str | None = None) -> None:
        """End everything derived from the origin at once: the pipeline stops and nothing will settle it any more."""
        if self._pending > 0:
            self._pending = 1
            self.settle(outcome, error, step)

    def cancel(self) -> None:
        """Cancel everything derived from the origin, wherever it is: the caller left. Idempotent."""
        if self.cancelled or self._pending == 0:
            return
        # The callbacks settle items, which may complete the ack, which calls strangers: so the flag and the empty table
        # come first, and a cancellation that one of them causes finds nothing to do.
        self.cancelled = True
        callbacks, self._on_cancel = self._on_cancel, None
        for callback in (callbacks or {}).values():
            callback()

    def on_cancel(self, token: object, callback: Callable[[], object]) -> None:
        """Call `callback` if the item is cancelled before `off_cancel(token)`; at once if it is cancelled already."""
        if self.cancelled:
            callback()
            return
        if self._on_cancel is None:
            self._on_cancel = {}
        self._on_cancel[token] = callback

    def off_cancel(self, token: object) -> None:
        """Forget the callback registered under `token`."""
        if self._on_cancel is not None:
            self._on_cancel.pop(token, None)


_NOT_ADMITTED: Final = cast("Ack", None)


class Item(Generic[T]):
    """One value on its way through a pipeline.

    id: unique in the process. key: the session or partition it belongs to (None: no key). seq: its place in the order
    of its source (per admitted item; derived items share it). time: event time, seconds since the epoch. deadline: loop
    time in seconds after which the result is useless, or None. priority: higher is served first. meta: what the source
    knows about it (file name, headers), read-only. reply: where the `reply` sink sends results, or None. trace: the
    request id, for logs and spans.
    """

    __slots__ = (
        "ack",
        "deadline",
        "id",
        "key",
        "live",
        "meta",
        "on_settled",
        "priority",
        "reply",
        "seq",
        "time",
        "trace",
        "value",
    )

    value: T
    ack: Ack

    def __init__(
        self,
        value: T,
        *,
        key: str | None = None,
        event_time: float | None = None,
        deadline: float | None = None,
        priority: int = 0,
        meta: Mapping[str, Any] = NO_META,
        reply: Reply[Any] | None = None,
        trace: str | None = None,
        on_settled: Callable[[Outcome, BaseException | None], None] | None = None,
    ) -> None:
        """Make an item at its source; the pipeline gives it its ack when it is admitted.

        `on_settled(outcome, error)` tells the source, once, after commits, how the item ended.
        """
        self.value = value
        self.id = _new_id()
        self.key = key
        self.seq = 0
        self.time = time.time() if event_time is None else event_time
        self.deadline = deadline
        self.priority = priority
        self.meta = meta
        self.reply = reply
        self.trace = trace
        self.on_settled = on_settled
        self.live = True
        self.ack = _NOT_ADMITTED

    @property
    def admitted(self) -> bool:
        """Whether a pipeline has taken it in."""
        return self.ack is not _NOT_ADMITTED

    def derive(self, value: U) -> Item[U]:
        """Make one more item of the same origin: counted by the same ack, with its own value."""
        self.ack._pending += 1  # noqa: SLF001 - inlined Ack.add: this is the hot path of every split
        return self._copy(value)

    def branch(self, on_complete: Callable[[Ack], None]) -> Item[T]:
        """Make a copy with its own ack, a child of this item's, which completes when everything derived from it has.

        This item stays alive meanwhile: whoever branches settles it afterwards. Cancelling it cancels the branch, and
        transactional sinks inside the branch commit with the origin.
        """
        # Two counters for one origin: the child's tells when this branch is done, while the parent's stays above zero
        # because `self` is not settled yet. What sinks staged below must reach the parent before the child completes.
        parent = self.ack

        def complete(child: Ack) -> None:
            parent.off_cancel(child)
            for participant in child.participants or ():
                parent.enlist(participant)
            on_complete(child)

        item = self._copy(self.value)
        item.ack = Ack(parent.origin, complete)
        parent.on_cancel(item.ack, item.ack.cancel)
        return item

    def _copy(self, value: U) -> Item[U]:
        item: Item[U] = Item.__new__(Item)  # without `__init__`: measured 0.2 us against 0.8, on every split
        item.value = value
        item.id = _new_id()
        item.key = self.key
        item.seq = self.seq
        item.time = self.time
        item.deadline = self.deadline
        item.priority = self.priority
        item.meta = self.meta
        item.ack = self.ack
        item.reply = self.reply
        item.trace = self.trace
        item.on_settled = None  # the source hears of its own item, once
        item.live = True
        return item

    def settle(self, outcome: Outcome, error: BaseException | None = None, step: str | None = None) -> None:
        """End this item. A second call does nothing: an item is counted once."""
        if self.live:
            self.live = False
            if error is not None and self.ack.failures is not None:
                self.ack.failures.append(ItemFailure(self.value, outcome, error, step))
            self.ack.settle(outcome, error, step)

    def __repr__(self) -> str:
        """Short, for logs."""
        return f"Item({self.value!r:.80}, id={self.id}, key={self.key!r})"
