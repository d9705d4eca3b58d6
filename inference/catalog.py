"""The models of this process: what `models:` declares, where their files are, and the loaded ones.

`Models` is the resource that components ask for: `await context.resources.get(Models).get(name, "embedding")`.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from inference.chat.folder import POCKET
from inference.chat.model import ChatModel
from inference.devices import DeviceName, Devices, DevicesSection
from inference.embedding.model import EmbeddingModel
from inference.folders import BUILT_IN, Task, candidates, locate, recognise
from inference.hub.known import KNOWN, KnownModel, command_for, find_known
from pipeline.errors import ConfigError, ModelNotFound, Unavailable

AUTO: Final = "auto"
log = logging.getLogger("fastembed.models")
State = Literal["missing", "available", "loading", "ready"]
ChatTask = Literal["chat", "code"]
Loaded: TypeAlias = EmbeddingModel | ChatModel


def _as_tuple(value: object) -> object:
    """Take one name for a list of one. A tuple, since configuration is checked strictly: a list is none there."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


class ModelSpec(BaseModel):
    """One entry of `models:`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    task: Task | None = Field(default=None, description="What it does; recognised from its files by default.")
    origin: str = Field(alias="from", description="A folder (relative to this file), or a hub id that was pulled.")
    on: Annotated[tuple[DeviceName, ...], BeforeValidator(_as_tuple)] = Field(
        default=("cpu",), min_length=1, description="Devices, the preferred one first."
    )
    fallback: str | None = Field(default=None, description="The model to use instead when this one cannot serve.")
    aliases: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description="Other names that clients may use for it."
    )


ModelsSection = dict[str, ModelSpec]
_MODELS: Final = TypeAdapter(ModelsSection)
_DEVICES: Final = TypeAdapter(DevicesSection)

DEFAULT_EMBEDDING: Final = "all-MiniLM-L6-v2"
DEFAULTS: Final[Mapping[str, ModelSpec]] = {
    DEFAULT_EMBEDDING: ModelSpec.model_validate(
        {
            "task": "embedding",
            "from": f"{BUILT_IN}minilm",
            "aliases": ["sentence-transformers/all-MiniLM-L6-v2"],
        }
    ),
    POCKET: ModelSpec.model_validate({"task": "chat", "from": f"{BUILT_IN}{POCKET}"}),
}
_SERVE: Final[Mapping[str, frozenset[Task]]] = {"chat": frozenset({"chat", "code"})}
"""What else a model may be for, when it is asked for by name."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A declared model: its spec, its folder (None: the files are missing) and its task (None: not recognised)."""

    name: str
    spec: ModelSpec
    folder: Path | None
    task: Task | None


@dataclass(frozen=True, slots=True)
class Card:
    """What a list of models says about one. device, window (tokens) and dimensions are None until it is loaded.

    pocket: it is loaded, and a tiny one that ships for trying things out.
    """

    name: str
    task: Task | None
    state: State
    aliases: tuple[str, ...] = ()
    folder: Path | None = None
    device: str | None = None
    window: int | None = None
    dimensions: int | None = None
    pocket: bool = False


def read_sections(sections: Mapping[str, Any]) -> tuple[ModelsSection, DevicesSection]:
    """Check the `models:` and `devices:` sections of a configuration. ConfigError lists every problem."""
    problems = section_problems(sections)
    if problems:
        raise ConfigError([f"{'.'.join(map(str, path))}: {text}" for path, text in problems])
    models: ModelsSection = _MODELS.validate_python(sections.get("models") or {})
    devices: DevicesSection = _DEVICES.validate_python(sections.get("devices") or {})
    return models, devices


def section_problems(sections: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return (path of keys, what was found and expected) for everything wrong in `models:` and `devices:`."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for key, kind in (("models", _MODELS), ("devices", _DEVICES)):
        try:
            kind.validate_python(sections.get(key) or {})
        except ValidationError as error:
            problems += [
                ((key, *found["loc"]), f"found {found['input']!r}, {found['msg']}") for found in error.errors()
            ]
    declared = sections.get("models")
    return problems + (_wrong_fallbacks(declared) if isinstance(declared, Mapping) else [])


def _wrong_fallbacks(declared: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    fallbacks = {name: spec.get("fallback") for name, spec in declared.items() if isinstance(spec, Mapping)}
    names = {*declared, *DEFAULTS, *(model.name for model in KNOWN if not model.lacks)}
    return [
        (("models", name, "fallback"), f"found {found!r}, expected one of {', '.join(sorted(names - {name}))}")
        for name, found in fallbacks.items()
        if isinstance(found, str) and found not in names - {name}
    ]


def _spec_of(name: str) -> ModelSpec:
    """Return what a known model's entry in `models:` would say."""
    known = find_known(name)
    if known is None:
        raise ModelNotFound(f"found no model {name!r:.80}, expected a declared or a known one", param="model")
    aliases = tuple(alias for alias in (known.source, known.repository) if alias)
    return ModelSpec.model_validate({"task": known.task, "from": known.origin, "aliases": aliases})


class Models:
    """All declared models, loaded when first asked for and kept until `close`.

    The built-in models are there unless the section declares their names otherwise. Known models (`inference/hub`) need
    no declaration: they are there as soon as their files are.
    """

    def __init__(
        self,
        declared: Mapping[str, ModelSpec] | None = None,
        *,
        devices: Devices | None = None,
        base: Path | None = None,
    ) -> None:
        """Declare models; `base` is the folder that relative paths in `from:` start from."""
        self._specs = {**(declared or {}), **{k: v for k, v in DEFAULTS.items() if k not in (declared or {})}}
        self._aliases = {alias: name for name, spec in self._specs.items() for alias in spec.aliases}
        self._base = base or Path.cwd()
        self._loading: dict[str, asyncio.Task[Loaded]] = {}
        self._ready: dict[tuple[Task, str], Loaded] = {}
        self._closed = False
        self.devices = devices or Devices()

    @classmethod
    def from_sections(cls, sections: Mapping[str, Any], base: Path, *, cache: Path | None = None) -> Models:
        """Make the resource from a configuration's sections. ConfigError lists every problem."""
        declared, limits = read_sections(sections)
        return cls(declared, devices=Devices(limits, cache=cache), base=base)

    def placed(self, task: Task | None = None) -> list[Placed]:
        """Return the declared models, or those of one task, in the order of declaration.

        Behind them come the known ones whose files are here, then the chat model that ships.
        """
        return [model for model in map(self._place, self._names(task)) if task is None or model.task == task]

    def place(self, name: str, task: Task) -> Placed:
        """Resolve a name, an alias or "auto" (the first declared model of the task whose files are there).

        Missing files: the declared fallback. ModelNotFound names what is near, where files were looked for, and the
        command that gets them.
        """
        if name == AUTO:
            return self._auto(task)
        resolved = self._aliases.get(name, name)
        if resolved not in self._specs:
            resolved = self._known(name, task).name
        model = self._present(self._place(resolved))
        if model.task != task and model.task not in _SERVE.get(task, ()):
            raise ModelNotFound(
                f"found {name!r}, a model for {model.task or 'an unknown task'}, expected one for {task}", param="model"
            )
        return model

    @overload
    async def get(self, name: str = AUTO, task: Literal["embedding"] = "embedding") -> EmbeddingModel: ...
    @overload
    async def get(self, name: str, task: ChatTask) -> ChatModel: ...
    @overload
    async def get(self, name: str, task: Task) -> Any: ...
    async def get(self, name: str = AUTO, task: Task = "embedding") -> Any:
        """Return the loaded model; the first caller loads it, the others wait for the same load.

        Raises ModelNotFound, or Unavailable after `close` or when none of its devices is there.
        """
        if self._closed:
            raise Unavailable("the models are being closed: found a new request, expected none")
        if ready := self._ready.get((task, name)):
            return ready
        if task not in ("embedding", "chat", "code"):
            raise ModelNotFound(
                f"found the task {task}, expected embedding or chat: its engine loads its models itself"
            )
        model = self.place(name, task)
        loading = self._loading.get(model.name)
        if loading is None or (loading.done() and (loading.cancelled() or loading.exception())):
            loading = self._loading[model.name] = asyncio.create_task(self._load(model), name=f"load {model.name}")
        ready = self._ready[task, name] = await asyncio.shield(loading)
        return ready

    def loaded(self, name: str) -> EmbeddingModel | None:
        """Return the embedding model that was loaded under this name, alias or "auto", or None: `get` it first."""
        return cast("EmbeddingModel | None", self._ready.get(("embedding", name)))

    async def warm(self, *names: str) -> None:
        """Load these embedding models now, one after the other; without names, the one that "auto" means."""
        for name in names or (AUTO,):
            await self.get(name, "embedding")

    def cards(self) -> list[Card]:
        """Describe every declared model for a list of models."""
        return [self._card(model) for model in self.placed()]

    async def close(self) -> None:
        """Load nothing more, serve what was admitted, free the models."""
        self._closed = True
        loads = list(self._loading.values())
        for outcome in await asyncio.gather(*loads, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                await outcome.close()
        self._loading.clear()
        self._ready.clear()

    async def _load(self, model: Placed) -> Loaded:
        """Load on the first device of `on:` that is there and takes the model."""
        devices = self.devices.choices(model.spec.on)

        def load(device: str) -> Loaded:
            folder = cast("Path", model.folder)
            if model.task in ("chat", "code"):
                properties = self.devices.generation_properties(device)
                memory = self.devices.limits(device).memory
                return ChatModel(model.name, folder, device=device, properties=properties, memory=memory)
            loaded = EmbeddingModel(model.name, folder, self.devices, device)
            loaded.warm()
            return loaded

        for device in devices[:-1]:
            try:
                return await asyncio.to_thread(load, device)
            except RuntimeError as error:  # OpenVINO's: this device cannot compile or run the model
                log.warning("%s does not run on %s, trying the next device: %s", model.name, device, error)
        return await asyncio.to_thread(load, devices[-1])

    def _place(self, name: str) -> Placed:
        spec = self._specs.get(name) or _spec_of(name)
        folder = self._folder(spec.origin)
        return Placed(name, spec, folder, spec.task or (recognise(folder) if folder else None))

    def _folder(self, origin: str) -> Path | None:
        """Return where the files are; `from:` may also say a known model's name."""
        found = locate(origin, self._base)
        known = None if found else find_known(origin)
        return locate(known.origin, self._base) if known else found

    def _names(self, task: Task | None) -> Iterator[str]:
        """Give the names of `placed`, one after the other: a known model costs a look at the disk."""
        last = [POCKET] if self._specs[POCKET] is DEFAULTS[POCKET] else []
        yield from (name for name in self._specs if name not in last)
        yield from (known.name for known in KNOWN if task in (None, known.task) and self._is_here(known))
        yield from last

    def _auto(self, task: Task) -> Placed:
        first = None
        for model in map(self._place, self._names(task)):
            if model.task == task:
                if model.folder:
                    return model
                first = first or model
        if first is None:
            raise ModelNotFound(f"found no model for {task} in `models:`, expected at least one", param="model")
        return self._present(first)

    def _is_here(self, known: KnownModel) -> bool:
        """Whether a known model can be used though nothing declares it."""
        return not known.lacks and known.name not in self._specs and locate(known.origin, self._base) is not None

    def _known(self, name: str, task: Task) -> KnownModel:
        """Return the known model of an undeclared name. ModelNotFound: there is none, or nothing here runs it."""
        known = find_known(name)
        if known is None:
            raise ModelNotFound(self._unknown(name, task), param="model")
        if known.lacks:
            others = ", ".join(model.name for model in self.placed(task)) or f"a model for {task}"
            raise ModelNotFound(f"found {name!r}, but {known.lacks}; expected {others}", param="model")
        return known

    def _present(self, model: Placed) -> Placed:
        """Return the model, or the first of its fallbacks whose files are there."""
        tried = [model.name]
        found = model
        while not found.folder and found.spec.fallback and found.spec.fallback not in tried:
            tried.append(found.spec.fallback)
            found = self._place(found.spec.fallback)
        if found.folder:
            if found is not model:
                log.warning("found no files of %s, falling back to %s", model.name, found.name)
            return found
        looked = " and ".join(map(str, candidates(model.spec.origin, self._base)))
        raise ModelNotFound(
            f"found no files of {model.name} in {looked}, expected a model folder: "
            f"{command_for(model.name, model.spec.origin)}",
            param="model",
        )

    def _unknown(self, name: str, task: Task) -> str:
        known = [model.name for model in self.placed(task)]
        others = [model.name for model in KNOWN if model.task == task and not model.lacks]
        folded = {known_name.casefold(): known_name for known_name in (*known, *self._aliases, *others)}
        near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
        expected = ", ".join(near or known) or f"a model for {task}"
        return (
            f"found no model {name!r:.80}, expected {expected}; another one is declared in `models:` and fetched with "
            f"fastembed pull {name:.80}"
        )

    def _card(self, model: Placed) -> Card:
        loaded = next((ready for ready in self._ready.values() if ready.name == model.name), None)
        if loaded:
            state: State = "ready"
        elif model.folder is None:
            state = "missing"
        else:
            state = "loading" if model.name in self._loading else "available"
        return Card(
            name=model.name,
            task=model.task,
            state=state,
            aliases=model.spec.aliases,
            folder=model.folder,
            device=loaded.device if loaded else None,
            window=loaded.window if loaded else None,
            dimensions=loaded.dimensions if isinstance(loaded, EmbeddingModel) else None,
            pocket=getattr(loaded, "pocket", False),
        )
