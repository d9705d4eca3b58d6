"""Names to components: what `folder`, `embed` or `reply` in a pipelines.yaml stands for.

Three places are looked in, and a name that two of them know is an error:

- the flat packages (`sources`, `operators`, `sinks`): a file is a component, its name the name in the YAML. Only the
  files that a configuration names are imported, so that start-up stays fast;
- plug-ins: Python files by path. Every marked function is a component under its own name, every marked class under its
  name in snake_case. `sys.path` is never touched;
- entry points of installed distributions, group `fastembed.components`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

from fastembed.pipeline.component import MARK, Role
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.names import did_you_mean, one_of, with_article
from fastembed.pipeline.spec import Spec, describe

GROUP: Final = "fastembed.components"
_REVISION_CHARACTERS: Final = 16
ROLES: Final[tuple[Role, ...]] = get_args(Role)


class Registry:
    """The components that a process knows. `packages`: role to the package whose files are its components."""

    def __init__(self, packages: Mapping[Role, str], *, group: str = GROUP) -> None:
        self._packages = dict(packages)
        self._group = group
        self._added: dict[tuple[Role, str], Spec] = {}
        self._origins: dict[tuple[Role, str], str] = {}
        self._found: dict[tuple[Role, str], Spec] = {}
        self._refused: set[tuple[Role, str]] = set()
        self._lacks_a_plugin = False
        self._files: dict[Role, dict[str, Path]] = {}
        self._entry_points: dict[str, list[EntryPoint]] | None = None

    def add(
        self, target: Callable[..., Any], *, name: str | None = None, origin: str = "code", revision: str = ""
    ) -> Spec:
        """Register a marked function or class. Raises ConfigError where the name is taken."""
        spec = replace(_described(target, name or component_name(target), origin), revision=revision)
        key = (spec.role, spec.name)
        if taken := self._origin_of(*key):
            raise ConfigError([f"found the {spec.role} {spec.name!r} in {origin} and in {taken}, expected it once"])
        self._added[key] = spec
        self._origins[key] = origin
        return spec

    def with_plugins(self, paths: Iterable[Path]) -> Registry:
        """Return a registry that also knows the components of these files, read anew. Raises ConfigError."""
        extended, problems = self, list[str]()
        for path in paths:
            extended, found = extended.with_plugin(path)
            problems += found
        if problems:
            raise ConfigError(problems)
        return extended

    def with_plugin(self, path: Path) -> tuple[Registry, list[str]]:
        """Return a registry that also knows the components of a file, read anew, and what is wrong with the others."""
        extended = Registry(self._packages, group=self._group)
        extended._added, extended._origins = dict(self._added), dict(self._origins)
        extended._files, extended._found = self._files, dict(self._found)
        extended._entry_points, extended._refused = self._entry_points, set(self._refused)
        extended._lacks_a_plugin = self._lacks_a_plugin
        try:
            module, revision = load_file(path)
        except ConfigError as error:
            extended._lacks_a_plugin = True
            return extended, error.problems
        problems: list[str] = []
        for target in _marked(module):
            try:
                extended.add(target, origin=str(path), revision=revision)
            except ConfigError as error:
                extended._refused.add((getattr(target, MARK), component_name(target)))
                problems += error.problems
        return extended, problems

    def refused(self, role: Role, name: str) -> bool:
        """Whether a plug-in has such a component that was refused, and nothing else has it.

        One that could not be run may have had any component but such as are known, or are nearly written like one.
        """
        if self.knows(role, name):
            return False
        if (role, name) in self._refused:
            return True
        known_elsewhere = any(self.knows(other, name) for other in ROLES)
        return self._lacks_a_plugin and not known_elsewhere and not did_you_mean(name, self.names(role))

    def names(self, role: Role) -> tuple[str, ...]:
        """Return what may be named, sorted, without importing anything. Entry points count for every role."""
        added = {name for known, name in self._added if known == role}
        return tuple(sorted(added | set(self._modules(role)) | set(self._points())))

    def knows(self, role: Role, name: str) -> bool:
        """Whether `find` would look for it."""
        return (role, name) in self._added or name in self._modules(role) or name in self._points()

    def find(self, role: Role, name: str) -> Spec:
        """Return the component. ConfigError says what is wrong with it, or which name is near."""
        key = (role, name)
        if key not in self._found:
            self._found[key] = self._find(role, name)
        return self._found[key]

    def all(self, role: Role) -> list[Spec]:
        """Return every component of a role, sorted by name; imports them all. A file without one is passed over."""
        return [
            self.find(role, name)
            for name in self.names(role)
            if (role, name) in self._found or self._candidates(role, name)
        ]

    def _find(self, role: Role, name: str) -> Spec:
        candidates = self._candidates(role, name)
        if len(candidates) == 1:
            return candidates[0][1]
        if candidates:
            places = " and in ".join(origin for origin, _ in candidates)
            raise ConfigError([f"found the {role} {name!r} in {places}, expected it once"])
        others = [other for other in ROLES if other != role and self.knows(other, name)]
        named = [known for known in self.names(role) if known != name]
        if others:
            raise ConfigError(
                [f"found {name!r}, which is {with_article(others[0])}, expected {with_article(role)}: {one_of(named)}"]
            )
        raise ConfigError(
            [f"found {name!r}, expected {with_article(role)}: {one_of(named)}{did_you_mean(name, named)}"]
        )

    def _candidates(self, role: Role, name: str) -> list[tuple[str, Spec]]:
        """Return every place that has it, and what is there."""
        found = []
        if (role, name) in self._added:
            found.append((self._origins[role, name], self._added[role, name]))
        if name in self._modules(role) and (spec := self._from_package(role, name)):
            found.append((f"{self._packages[role]}.{name}", spec))
        for point in self._points().get(name, ()):
            spec = _from_entry_point(point)
            if spec.role == role:
                found.append((f"the entry point {point.value}", spec))
        return found

    def _origin_of(self, role: Role, name: str) -> str | None:
        if (role, name) in self._added:
            return self._origins[role, name]
        if name in self._modules(role) and self._from_package(role, name):
            return f"{self._packages[role]}.{name}"
        return None

    def _from_package(self, role: Role, name: str) -> Spec | None:
        module = f"{self._packages[role]}.{name}"
        try:
            targets = [t for t in _marked(importlib.import_module(module)) if getattr(t, MARK) == role]
        except ImportError as error:
            raise ConfigError([f"found {role} {name!r}, but {module} cannot be imported: {error}"]) from error
        if len(targets) > 1:
            targets = [t for t in targets if component_name(t) == name]
            if len(targets) != 1:
                raise ConfigError([f"found several components in {module}, expected one, or one called {name}"])
        return _described(targets[0], name, module) if targets else None

    def _modules(self, role: Role) -> Mapping[str, Path]:
        """Return the package's files that may be components, by name."""
        if role not in self._files:
            package = self._packages.get(role)
            spec = importlib.util.find_spec(package) if package else None
            folders = spec.submodule_search_locations or () if spec else ()
            files = (file for folder in folders for file in Path(folder).glob("*.py"))
            self._files[role] = {file.stem: file for file in files if not file.stem.startswith("_")}
        return self._files[role]

    def _points(self) -> Mapping[str, list[EntryPoint]]:
        if self._entry_points is None:
            self._entry_points = {}
            for point in entry_points(group=self._group):
                self._entry_points.setdefault(point.name, []).append(point)
        return self._entry_points


def component_name(target: Callable[..., Any]) -> str:
    """Return a function's own name, a class's name in snake_case."""
    name: str = target.__name__
    if not inspect.isclass(target):
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def load_file(path: Path) -> tuple[ModuleType, str]:
    """Run a Python file as a module under a private name; return it and a hash of its text.

    It is compiled anew each time: bytecode that was kept is found by size and seconds, too coarse for a file that is
    being edited. ConfigError says why it cannot be loaded.
    """
    path = path.resolve()
    name = f"_fastembed_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path) if path.is_file() else None
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise ConfigError([f"found no Python file {path}, expected a plug-in"])
    module = importlib.util.module_from_spec(spec)
    previous = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and type hints look their module up
    try:
        source = path.read_bytes()
        exec(spec.loader.source_to_code(source, str(path)), module.__dict__)  # noqa: S102 - a plug-in is there to run
    except Exception as error:  # a plug-in is other people's code: whatever it raises is a problem of the configuration
        _restore(name, previous)
        where = _line_in(error, path)
        raise ConfigError([f"found the plug-in {path.name}{where}, which fails: {_reason(error)}"]) from error
    return module, hashlib.sha256(source).hexdigest()[:_REVISION_CHARACTERS]


def _restore(name: str, previous: ModuleType | None) -> None:
    if previous is None:
        del sys.modules[name]
    else:
        sys.modules[name] = previous


def _line_in(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f" line {error.lineno}"
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"


def _marked(module: ModuleType) -> list[Callable[..., Any]]:
    """Return the components that a module defines (not those that it imports), in their order."""
    return [
        target
        for target in vars(module).values()
        if callable(target)
        and MARK in getattr(target, "__dict__", ())
        and getattr(target, "__module__", None) == module.__name__
    ]


def _from_entry_point(point: EntryPoint) -> Spec:
    try:
        target = point.load()
    except Exception as error:  # other people's code, as a plug-in
        raise ConfigError([f"found the entry point {point.value}, which fails: {_reason(error)}"]) from error
    if MARK not in getattr(target, "__dict__", ()):
        raise ConfigError([f"found the entry point {point.value}, expected a marked source, operator or sink there"])
    return _described(target, point.name, point.value)


def _described(target: Callable[..., Any], name: str, origin: str) -> Spec:
    try:
        return describe(target, name)
    except (TypeError, NameError) as error:  # NameError: an annotation that does not resolve
        raise ConfigError([f"found a component in {origin}{_line_of(target)} that cannot be used: {error}"]) from error


def _line_of(target: Callable[..., Any]) -> str:
    """Return `:12`, where a component is defined in its file."""
    try:
        return f":{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):  # no source at hand: typed into a console, or compiled
        return ""
