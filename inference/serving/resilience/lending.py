"""Models are lent for attempts: whatever keeps one from being loaded on a device is that device's failure."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, TypeVar

from fastembed.inference.library.tasks import Task
from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.attempts import Attempts, NotLoaded, call
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.pipeline.errors import ItemError

T = TypeVar("T")
_FRESH_S: Final = 1.0
"""How long a look at the disk and the devices holds."""


class Lent:
    """A model on a device for the time of an `async with`.

    Entering raises NotLoaded where it cannot be loaded there, and what `Models.lend` raises.
    """

    __slots__ = ("_candidate", "_loan")

    def __init__(self, models: Models, candidate: Candidate, task: Task, *, priority: int = 0) -> None:
        self._candidate = candidate
        self._loan = models.lend(candidate.model, task, device=candidate.device, priority=priority)

    async def __aenter__(self) -> Any:
        try:
            return await self._loan.__aenter__()
        except ItemError:
            raise
        except Exception as error:  # the engines' boundary: whatever OpenVINO raises, `Attempts.failed` logs it
            where = f"{self._candidate.model} cannot be loaded on {self._candidate.device}"
            raise NotLoaded(where, retry_after_s=1.0) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._loan.__aexit__(kind, error, trace)


class OwnDevices:
    """Uses a model on the first of its own devices that can; never another model in its place.

    That is the way of whatever must come from one model, such as vectors: those of two models cannot be compared.
    """

    def __init__(self, models: Models, breakers: Breakers, task: Task) -> None:
        """Use models of one task."""
        self._models = models
        self._breakers = breakers
        self._task: Task = task
        self._known: dict[str, tuple[float, tuple[Candidate, ...]]] = {}

    async def use(self, name: str, work: Callable[[Any], Awaitable[T]], *, priority: int = 0) -> T:
        """Return what `work` makes of the loaded model.

        Raises what the caller did wrong; Overloaded, Unavailable where no device can; ModelNotFound.
        """

        async def ask(candidate: Candidate) -> T:
            async with Lent(self._models, candidate, self._task, priority=priority) as model:
                return await work(model)

        return await call(Attempts(self._candidates(name), self._breakers), ask)

    def _candidates(self, name: str) -> tuple[Candidate, ...]:
        now_s = time.monotonic()
        looked_s, found = self._known.get(name, (-_FRESH_S, ()))
        if not found or now_s - looked_s > _FRESH_S:
            placed = self._models.catalog.place(name, self._task)
            found = tuple(Candidate(placed.name, device) for device in self._models.choices(placed))
            self._known[name] = (now_s, found)
        return found
