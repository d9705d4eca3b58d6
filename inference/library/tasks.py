"""What models are for: one `TaskKind` a task, and the registry of them. Another task is one file and its registration.

    REVERSE = TaskKind(name="reverse", recognise=lambda files: "reverse.txt" in files.names, load=ReverseModel.open)
    TASKS.register(REVERSE)

Then `models:` takes the task, folders are recognised, models of it are placed, loaded, counted and lent, requests of
it are routed, and pages and commands list it. Nothing else in the product lists tasks.

A kind's functions belong to its engine, which stands above this floor. So the kinds that ship are imported by the
name of their module when a task is first looked up, as a plug-in's would be; no module here imports an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeAlias, get_args

from fastembed.inference.library.model_config import read_json
from fastembed.inference.library.registered_name import RegisteredName

if TYPE_CHECKING:
    from fastembed.inference.library.devices import Devices
    from fastembed.inference.library.specs import ModelSpec

Task: TypeAlias = str
"""A task's name: embedding, rerank, chat, code, transcription, speech_synthesis, document, or a registered one."""
Ability = Literal["vision", "audio", "video", "document", "code", "tools"]
ABILITIES: Final[tuple[Ability, ...]] = get_args(Ability)
AutoChoice = Literal["best", "first", "only"]
_SHIPPED_KINDS: Final = "fastembed.inference.engines.kinds"


class ModelFiles:
    """A model's folder as kinds look at it to recognise their own."""

    def __init__(self, folder: Path) -> None:
        """Read the names of its files."""
        self.folder = folder
        self.names = frozenset(path.name for path in folder.iterdir())

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json; empty where there is none."""
        return read_json(self.folder / "config.json")

    @property
    def architectures(self) -> str:
        """The names of the architectures that config.json gives, with blanks between them."""
        return " ".join(self.config.get("architectures") or ())


class LoadedModel(Protocol):
    """What every loaded model is, whatever else it can do. device: OpenVINO's name of where it runs."""

    name: str
    folder: Path
    device: str

    async def close(self) -> None:
        """Serve what was admitted, then free the model."""


class LoadOptions(Protocol):
    """What a declaration adds to a model's folder."""

    @property
    def parts(self) -> tuple[Path, ...]:
        """The folders and files that are loaded with the model's own."""


@dataclass(frozen=True, slots=True)
class NoOptions:
    """A model as its folder has it."""

    parts: tuple[Path, ...] = ()


class PartFinder(Protocol):
    """Finds what is loaded beside a model."""

    def path(self, text: str) -> Path:
        """Return a path that a declaration gives, relative to the configuration's folder."""

    def model_folder(self, origin: str, task: Task, what: str) -> Path:
        """Return another model's folder, by its name or its `from:`. ModelNotFound calls it `what`."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """One model to load on one device.

    extra: bytes that it may work with beside what it takes itself, None: as many as it can use.
    """

    name: str
    kind: TaskKind
    folder: Path
    device: str
    devices: Devices
    options: Any = field(default_factory=NoOptions)  # LoadOptions, of the kind's own type
    extra: int | None = None


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """A model that needs no declaration. folder: in the package's models, by default its name.

    stand_in: "auto" means it only where there is nothing else: a tiny model, or the Whisper that ships.
    """

    name: str
    folder: str = ""
    aliases: tuple[str, ...] = ()
    stand_in: bool = True


@dataclass(frozen=True, slots=True)
class ExportDefaults:
    """How original weights of a task are converted, with optimum.

    task: its name for the task. library: what reads the weights, "": its own choice.
    """

    task: str
    weights: Literal["int4", "int8", "fp16"]
    library: str = ""


def _nothing_found(files: ModelFiles) -> bool:
    del files
    return False


def _no_options(spec: ModelSpec, parts: PartFinder) -> LoadOptions:
    del spec, parts
    return NoOptions()


def _nothing_extra(request: LoadRequest) -> tuple[int, int]:
    del request
    return 0, 0


def _this_process(model: Any) -> list[int] | None:
    del model
    return None


def _no_growth(model: Any) -> int:
    del model
    return 0


def _no_details(folder: Path) -> Mapping[str, Any]:
    del folder
    return {}


def _any_length(properties: Mapping[str, Any], window: int | None) -> int | None:
    del properties, window
    return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskKind:
    """One task: how its models are recognised, loaded and measured, and what the product says of them.

    Its models' files:
        recognise: whether a folder's files are of such a model; kinds registered later are asked first.
        ships: models that need no declaration. export: how original weights are converted.
        abilities: what every such model is good at.
        also: tasks whose models serve requests of this one too.

    Loading:
        load: returns a loaded model; blocks for seconds, off the event loop. RuntimeError (OpenVINO's), Unavailable,
            ModelNotFound. None: its engine loads its models itself.
        options: what `models:` adds to the folder. ModelNotFound: a part is missing.

    Memory, in bytes:
        extra_memory: what a model needs beside itself, and what it can use: contexts, pages. Blocks for a
            look at the disk; ModelNotFound names what the folder lacks.
        processes: the ids of those that hold a loaded model; None: this one does.
        growth: what a model, which was just loaded, may come to take beside what it takes now.

    Requests:
        choice: what "auto" means. "best": the router ranks all; "first": the first that is here, then the others;
            "only": the first and no other, since results of two models cannot be compared.
        without_model: why a request that names no model needs none; "": it needs one.
        longest_prompt: tokens that a model is compiled for where shapes are fixed, by its properties and its window.

    Pages and commands:
        facts: what the list of models says of every such model, details: of the one in a folder.
        steps: operators that answer with a model of this task,
            prepares: those that use one before another model answers; the `model:` of both is of this task.
        roles: what `FastEmbedServer(models={role: name})` calls it.
    """

    name: Task
    recognise: Callable[[ModelFiles], bool] = _nothing_found
    ships: tuple[ShippedModel, ...] = ()
    export: ExportDefaults | None = None
    abilities: frozenset[Ability] = frozenset()
    also: frozenset[Task] = frozenset()

    load: Callable[[LoadRequest], LoadedModel] | None = None
    options: Callable[[ModelSpec, PartFinder], LoadOptions] = _no_options

    extra_memory: Callable[[LoadRequest], tuple[int, int]] = _nothing_extra
    processes: Callable[[Any], list[int] | None] = _this_process
    growth: Callable[[Any], int] = _no_growth

    choice: AutoChoice = "first"
    without_model: str = ""
    longest_prompt: Callable[[Mapping[str, Any], int | None], int | None] = _any_length

    facts: frozenset[str] = frozenset()
    details: Callable[[Path], Mapping[str, Any]] = _no_details
    steps: frozenset[str] = frozenset()
    prepares: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()

    def serves(self, task: Task | None) -> bool:
        """Whether models for `task` answer requests of this one."""
        return task == self.name or task in self.also


class TaskKinds:
    """The registered kinds by name: those that ship, then those that plug-ins add."""

    def __init__(self, shipped: str = "") -> None:
        """Name the module whose `KINDS` ship; it is imported at the first look-up."""
        self._shipped = shipped
        self._fixed: frozenset[Task] = frozenset()
        self._kinds: dict[Task, TaskKind] = {}

    def register(self, kind: TaskKind) -> None:
        """Add a kind; a plug-in that is read again replaces its own. ValueError: a kind that ships has the name."""
        known = self._known()
        if kind.name in self._fixed:
            raise ValueError(f"found the task {kind.name!r}, which ships, expected a new name")
        known[kind.name] = kind

    def has(self, name: Task) -> bool:
        """Whether there is a kind of this name."""
        return name in self._known()

    def unregister(self, name: Task) -> None:
        """Remove a kind, as a test does at its end."""
        del self._known()[name]

    @property
    def all(self) -> tuple[TaskKind, ...]:
        """The kinds, in order of registration."""
        return tuple(self._known().values())

    def names(self) -> tuple[Task, ...]:
        """Return what `task:` may say."""
        return tuple(self._known())

    def get(self, name: Task | None) -> TaskKind | None:
        """Return the kind of a task, None if there is none."""
        return self._known().get(name) if name is not None else None

    def of(self, name: Task) -> TaskKind:
        """Return the kind of a task; one that is not registered is a task without models."""
        return self._kinds.get(name) or self._known().get(name) or TaskKind(name=name)

    def of_step(self, operator: str) -> TaskKind | None:
        """Return the kind of the models that an operator's `model:` names."""
        return next((kind for kind in self.all if operator in kind.steps | kind.prepares), None)

    def recognise(self, folder: Path) -> Task | None:
        """Tell from its files what the model in `folder` does; None when nothing says so."""
        files = ModelFiles(folder)
        return next((kind.name for kind in reversed(self.all) if kind.recognise(files)), None)

    def _known(self) -> dict[Task, TaskKind]:
        if self._shipped:
            kinds: tuple[TaskKind, ...] = import_module(self._shipped).KINDS
            self._kinds, self._shipped = {kind.name: kind for kind in kinds}, ""
            self._fixed = frozenset(self._kinds)
        return self._kinds


TASKS: Final = TaskKinds(_SHIPPED_KINDS)
TaskName: TypeAlias = Annotated[str, RegisteredName(TASKS.names)]
