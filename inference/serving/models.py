"""The loaded models of this process, the resource that components ask for.

`async with context.resources.get(Models).lend(name, "embedding") as model: ...`
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, overload

from fastembed.inference.engines.chat.model import ChatModel
from fastembed.inference.engines.docling.model import DoclingModel
from fastembed.inference.engines.embedding.model import EmbeddingModel
from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.engines.speech.engine import SpeechEngine
from fastembed.inference.library.catalog import AUTO, Catalog, LocatedModel, ModelCard
from fastembed.inference.library.device_traits import traits_of
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.gguf import find_gguf
from fastembed.inference.library.sections import read_sections
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.library.tasks import TASKS, LoadedModel, LoadRequest, Task
from fastembed.inference.serving.residency.footprints import Footprints
from fastembed.inference.serving.residency.plan import Outlook
from fastembed.inference.serving.residency.residents import Resident, Residents
from fastembed.inference.serving.usage import Usage
from fastembed.pipeline.errors import ModelNotFound, Unavailable

log = logging.getLogger("fastembed.models")
ChatTask = Literal["chat", "code"]
M_co = TypeVar("M_co", covariant=True)
_STEPS: Final = 4
"""Each step of priority makes a use count twice, up to so many; fewer below zero."""
Asked: TypeAlias = tuple[Task, str, str | None]


class Lease(Generic[M_co]):
    """A model for the time of an `async with`: it is loaded when that begins, and kept until it ends."""

    __slots__ = ("_asked", "_models", "_priority", "_resident")

    def __init__(self, models: Models, asked: Asked, priority: int) -> None:
        self._models = models
        self._asked = asked
        self._priority = priority

    async def __aenter__(self) -> M_co:
        """Return the model; without waiting if it is loaded."""
        resident = self._models.take(self._asked)
        if resident is None:
            resident = await self._models.borrow(*self._asked, priority=self._priority)
        self._resident = resident
        priority = self._priority
        resident.entry.use.pending += 2.0 ** max(-_STEPS, min(_STEPS, priority)) if priority else 1.0
        return cast("M_co", resident.model)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the model back."""
        self._models.give_back(self._resident)


class Models:
    """The models of this process: loaded when first asked for, lent to who uses them, kept until `close`.

    catalog: which models there are. devices: where they may be loaded. usage: what each did.
    """

    def __init__(
        self,
        declared: Mapping[str, ModelSpec] | None = None,
        *,
        aliases: Mapping[str, str] | None = None,
        devices: Devices | None = None,
        base: Path | None = None,
        footprints: Footprints | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Declare models; `base` is the folder that relative paths in `from:` start from."""
        self.catalog = Catalog(declared, aliases=aliases, base=base)
        self.devices = devices or Devices()
        self.residents = Residents(self.devices, footprints or Footprints(), self._forget, clock=clock)
        self.give_back = self.residents.give_back
        self.usage = Usage()
        self._found: dict[Asked, Resident] = {}
        self._closed = False

    @classmethod
    def from_sections(
        cls,
        sections: Mapping[str, Any],
        base: Path,
        *,
        cache: Path | None = None,
        footprints: Footprints | None = None,
        devices: Devices | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> Models:
        """Make the resource from a configuration's sections. ConfigError lists every problem.

        devices: instead of the machine's own, within the limits that they have.
        """
        declared, limits = read_sections(sections)
        aliases = sections.get("aliases")
        found = devices or Devices(limits, cache=cache)
        return cls(declared, aliases=aliases, devices=found, base=base, footprints=footprints, clock=clock)

    @overload
    def lend(
        self, name: str, task: Literal["embedding"], *, device: str | None = None, priority: int = 0
    ) -> Lease[EmbeddingModel]: ...
    @overload
    def lend(
        self, name: str, task: Literal["rerank"], *, device: str | None = None, priority: int = 0
    ) -> Lease[RerankModel]: ...
    @overload
    def lend(self, name: str, task: ChatTask, *, device: str | None = None, priority: int = 0) -> Lease[ChatModel]: ...
    @overload
    def lend(
        self, name: str, task: Literal["transcription"], *, device: str | None = None, priority: int = 0
    ) -> Lease[SpeechEngine]: ...
    @overload
    def lend(
        self, name: str, task: Literal["document"], *, device: str | None = None, priority: int = 0
    ) -> Lease[DoclingModel]: ...
    @overload
    def lend(self, name: str, task: Task, *, device: str | None = None, priority: int = 0) -> Lease[Any]: ...
    def lend(self, name: str, task: Task, *, device: str | None = None, priority: int = 0) -> Lease[Any]:
        """Lend a model to an `async with`; the first caller loads it, the others wait for the same load.

        name: a name, an alias, or "auto". device: OpenVINO's name (GPU.1); by default the first of the model's `on:`
        that is there and takes it. priority: of the load, higher ones go first. Borrow one at a time: a caller that
        holds a model and waits for another that does not fit beside it waits for itself. Entering raises ModelNotFound,
        or Unavailable: after `close`, when no such device is there, or when it does not fit.
        """
        return Lease(self, (task, name, device), priority)

    def loaded(self, name: str) -> EmbeddingModel | None:
        """Return the embedding model that is loaded under a name, an alias or "auto", or None."""
        resident = self._found.get(("embedding", name, None))
        return cast("EmbeddingModel", resident.model) if resident else None

    async def warm(self, name: str = AUTO, task: Task = "embedding") -> bool:
        """Load a model, so that the first request does not wait for it; not if others would have to leave for it.

        That is no use of it. Returns whether it is loaded. Raises what entering a loan raises.
        """
        if self._would_displace(name, task):
            return False
        self.give_back(await self.borrow(task, name, None))
        return True

    def at(self, name: str, device: str) -> LoadedModel | None:
        """Return the model that is loaded on a device (OpenVINO's name), or None. name: as it is declared."""
        resident = self.residents.known.get((name, device))
        return resident.model if resident and resident.ready else None

    def outlook(self, model: LocatedModel, device: str) -> Outlook:
        """Tell what would come of lending a model on a device (OpenVINO's name) where it is not loaded.

        Blocks for a look at the disk. ModelNotFound: a part of it (an adapter, a draft model) is not there.
        """
        return self.residents.outlook(self._resident(model, self._request(model, device)))

    def choices(self, model: LocatedModel) -> list[str]:
        """Return OpenVINO's names of the devices that a model may be loaded on, the preferred one first.

        Unavailable: none of its `on:` is there, or none of those can run it.
        """
        found = self.devices.choices(model.spec.on)
        others = [device for device in found if traits_of(device).gguf]
        if len(others) == len(found) or model.folder is None or find_gguf(model.folder) is None:
            return found
        if not others:
            raise Unavailable(
                f"{model.name} is a GGUF model, which {traits_of(found[0]).noun} does not run: expected "
                "`on: [gpu, cpu]`, or OpenVINO IR of it (fastembed convert)"
            )
        return others

    def _would_displace(self, name: str, task: Task) -> bool:
        placed = self.catalog.place(name, task)
        requests = [self._request(placed, device) for device in self.choices(placed)]
        outlooks = {self.residents.outlook(self._resident(placed, request)) for request in requests}
        if outlooks & {"free", "never"} == set():
            log.info("%s is not loaded yet: other models have its room until it is asked for", placed.name)
            return True
        return False

    def take(self, asked: Asked) -> Resident | None:
        """Return what was found for the same question before, with one more user, if it is still loaded."""
        resident = self._found.get(asked)
        if resident is not None:
            resident.entry.users += 1
        return resident

    async def borrow(self, task: Task, name: str, device: str | None, *, priority: int = 0) -> Resident:
        """Return a model, loaded, with one more user. Raises what entering a loan raises."""
        if self._closed:
            raise Unavailable("the models are closing and take no new requests")
        if TASKS.of(task).load is None:
            known = ", ".join(kind.name for kind in TASKS.all if kind.load is not None)
            raise ModelNotFound(f"found the task {task}, expected one of {known}: its engine loads its models itself")
        placed = self.catalog.place(name, task)
        resident = await self._on_some_device(placed, device, priority)
        if resident.ready:
            self._found[task, name, device] = resident
        return resident

    async def unload(self, name: str) -> int:
        """Unload a model wherever it is loaded; return from how many devices. Conflict: it is in use, or pinned."""
        held = [resident for key, resident in self.residents.known.items() if key[0] == name]
        return sum([await self.residents.unload(resident) for resident in held])

    def cards(self) -> list[ModelCard]:
        """Describe every declared model for a list of models."""
        return [self._card(card) for card in self.catalog.cards()]

    async def close(self) -> None:
        """Load nothing more, serve what was admitted, free the models."""
        self._closed = True
        self._found.clear()
        await self.residents.close()

    async def _on_some_device(self, model: LocatedModel, device: str | None, priority: int) -> Resident:
        """Borrow the model where it is loaded, else on the first device of `on:` that has room for it and takes it."""
        wanted = [self.devices.named(device)] if device else self.choices(model)
        choices = [self._request(model, choice) for choice in wanted]
        residents = [self._resident(model, request) for request in choices]
        if len(wanted) > 1:
            order = sorted(range(len(wanted)), key=lambda place: self._preference(residents[place]))
            choices, residents = [choices[place] for place in order], [residents[place] for place in order]
        for request, resident in list(zip(choices, residents, strict=True))[:-1]:
            try:
                await self.residents.borrow(resident, request, priority=priority)
            except (RuntimeError, Unavailable) as error:  # OpenVINO's: it cannot compile the model; or no room
                log.warning("%s does not run on %s, trying the next device: %s", model.name, request.device, error)
            else:
                return resident
        await self.residents.borrow(residents[-1], choices[-1], priority=priority)
        return residents[-1]

    def _request(self, model: LocatedModel, device: str) -> LoadRequest:
        kind, folder = TASKS.of(cast("Task", model.task)), cast("Path", model.folder)
        return LoadRequest(model.name, kind, folder, device, self.devices, self.catalog.options(model))

    def _resident(self, model: LocatedModel, request: LoadRequest) -> Resident:
        keep_alive_s = model.spec.keep_alive
        if keep_alive_s is None:
            keep_alive_s = self.devices.limits(request.device).keep_alive
        return self.residents.of(request, pinned=model.spec.pin, keep_alive_s=keep_alive_s)

    def _preference(self, resident: Resident) -> int:
        """Order devices: loaded there, room at once, a wait for room, never any."""
        if resident.ready:
            return 0
        return {"free": 1, "swap": 1, "wait": 2, "never": 3}[self.residents.outlook(resident)]

    def _forget(self, resident: Resident) -> None:
        """Drop the shortcuts to a model that closes to new requests."""
        for asked in [asked for asked, found in self._found.items() if found is resident]:
            del self._found[asked]

    def _card(self, card: ModelCard) -> ModelCard:
        held = [resident for resident in self.residents.known.values() if resident.entry.key[0] == card.name]
        loaded: Any = next((resident.model for resident in held if resident.model), None)
        if loaded is None:
            loading = any(resident.bringing for resident in held)
            return replace(card, state="loading") if loading and card.folder else card
        return replace(
            card,
            state="ready",
            device=loaded.device,
            window=getattr(loaded, "window", None),
            dimensions=getattr(loaded, "dimensions", None),
            pocket=card.pocket or getattr(loaded, "pocket", False),
        )
