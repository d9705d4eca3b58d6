"""What embedding models and rerankers share: an engine, batches of all callers' rows, a thread to tokenise in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.encoder.engine import EncoderEngine
from fastembed.inference.engines.sanity import check_vectors
from fastembed.inference.engines.scheduling.batcher import BatchLimits
from fastembed.inference.engines.scheduling.scheduler import Scheduler

T = TypeVar("T")

INLINE_CHARS: Final = 2_000
"""About 0.3 ms of tokenising, three times what a hop to a thread costs."""


class EncoderModel:
    """One model for the whole process; all callers share its batches. Call it on one event loop.

    device: OpenVINO's name of where it runs. window: longest row, in tokens.
    """

    def __init__(
        self, name: str, folder: Path, device: str, engine: EncoderEngine, limits: BatchLimits | None = None
    ) -> None:
        self.name = name
        self.folder = folder
        self.device = device
        self.window = engine.window
        self._engine = engine
        self._scheduler: Scheduler[Sequence[int], NDArray[np.float32]] = Scheduler(engine, limits or _limits_of(engine))
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenizing")

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens that wait for a batch."""
        return self._scheduler.batcher.waiting_items, self._scheduler.batcher.waiting_cost

    @property
    def eta_s(self) -> float:
        """Seconds until what waits now has been served, at the measured rate."""
        return self._scheduler.batcher.eta_s()

    @property
    def padding(self) -> float:
        """The part of all computed tokens that were padding, 0 to 1."""
        return self._engine.padding

    async def close(self) -> None:
        """Serve what was admitted, then free the model."""
        await self._scheduler.close()
        await asyncio.to_thread(self._engine.close)
        self._tokenizing.shutdown()

    async def _compute(
        self,
        rows: Sequence[Sequence[int]],
        *,
        priority: int = 0,
        deadline: float | None = None,
        max_batch: int | None = None,
    ) -> NDArray[np.float32]:
        """Return float32 [n, d]. Raises Overloaded, Expired, Unavailable."""
        costs = [self._engine.cost(row) for row in rows]
        outputs = np.array(
            await self._scheduler.run(rows, costs, priority=priority, deadline=deadline, max_batch=max_batch)
        )
        check_vectors(outputs, self.name)
        return outputs

    async def _tokenized(self, chars: int, work: Callable[[], T]) -> T:
        """Return what `work` tokenises: at once if there are few characters, else in a thread."""
        if chars <= INLINE_CHARS:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, work)


def _limits_of(engine: EncoderEngine) -> BatchLimits:
    return BatchLimits(in_flight=engine.slots, batch_items=1) if engine.lengths else BatchLimits(in_flight=engine.slots)
