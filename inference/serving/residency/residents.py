"""The loaded models: brought and removed as the plan says, each by a task that this owns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from fastembed.inference.library.devices import Devices
from fastembed.inference.library.tasks import LoadedModel, LoadRequest, TaskKind
from fastembed.inference.serving.residency.compiled import prune
from fastembed.inference.serving.residency.footprints import Footprints, weights_of
from fastembed.inference.serving.residency.memory import ProcessMemory, memory_of_processes, process_memory, room_of
from fastembed.inference.serving.residency.plan import (
    DeviceRoom,
    Key,
    Outlook,
    ResidencyEntry,
    ResidencyPlan,
    ResidencyState,
)
from fastembed.pipeline.errors import Conflict, Unavailable

log = logging.getLogger("fastembed.models")
_NOTHING: Final = ProcessMemory(0, 0)
_MEASURED_EVERY_S: Final = 60.0
_HOLDS: Final = (ResidencyState.LOADED, ResidencyState.LEAVING)


@dataclass(slots=True, eq=False)
class Resident:
    """A model on a device, loaded or not, and what became of it so far.

    bare: bytes that it is expected to take itself, without what it may work with. measured: what it was last found to
    take; None: not loaded, or nothing tells. unloads: how often it left for another model, or because it was idle.
    load_s: of all loads together.
    """

    entry: ResidencyEntry
    kind: TaskKind
    model: LoadedModel | None = None
    bare: int = 0
    measured: int | None = None
    loads: int = 0
    failures: int = 0
    unloads: int = 0
    load_s: float = 0.0
    bringing: asyncio.Task[None] | None = None
    turn: asyncio.Future[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it is lent at once."""
        return self.model is not None and self.entry.state is ResidencyState.LOADED and not self.entry.closing


class Residents:
    """All of them, by model and device, whether loaded or not. Call it on one event loop.

    contended: a load waits for room, so `step` must follow whatever makes some.
    """

    def __init__(
        self,
        devices: Devices,
        footprints: Footprints,
        leaves: Callable[[Resident], None],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Start with nothing loaded. `leaves` is called when a model closes to new requests."""
        self.plan = ResidencyPlan(self.room)
        self.known: dict[Key, Resident] = {}
        self.contended = False
        self._devices = devices
        self._footprints = footprints
        self._leaves = leaves
        self._clock = clock
        self._closed = False
        self._started = 0  # loads
        self._loading = 0
        self._keeping: asyncio.Task[None] | None = None
        self._removing: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def of(self, request: LoadRequest, *, pinned: bool = False, keep_alive_s: float | None = None) -> Resident:
        """Return a model on a device, and what to expect of it if it is not loaded. Blocks for a look at the disk."""
        entry = self.plan.entry((request.name, request.device))
        entry.pinned, entry.keep_alive_s = pinned, keep_alive_s
        found = self.known.get(entry.key)
        if found is None or found.entry is not entry:
            found = self.known[entry.key] = Resident(entry, request.kind)
        if entry.state in (ResidencyState.ABSENT, ResidencyState.WAITING):
            expected = self._footprints.of(request.folder, request.device, *request.options.parts)
            least, most = request.kind.extra_memory(request)
            found.bare, entry.load_s = expected.bytes, expected.load_s
            entry.least, entry.most = expected.bytes + least, expected.bytes + most
            entry.bytes = entry.least
        return found

    def outlook(self, resident: Resident) -> Outlook:
        """Tell what would come of borrowing a model that is not loaded."""
        return self.plan.outlook(resident.entry, self._clock())

    async def borrow(self, resident: Resident, request: LoadRequest, *, priority: int = 0) -> None:
        """Wait until a model is loaded and count one more user of it: `give_back` must follow.

        Raises what the load raises; Unavailable when it does not fit, or after `close`.
        """
        entry = resident.entry
        while entry.state is ResidencyState.LEAVING or entry.closing:
            await self._change()
        if self._closed:
            raise Unavailable("the models are closing and take no new requests")
        entry.users += 1
        try:
            if not resident.ready:
                await self._brought(resident, request, priority)
        except BaseException:  # raised again, cancellation too: the use that was counted ends here
            self.give_back(resident)
            if not entry.users and resident.turn is not None and entry.state is ResidencyState.WAITING:
                self.plan.withdraw(entry)
                resident.turn.cancel()
                resident.bringing = resident.turn = None
                self.step()
            raise

    def give_back(self, resident: Resident) -> None:
        """Count one user less."""
        resident.entry.users -= 1
        resident.entry.use.last_s = self._clock()
        if self.contended and not resident.entry.users:
            self.step()

    def room(self, device: str) -> DeviceRoom | None:
        """Return what models may take. Where no limit is declared: what they really have, and what is free."""
        held = (
            entry.bytes if resident.measured is None else resident.measured
            for resident in self.known.values()
            if (entry := resident.entry).device == device and entry.state in _HOLDS
        )
        return room_of(self._devices, device, sum(held))

    def idle_s(self, resident: Resident) -> float:
        """Return for how long a model has not been used; 0 while it is in use, or was never used."""
        last_s = resident.entry.use.last_s
        return 0.0 if resident.entry.users or last_s is None else self._clock() - last_s

    def step(self) -> None:
        """Do what the plan says now."""
        now_s = self._clock()
        for order in self.plan.step(now_s):
            resident = self.known[order.entry.key]
            if order.do == "unload":
                self._remove(resident, "made room")
            elif resident.turn is not None and not resident.turn.done():
                if order.do == "load":
                    resident.turn.set_result(None)
                else:
                    resident.turn.set_exception(Unavailable(order.why))
        for entry in self.plan.entries.values():
            if entry.closing:
                self._leaves(self.known[entry.key])
        self.contended = self.plan.waits()
        self._changed.set()
        self._changed.clear()

    def remove_idle(self) -> None:
        """Unload what has been idle for longer than it is to be kept."""
        for entry in self.plan.idle(self._clock()):
            self._remove(self.known[entry.key], "was idle")

    async def unload(self, resident: Resident) -> bool:
        """Unload a model that nothing uses, and wait until its memory is free; False: it is not loaded.

        Conflict: it is in use, or pinned.
        """
        entry = resident.entry
        if not resident.ready:
            return False
        if entry.users or entry.pinned:
            why = f"it answers {entry.users} requests now" if entry.users else "the configuration pins it"
            raise Conflict(f"{entry.key[0]} cannot be unloaded: {why}")
        entry.state = ResidencyState.LEAVING
        self._remove(resident, "was not wanted any more")
        await self.settled()
        return True

    async def measure(self) -> None:
        """Measure models in processes of their own again: what they remember of conversations grows."""
        for resident in list(self.known.values()):
            held = await asyncio.to_thread(_held, resident) if resident.model else None
            if held is not None and resident.ready:
                resident.measured = held
                resident.entry.bytes = max(resident.entry.bytes, held)
        self.step()

    async def settled(self) -> None:
        """Wait until no model is being unloaded."""
        while self._removing:
            await asyncio.wait(self._removing)

    async def close(self) -> None:
        """Load nothing more, let loads end, free all models."""
        self._closed = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        for resident in self.known.values():
            if resident.turn is not None and not resident.turn.done():
                resident.turn.set_exception(Unavailable("the models are being closed: found a request that waits"))
        loads = [resident.bringing for resident in self.known.values() if resident.bringing]
        await asyncio.gather(*loads, return_exceptions=True)
        await self.settled()
        for resident in self.known.values():
            if resident.model is not None:
                resident.entry.state = ResidencyState.LEAVING
                self._remove(resident, "")
        await self.settled()
        self._changed.set()

    async def _brought(self, resident: Resident, request: LoadRequest, priority: int) -> None:
        """Have it loaded, by its first request, and wait for that."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="unload idle models")
        if resident.bringing is None:
            resident.turn = asyncio.get_running_loop().create_future()
            resident.bringing = asyncio.create_task(
                self._bring(resident, request, resident.turn), name=f"load {request.name} on {request.device}"
            )
        self.plan.want(resident.entry, self._clock(), priority=priority)
        self.step()
        await asyncio.shield(resident.bringing)

    async def _bring(self, resident: Resident, request: LoadRequest, turn: asyncio.Future[None]) -> None:
        """Load it when it is its turn."""
        try:
            await turn
        except BaseException:  # it is too large, or its last caller has gone
            if resident.turn is turn:
                resident.bringing = resident.turn = None
            raise
        entry, began_s = resident.entry, self._clock()
        try:
            extra = max(0, entry.bytes - resident.bare)
            model, size = await self._load(replace(request, extra=extra))
        except BaseException:  # raised again, cancellation too: the memory planned for it is free again
            resident.failures += 1
            self.plan.gone(entry)
            raise
        else:
            took_s = self._clock() - began_s
            resident.model = model
            resident.loads += 1
            resident.load_s += took_s
            resident.measured = size
            more = await asyncio.to_thread(resident.kind.growth, model)
            self.plan.loaded(entry, size=size + more if size else entry.bytes, load_s=took_s)
            if size:
                known, parts = self._footprints, request.options.parts
                await asyncio.to_thread(known.remember, request.folder, request.device, size, took_s, *parts)
            if self._devices.cache is not None:
                await asyncio.to_thread(prune, self._devices.cache)
            log.info("loaded %s on %s in %.1f s, %d MiB", request.name, request.device, took_s, entry.bytes >> 20)
        finally:
            resident.bringing = resident.turn = None
            self.step()

    async def _load(self, request: LoadRequest) -> tuple[LoadedModel, int | None]:
        """Return the model and its bytes; None: something else was loaded at the same time, or nothing tells."""
        self._started += 1
        self._loading += 1
        started, alone = self._started, self._loading == 1
        before: ProcessMemory | None = process_memory()
        try:
            model = await _load(request)
            pids = request.kind.processes(model)
            after = process_memory() if pids is None else memory_of_processes(pids)
        finally:
            self._loading -= 1
        if pids is not None:
            before = _NOTHING
        elif not alone or self._started != started:
            before = None
        weights = weights_of(request.folder, *request.options.parts)
        return model, _grown(before, after, weights) if before and after else None

    def _remove(self, resident: Resident, why: str) -> None:
        """Unload a model that is leaving."""
        self._leaves(resident)
        resident.unloads += 1
        task = asyncio.create_task(self._close(resident, why), name=f"unload {resident.entry.key[0]}")
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)

    async def _close(self, resident: Resident, why: str) -> None:
        model, resident.model, resident.measured = resident.model, None, None
        try:
            if model is not None:
                await model.close()
        except Exception:  # whatever an engine raises when it ends: its room must be free all the same
            log.exception("%s did not end well", resident.entry.key[0])
        finally:
            self.plan.gone(resident.entry)
            self.step()
        if why:
            log.info("unloaded %s from %s: it %s", *resident.entry.key, why)

    async def _keep(self) -> None:
        """Do what becomes due by time alone."""
        while True:
            due_s = self.plan.next_s(self._clock())
            try:
                async with asyncio.timeout(_MEASURED_EVERY_S if due_s is None else min(due_s, _MEASURED_EVERY_S)):
                    await self._change()
            except TimeoutError:
                await self.measure()
            self.remove_idle()
            if self.contended:
                self.step()

    async def _change(self) -> None:
        await self._changed.wait()


async def _load(request: LoadRequest) -> LoadedModel:
    """Load a model, in a thread or a process of its own. RuntimeError (OpenVINO's), Unavailable, ModelNotFound."""
    kind = request.kind
    if kind.load is None:
        raise Unavailable(f"found no way to load {request.name}, a model for {kind.name}: its engine does so itself")
    return await asyncio.to_thread(kind.load, request)


def _held(resident: Resident) -> int | None:
    """Return what a model takes in processes of its own; None: it has none, or nothing tells."""
    model = resident.model
    memory = memory_of_processes(resident.kind.processes(model) or ()) if model else None
    return _grown(_NOTHING, memory, weights_of(model.folder)) if model and memory else None


def _grown(before: ProcessMemory, after: ProcessMemory, weights: int) -> int:
    """Return what a load took: what was written, and what was mapped of the weights (not of libraries)."""
    written = max(0, after.anonymous - before.anonymous)
    mapped = min(weights, max(0, after.mapped - before.mapped))
    return max(weights, written + mapped)
