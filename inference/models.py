"""The loaded models of this process, the resource that components ask for.

`async with context.resources.get(Models).lend(name, "embedding") as model: ...`
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

from inference.catalog import AUTO, Card, Catalog, Placed
from inference.chat.model import ChatModel
from inference.devices import Devices
from inference.embedding.model import EmbeddingModel
from inference.folders import Task
from inference.loaders import LOADERS, LoadedModel, Loading
from inference.specs import ModelSpec, read_sections
from pipeline.errors import ModelNotFound, Unavailable

log = logging.getLogger("fastembed.models")
ChatTask = Literal["chat", "code"]
M_co = TypeVar("M_co", covariant=True)
Key: TypeAlias = tuple[str, str]
"""A model's name and OpenVINO's name of the device that it is on."""
Asked: TypeAlias = tuple[Task, str, str | None]


class Resident:
    """A loaded model, and how many use it now."""

    __slots__ = ("model", "users")

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self.users = 0


class Lease(Generic[M_co]):
    """A model for the time of an `async with`: it is loaded when that begins, and kept until it ends."""

    __slots__ = ("_asked", "_models", "_resident")

    def __init__(self, models: Models, asked: Asked) -> None:
        self._models = models
        self._asked = asked

    async def __aenter__(self) -> M_co:
        """Return the model; without waiting if it is loaded."""
        resident = self._models.resident(self._asked) or await self._models.load(*self._asked)
        resident.users += 1
        self._resident = resident
        return cast("M_co", resident.model)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the model back."""
        self._resident.users -= 1


class Models:
    """The models of this process: loaded when first asked for, lent to who uses them, kept until `close`.

    catalog: which models there are. devices: where they may be loaded.
    """

    def __init__(
        self,
        declared: Mapping[str, ModelSpec] | None = None,
        *,
        aliases: Mapping[str, str] | None = None,
        devices: Devices | None = None,
        base: Path | None = None,
    ) -> None:
        """Declare models; `base` is the folder that relative paths in `from:` start from."""
        self.catalog = Catalog(declared, aliases=aliases, base=base)
        self.devices = devices or Devices()
        self._loading: dict[Key, asyncio.Task[Resident]] = {}
        self._residents: dict[Key, Resident] = {}
        self._found: dict[Asked, Resident] = {}
        self._closed = False

    @classmethod
    def from_sections(cls, sections: Mapping[str, Any], base: Path, *, cache: Path | None = None) -> Models:
        """Make the resource from a configuration's sections. ConfigError lists every problem."""
        declared, limits = read_sections(sections)
        aliases = sections.get("aliases")
        return cls(declared, aliases=aliases, devices=Devices(limits, cache=cache), base=base)

    @overload
    def lend(
        self, name: str, task: Literal["embedding"], *, device: str | None = None, priority: int = 0
    ) -> Lease[EmbeddingModel]: ...
    @overload
    def lend(self, name: str, task: ChatTask, *, device: str | None = None, priority: int = 0) -> Lease[ChatModel]: ...
    @overload
    def lend(self, name: str, task: Task, *, device: str | None = None, priority: int = 0) -> Lease[Any]: ...
    def lend(self, name: str, task: Task, *, device: str | None = None, priority: int = 0) -> Lease[Any]:  # noqa: ARG002
        """Lend a model to an `async with`; the first who asks loads it, the others wait for the same load.

        name: a name, an alias, or "auto". device: OpenVINO's name (GPU.1); by default the first of the model's `on:`
        that is there and takes it. priority: whose load goes first, the higher ones. Entering raises ModelNotFound, or
        Unavailable: after `close`, or when no such device is there.
        """
        return Lease(self, (task, name, device))

    async def get(self, name: str = AUTO, task: Task = "embedding") -> Any:
        """Return a model, loaded. Nothing keeps it from being unloaded: `lend` does."""
        async with self.lend(name, task) as model:
            return model

    def loaded(self, name: str) -> EmbeddingModel | None:
        """Return the embedding model that is loaded under a name, an alias or "auto", or None."""
        resident = self._found.get(("embedding", name, None))
        return cast("EmbeddingModel", resident.model) if resident else None

    async def warm(self, name: str = AUTO, task: Task = "embedding") -> None:
        """Load a model, so that the first request does not wait for it."""
        async with self.lend(name, task):
            pass

    def at(self, name: str, device: str) -> LoadedModel | None:
        """Return the model that is loaded on a device (OpenVINO's name), or None. name: as it is declared."""
        resident = self._residents.get((name, device))
        return resident.model if resident else None

    def resident(self, asked: Asked) -> Resident | None:
        """Return what was found for the same question before, if it is still loaded."""
        return self._found.get(asked)

    async def load(self, task: Task, name: str, device: str | None) -> Resident:
        """Return a model, loaded. Raises what entering a loan raises."""
        if task not in LOADERS:
            known = ", ".join(LOADERS)
            raise ModelNotFound(f"found the task {task}, expected one of {known}: its engine loads its models itself")
        placed = self.catalog.place(name, task)
        resident = self._found[task, name, device] = await self._on_some_device(placed, device)
        return resident

    def cards(self) -> list[Card]:
        """Describe every declared model for a list of models."""
        return [self._card(card) for card in self.catalog.cards()]

    async def close(self) -> None:
        """Load nothing more, serve what was admitted, free the models."""
        self._closed = True
        self._found.clear()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        for resident in list(self._residents.values()):
            await resident.model.close()
        self._residents.clear()

    async def _on_some_device(self, model: Placed, device: str | None) -> Resident:
        """Return the model on the device, or on the first of `on:` that has it or takes it."""
        wanted = [self.devices.named(device)] if device else self.devices.choices(model.spec.on)
        for choice in wanted:
            if resident := self._residents.get((model.name, choice)):
                return resident
        for choice in wanted[:-1]:
            try:
                return await self._on(model, choice)
            except RuntimeError as error:  # OpenVINO's: this device cannot compile or run the model
                log.warning("%s does not run on %s, trying the next device: %s", model.name, choice, error)
        return await self._on(model, wanted[-1])

    async def _on(self, model: Placed, device: str) -> Resident:
        """Return the model on this device: loaded by the first who comes, awaited by the others."""
        if self._closed:
            raise Unavailable("the models are being closed: found a new request, expected none")
        key = (model.name, device)
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(
                self._load(model, device), name=f"load {model.name} on {device}"
            )
            loading.add_done_callback(lambda _: self._loading.pop(key))
        return await asyncio.shield(loading)

    async def _load(self, model: Placed, device: str) -> Resident:
        task, folder = cast("Task", model.task), cast("Path", model.folder)
        loading = Loading(model.name, folder, device, self.devices, self.catalog.options(model))
        loaded = await asyncio.to_thread(LOADERS[task], loading)
        resident = self._residents[model.name, device] = Resident(loaded)
        return resident

    def _card(self, card: Card) -> Card:
        loaded: Any = next((held.model for held in self._residents.values() if held.model.name == card.name), None)
        if loaded is None:
            loading = any(name == card.name for name, _ in self._loading)
            return replace(card, state="loading") if loading and card.folder else card
        return replace(
            card,
            state="ready",
            device=loaded.device,
            window=loaded.window,
            dimensions=getattr(loaded, "dimensions", None),
            pocket=card.pocket or getattr(loaded, "pocket", False),
        )
