"""Models are loaded shortly before they will probably be asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from fastembed.inference.library.policies import WarmupPolicy
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.warmup.forecast import Past, chance
from fastembed.inference.serving.warmup.history import History
from fastembed.pipeline.errors import FastEmbedError

log = logging.getLogger("fastembed.warmup")
_EVERY_S: Final = 300.0
_AHEAD: Final = timedelta(minutes=10)
_FIRST: Final = datetime(1970, 1, 5)  # noqa: DTZ001 - a Monday, in whatever time zone the machine is


class Warmup:
    """Every five minutes: note what was used, forecast the hour that begins in ten, load what is likely and has room.

    It never unloads anything: a model for which others would have to leave is loaded at its first request.
    """

    def __init__(
        self,
        models: Models,
        history: History,
        policy: WarmupPolicy | None = None,
        *,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Start nothing yet. now: local time."""
        self.policy = policy or WarmupPolicy()
        self.chances: dict[str, float] = {}
        self._models = models
        self._history = history
        self._now = now
        self._noted: dict[str, float] = {}
        self._loaded_for: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_sections(cls, sections: Mapping[str, Any], models: Models, history: History) -> Warmup:
        """Make it as the section `warmup:` says."""
        return cls(models, history, WarmupPolicy.model_validate(sections.get("warmup") or {}))

    def start(self) -> None:
        """Begin, if the policy says so."""
        if self.policy.enabled:
            self._task = asyncio.create_task(self._go_on(), name="warm-up")

    async def turn(self) -> list[str]:
        """Do it once; return the models that were loaded."""
        now = self._now()
        await self._history.note(hour_of(now), self._uses())
        hour = hour_of(now + _AHEAD)
        observed, used = self._history.observed(), self._history.used()
        self.chances = await asyncio.to_thread(
            lambda: {model: chance(Past(observed, hours), hour) for model, hours in used.items()}
        )
        likely = sorted((-chance, model) for model, chance in self.chances.items() if chance > self.policy.above)
        return [model for _, model in likely if await self._load(model, hour)]

    async def close(self) -> None:
        """End, and keep what was used since the last turn."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._history.note(hour_of(self._now()), self._uses())
        await self._history.close()

    async def _go_on(self) -> None:
        await self._history.open()
        while True:
            await self.turn()
            await asyncio.sleep(_EVERY_S)

    async def _load(self, model: str, hour: int) -> bool:
        """Load a model, once an hour at most: it may have been unloaded for a reason."""
        placed = next((placed for placed in self._models.catalog.placed() if placed.name == model), None)
        if placed is None or placed.task is None or placed.folder is None or self._loaded_for.get(model) == hour:
            return False
        if any(key[0] == model and resident.model for key, resident in self._models.residents.known.items()):
            return False
        self._loaded_for[model] = hour
        try:
            loaded = await self._models.warm(model, placed.task)
        except (FastEmbedError, RuntimeError) as error:  # the next request for it is told
            log.warning("%s was likely to be used and could not be loaded: %s", model, error)
            return False
        if loaded:
            log.info("loaded %s: it is used in this hour with a probability of %.2f", model, self.chances[model])
        return loaded

    def _uses(self) -> dict[str, float]:
        """Return the uses since the last time that this was asked."""
        totals: dict[str, float] = {}
        for (model, _), resident in self._models.residents.known.items():
            totals[model] = totals.get(model, 0.0) + resident.entry.use.total
        fresh = {model: total - self._noted.get(model, 0.0) for model, total in totals.items()}
        self._noted |= totals
        return {model: uses for model, uses in fresh.items() if uses > 0}


def hour_of(local: datetime) -> int:
    """Return the number of an hour of local time; hour 0 is the first of a Monday."""
    return int((local.replace(tzinfo=None) - _FIRST) // timedelta(hours=1))
