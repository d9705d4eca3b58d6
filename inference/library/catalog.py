"""Which models there are: what `models:` declares, what is known by name, and where their files are."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fastembed.inference.library.capabilities import ModelCapabilities, capabilities_of
from fastembed.inference.library.disk_look import DiskLook
from fastembed.inference.library.folders import BUILT_IN, candidates, locate
from fastembed.inference.library.hub.known import KNOWN, KnownModel, command_for, find_known
from fastembed.inference.library.naming import unknown
from fastembed.inference.library.shipped import shipped, stand_ins
from fastembed.inference.library.specs import AUTO as AUTO  # noqa: PLC0414 - users of the catalog need it
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.library.tasks import TASKS, Task
from fastembed.pipeline.errors import ModelNotFound

log = logging.getLogger("fastembed.models")
ModelState = Literal["missing", "available", "loading", "ready"]


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A declared model: its spec, its folder (None: the files are missing) and its task (None: not recognised)."""

    name: str
    spec: ModelSpec
    folder: Path | None
    task: Task | None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a list of models says about one. device and dimensions are None until it is loaded.

    window: tokens; once it is loaded, what its engine takes. pocket: it is a tiny one that ships for trying things out.
    """

    name: str
    task: Task | None
    state: ModelState
    aliases: tuple[str, ...] = ()
    folder: Path | None = None
    device: str | None = None
    window: int | None = None
    dimensions: int | None = None
    pocket: bool = False
    capabilities: ModelCapabilities = field(default_factory=ModelCapabilities)


class Catalog:
    """All declared models, by name.

    The built-in models are there unless the section declares their names otherwise. Known models (`library/hub`) need
    no declaration: they are there as soon as their files are.
    """

    def __init__(
        self,
        declared: Mapping[str, ModelSpec] | None = None,
        *,
        aliases: Mapping[str, str] | None = None,
        base: Path | None = None,
        look: DiskLook | None = None,
    ) -> None:
        """Declare models; `base` is the folder that relative paths in `from:` start from.

        aliases: other names, to a model's or "auto". look: what remembers where files are.
        """
        self._look = look or DiskLook()
        ships = {name: spec for name, spec in shipped().items() if name not in (declared or {})}
        self._specs = {**(declared or {}), **ships}
        self._ships = frozenset(ships)
        self._last = tuple(name for name in stand_ins() if name in ships)
        self._aliases = {alias: name for name, spec in self._specs.items() for alias in spec.aliases}
        self.aliases = dict(aliases or {})
        self._base = base or Path.cwd()

    def placed(self, task: Task | None = None) -> list[LocatedModel]:
        """Return the declared models, or those of one task, in the order of declaration.

        Behind them come the known ones whose files are here, then the tiny ones that ship.
        """
        return list(self._look.once(("placed", task), lambda: self._placed(task)))

    def _placed(self, task: Task | None) -> list[LocatedModel]:
        return [model for model in map(self._place, self._names(task)) if task is None or model.task == task]

    def place(self, name: str, task: Task) -> LocatedModel:
        """Resolve a name, an alias or "auto" (the first declared model of the task whose files are there).

        Missing files: the declared fallback. ModelNotFound names what is near, where files were looked for, and the
        command that gets them.
        """
        try:
            return self._named(name, task)
        except ModelNotFound:
            if not self._look.check():
                raise
            return self._named(name, task)  # its files came since the last look

    def _named(self, name: str, task: Task) -> LocatedModel:
        name = self.aliases.get(name, name)
        if name == AUTO:
            return self._auto(task)
        resolved = self._aliases.get(name, name)
        if resolved not in self._specs:
            resolved = self._known(name, task).name
        model = self._present(self._place(resolved))
        if not TASKS.of(task).serves(model.task):
            raise ModelNotFound(
                f"found {name!r}, a model for {model.task or 'an unknown task'}, expected one for {task}", param="model"
            )
        return model

    def options(self, model: LocatedModel) -> Any:
        """Return how a model is loaded, as its kind reads its declaration. ModelNotFound: a part is not there."""
        return TASKS.of(model.task or "").options(model.spec, self)

    def path(self, text: str) -> Path:
        """Return a path that a declaration gives, relative to the configuration's folder."""
        return self._base / Path(text).expanduser()

    def model_folder(self, origin: str, task: Task, what: str) -> Path:
        """Return the folder of a model that another one needs. ModelNotFound calls it `what`."""
        named = origin in self._specs or origin in self._aliases or find_known(origin)
        folder = self.place(origin, task).folder if named else self._folder(origin)
        if folder is None:
            looked = " and ".join(map(str, candidates(origin, self._base)))
            raise ModelNotFound(f"found no {what} {origin!r} in {looked}, expected a {task} model's name or folder")
        return folder

    def look_again(self) -> None:
        """Look now whether a folder of models has changed: what is pulled or removed is seen at once."""
        self._look.check()

    def declared(self, name: str) -> LocatedModel | None:
        """Return the model that `models:` has under a name or an alias, or that ships; None: there is none."""
        resolved = self._aliases.get(name, name)
        return self._place(resolved) if resolved in self._specs else None

    def declares(self, name: str) -> bool:
        """Whether `models:` has the name, or it is one of those that ship."""
        return name in self._specs

    def cards(self) -> list[ModelCard]:
        """Describe every model for a list of models, as if none were loaded. Looks at the disk now."""
        self.look_again()
        return [self._card(model) for model in self.placed()]

    def _card(self, model: LocatedModel) -> ModelCard:
        found = capabilities(model)
        others = (alias for alias, target in self.aliases.items() if target in (model.name, *model.spec.aliases))
        return ModelCard(
            name=model.name,
            task=model.task,
            state="available" if model.folder else "missing",
            aliases=(*model.spec.aliases, *others),
            folder=model.folder,
            window=found.window,
            pocket=is_pocket(model.spec),
            capabilities=found,
        )

    def _place(self, name: str) -> LocatedModel:
        return self._look.once(("place", name), lambda: self._seen(name), lambda: self._places(name))

    def _places(self, name: str) -> list[Path]:
        """Return where the files of a model may be, of which an answer about it depends."""
        spec = self._specs.get(name)
        places = candidates(spec.origin, self._base) if spec else []
        known = [model for model in (find_known(name), find_known(spec.origin) if spec else None) if model]
        return [*places, *(path for model in known for path in model.places)]

    def _seen(self, name: str) -> LocatedModel:
        """Look at the disk."""
        spec = self._spec(name)
        folder = self._folder(spec.origin)
        return LocatedModel(name, spec, folder, spec.task or (TASKS.recognise(folder) if folder else None))

    def _spec(self, name: str) -> ModelSpec:
        """Return a model's declaration; what was pulled goes before what ships under the same name."""
        spec = self._specs.get(name)
        known = find_known(name) if name in self._ships else None
        if spec is None or (known and locate(known.origin, self._base)):
            return _spec_of(name)
        return spec

    def _folder(self, origin: str) -> Path | None:
        """Return where the files are; `from:` may also say a known model's name."""
        found = locate(origin, self._base)
        known = None if found else find_known(origin)
        return locate(known.origin, self._base) if known else found

    def _names(self, task: Task | None) -> Iterator[str]:
        """Give the names of `placed`, one after the other: a known model costs a look at the disk."""
        yield from (name for name in self._specs if name not in self._last)
        yield from (known.name for known in KNOWN if task in (None, known.task) and self._is_here(known))
        yield from self._last

    def _auto(self, task: Task) -> LocatedModel:
        first = None
        for model in map(self._place, self._names(task)):
            if model.task == task:
                if model.folder:
                    return model
                first = first or model
        if first is None:
            pulled = next((f": {known.command}" for known in KNOWN if known.task == task and known.packaged), "")
            raise ModelNotFound(f"found no model for {task} in `models:`, expected at least one{pulled}", param="model")
        return self._present(first)

    def _is_here(self, known: KnownModel) -> bool:
        """Whether a known model can be used though nothing declares it."""
        if known.name in self._specs:
            return False
        question = ("here", known.name)
        return self._look.once(question, lambda: locate(known.origin, self._base) is not None, lambda: known.places)

    def _known(self, name: str, task: Task) -> KnownModel:
        """Return the known model of an undeclared name. ModelNotFound: there is none."""
        known = find_known(name)
        if known is None:
            raise ModelNotFound(self._unknown(name, task), param="model")
        return known

    def _present(self, model: LocatedModel) -> LocatedModel:
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
        others = (model.name for model in KNOWN if model.task == task)
        return unknown(name, task, [model.name for model in self.placed(task)], (*self._aliases, *others))


def capabilities(model: LocatedModel) -> ModelCapabilities:
    """Return what a model can do and needs: what its declaration says, else what its files and its name tell."""
    spec = model.spec
    found = capabilities_of(model.name, spec.origin, model.task, model.folder, declared=spec.good_at)
    return replace(found, size=spec.size or found.size, window=spec.window or found.window)


def is_pocket(spec: ModelSpec) -> bool:
    """Whether a model is one of the tiny ones that ship to stand in for real ones."""
    return spec.origin.startswith(BUILT_IN) and spec.origin.endswith("-pocket")


def _spec_of(name: str) -> ModelSpec:
    """Return what a known model's entry in `models:` would say."""
    known = find_known(name)
    if known is None:
        raise ModelNotFound(f"found no model {name!r:.80}, expected a declared or a known one", param="model")
    declared = {"task": known.task, "from": known.origin, "aliases": known.other_names, "prompts": known.prompts}
    return ModelSpec.model_validate(declared)
