"""Load a pipelines.yaml into a `fastembed.pipeline.plan.Configuration`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from fastembed.pipeline.config.interpolate import Interpolator
from fastembed.pipeline.config.nodes import ListNode, MapNode, Node, ScalarNode, display, read
from fastembed.pipeline.config.pipelines import read_defaults, read_pipelines, read_tests
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.config.scope import Scope
from fastembed.pipeline.config.steps import read_templates
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.plan import Configuration, PipelinePlan, Place
from fastembed.pipeline.registry import Registry

Sections = Mapping[str, Any]
"""Top-level key to the type of its value: a pydantic model, any type that pydantic knows, or a TypeAdapter."""

Check = Callable[[Mapping[str, Any]], Iterable[tuple[tuple[str | int, ...], str]]]
"""Looks at the sections together, each valid by itself; returns what is wrong, and the keys that lead to it."""

OWN_KEYS: Final = ("version", "plugins", "defaults", "templates", "pipelines", "tests")
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What a linter shows. configuration: None where there are errors. Lines are `file:line:column: text`."""

    configuration: Configuration | None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load(
    path: Path,
    *,
    registry: Registry,
    sections: Sections | None = None,
    check: Check | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Read a file. Its relative paths start from its folder. Raises ConfigError with every problem at once."""
    return _checked(_text(path), path, path.parent, _Vocabulary(registry, sections or {}, check, environ or {}))


def parse(
    text: str,
    *,
    registry: Registry,
    sections: Sections | None = None,
    check: Check | None = None,
    environ: Mapping[str, str] | None = None,
    file: str = "pipelines.yaml",
    base: Path | None = None,
) -> Configuration:
    """Read a text. file: its name in messages. base: where its paths start, or here. Raises ConfigError."""
    found = _checked(text, Path(file), base or Path(), _Vocabulary(registry, sections or {}, check, environ or {}))
    return replace(found, path=None)


def lint(
    path: Path,
    *,
    registry: Registry,
    sections: Sections | None = None,
    check: Check | None = None,
    environ: Mapping[str, str] | None = None,
) -> Report:
    """Read a file and return what is wrong and what is odd, instead of raising."""
    problems = Problems()
    try:
        known = _Vocabulary(registry, sections or {}, check, environ or {})
        found = _read(_text(path), path, path.parent, known, problems)
        problems.check()
    except ConfigError as error:
        return Report(None, tuple(error.problems), tuple(problems.warnings))
    return Report(found, (), tuple(problems.warnings))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{Place(str(path), 1, 1)}: found bytes that are not UTF-8 ({error.reason})"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: found no readable file ({error.strerror}), expected a pipelines.yaml"]) from error


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """What a configuration file can refer to: components, sections and checks."""

    registry: Registry
    sections: Sections
    check: Check | None
    environ: Mapping[str, str]


def _checked(text: str, path: Path, base: Path, known: _Vocabulary) -> Configuration:
    problems = Problems()
    found = _read(text, path, base, known, problems)
    problems.check()
    return found


def _read(text: str, path: Path, base: Path, known: _Vocabulary, problems: Problems) -> Configuration:
    """Read the whole file; the result is valid only where `problems` is empty."""
    base = base.absolute()
    root = read(text, str(path), Interpolator(known.environ, base), problems)
    scope = Scope(known.registry, problems, base)
    top = _top(scope, root, str(path), known.sections)
    registry, plugins = _with_plugins(scope, top.get("plugins"))
    scope = replace(scope, registry=registry)
    scope = scope.inner(read_defaults(scope, top.get("defaults")))
    if (node := top.get("templates")) is not None:
        scope = replace(scope, templates=read_templates(scope, node))
    values = {}
    for key, kind in known.sections.items():
        if (node := top.get(key)) is not None:
            values[key] = scope.validate(kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind), node)
    if known.check is not None:
        for keys, problem in known.check({key: value for key, value in values.items() if value is not None}):
            problems.add(_place(top, keys), problem)
    pipelines: dict[str, PipelinePlan] = {}
    if (node := top.get("pipelines")) is not None:
        pipelines = read_pipelines(scope, node)
    tests = read_tests(scope, node, pipelines, top.get("pipelines")) if (node := top.get("tests")) is not None else ()
    return Configuration(path, pipelines, values, tests, plugins)


def _top(scope: Scope, root: Node | None, file: str, sections: Sections) -> MapNode:
    """Return the top-level mapping, its keys checked."""
    start = Place(file, 1, 1)
    if root is None:
        if not scope.problems.errors:
            scope.problems.add(start, "found an empty file, expected version and pipelines")
        return MapNode(start)
    top = scope.mapping(root, "a mapping with version and pipelines", (*OWN_KEYS, *sections))
    if top is None:
        return MapNode(start)
    if "pipelines" not in top.entries:
        scope.problems.add(top.place, "found no pipelines, expected pipelines: {name: {source, operators, sink}}")
    version = top.get("version")
    if version is None:
        scope.problems.warn(top.place, f"found no version, read as version: {VERSION}")
    elif not isinstance(version, ScalarNode) or version.value != VERSION or isinstance(version.value, bool):
        scope.problems.add(version.place, f"found version {display(version)}, expected {VERSION}")
    return top


def _place(top: MapNode, keys: Iterable[str | int]) -> Place:
    """Return where the value of `keys` stands, or the last of them that is written in the file."""
    node: Node = top
    for key in keys:
        if isinstance(node, MapNode) and (found := node.get(str(key))) is not None:
            node = found
        elif isinstance(node, ListNode) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
    return node.place


def _with_plugins(scope: Scope, node: Node | None) -> tuple[Registry, tuple[Path, ...]]:
    """Load the plug-ins one by one, so that one that fails hides no other; return their files too."""
    registry = scope.registry
    files: list[Path] = []
    if node is None:
        return registry, ()
    for entry in node.items if isinstance(node, ListNode) else (node,):
        if not isinstance(entry, ScalarNode) or not isinstance(entry.value, str):
            scope.problems.add(entry.place, f"found {display(entry)}, expected the path of a Python file")
            continue
        files.append(scope.base / Path(entry.value).expanduser())
        registry, problems = registry.with_plugin(files[-1])
        for problem in problems:
            scope.problems.add(entry.place, problem)
    return registry, tuple(files)
