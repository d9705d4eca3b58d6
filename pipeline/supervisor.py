"""Supervises one pipeline: runs it, rebuilds it when it breaks, halts it.

Theory of operation. A pipeline that breaks is not reusable: its supervisor makes another of the same plan after a pause
that doubles. Three things end that for good: a halt (a stop of the process, a reload that retires the pipeline), after
which nothing is built or run any more, whatever the supervisor is waiting for; `once`, which means once; and a source
that would begin again with items that it has given already, where nothing says that it may (`replayable`): delivering
them twice breaks a promise, not delivering the rest of them is what "at most once" means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.runner import Pipeline

log = logging.getLogger("fastembed.pipeline")

# Doubling from half a second: a disk that was full for a moment costs one file half a second, a database that another
# process holds is asked about twice a minute, and neither fills the log.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0


class Supervisor:
    """Runs a pipeline until it ends, breaks for good, or `halt` is called.

    after: what has to end first. replaced(pipeline) learns of each successor, report(problem) of what is wrong, "" when
    it is over.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        replaced: Callable[[Pipeline], None],
        report: Callable[[str], None] = lambda _: None,
        *,
        after: asyncio.Task[None] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._replaced = replaced
        self._report = report
        self._reported = False
        self._after = after
        self._halted = asyncio.Event()

    def halt(self) -> None:
        """Stop the pipeline: it admits no more and ends what it has; nothing is built or run after it. Idempotent."""
        self._halted.set()
        self._tell("")
        self.pipeline.stop()

    async def run(self) -> None:
        """Run the pipeline, and each rebuilt one after it."""
        try:
            # A reload starts the new pipeline while the old one drains. An exclusive source (a folder) must not run
            # twice, so its successor is opened already and waits here; halted meanwhile, it never runs.
            if self._after is not None and await self._halted_within(_end_of(self._after)):
                return
            pause_s = FIRST_PAUSE_S
            while not await self._ends_well(pause_s):
                successor = await self._successor(pause_s)
                if successor is None:
                    return
                self.pipeline = successor
                self._replaced(successor)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            if not self.pipeline.started:  # it was opened, and waited for its turn
                await self.pipeline.close()

    async def _ends_well(self, pause_s: float) -> bool:
        """Run the pipeline; False: it broke and has to be rebuilt."""
        pipeline = self.pipeline
        try:
            await pipeline.run()
        except Exception as error:  # noqa: BLE001 - the supervisor: one pipeline's defect ends neither the others nor the process
            # Asked in this order: a halt wants no successor whatever broke; `final` is the promise "at most once"; only
            # then is it worth another try.
            if self._halted.is_set():
                _log("%s: the pipeline broke while it was stopped", pipeline.name, error=error)
            elif reason := pipeline.final:
                _log("%s: the pipeline broke for good: %s", pipeline.name, reason, error=error)
                self._tell(f"broke for good ({type(error).__name__}: {error}): {reason}")
            else:
                _log("%s: the pipeline broke; it is rebuilt in %g s", pipeline.name, pause_s, error=error)
                self._tell(f"broke ({type(error).__name__}: {error}); it is rebuilt")
                return False
        return True

    async def _successor(self, pause_s: float) -> Pipeline | None:
        """Return an opened pipeline of the same plan after a pause, None: halted. One that does not open is retried."""
        while not await self._halted_within(asyncio.sleep(pause_s)):
            fresh = self.pipeline.anew()
            self._tell("")  # before it opens: what its source then has to tell stays
            try:
                halted = await self._halted_within(fresh.open())
            except Exception as error:  # noqa: BLE001 - the supervisor, as above: a component that does not open is tried again
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                _log("%s: the pipeline cannot be rebuilt; next try in %g s", fresh.name, pause_s, error=error)
                self._tell(f"cannot be rebuilt ({type(error).__name__}: {error}); it is tried again")
                continue
            if not halted:
                return fresh
            # Halted in the very turn in which the opening ended: nobody else knows of this pipeline, nobody closes it.
            if fresh.opened:
                await fresh.close()
        return None

    def _tell(self, problem: str) -> None:
        """Report a problem, or that the one that was reported is over."""
        if problem or self._reported:
            self._report(problem)
        self._reported = bool(problem)

    async def _halted_within(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` until it ends or the supervisor is halted; True: halted."""
        working, halted = asyncio.ensure_future(work), asyncio.ensure_future(self._halted.wait())
        try:
            await asyncio.wait((working, halted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Awaited after `cancel`: work that is interrupted (an `open`) closes what it has opened before this
            # returns.
            for task in (working, halted):
                task.cancel()
            await asyncio.wait((working, halted))
        if not working.cancelled() and (error := working.exception()) is not None:
            raise error
        return self._halted.is_set()


def _log(text: str, *arguments: object, error: Exception) -> None:
    """Log what broke. The place is told of a defect; errors of our own tree say all there is in their message."""
    trace = None if isinstance(error, FastEmbedError) else error
    log.log(logging.ERROR, "%s: %s", text % arguments, error, exc_info=trace)


async def _end_of(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
