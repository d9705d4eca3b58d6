"""`fastembed components` and `fastembed new`: what a pipeline may be made of, and one to begin with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import typer

from fastembed.assembly import lint_configuration, make_registry
from fastembed.pipeline.component import Role
from fastembed.pipeline.config.adjacency import type_name
from fastembed.pipeline.config.schema import arguments
from fastembed.pipeline.names import did_you_mean, one_of
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.spec import Spec

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
_ROLES: Final[tuple[Role, ...]] = get_args(Role)
_FIRST_COLUMN: Final = 14


def components(config: Path | None, name: str | None, *, markdown: bool = False) -> int:
    """Print all components, or everything about those of one name. 2: there is none of that name."""
    if markdown:
        typer.echo(markdown_list(make_registry()))
        return 0
    registry = _registry(config)
    if name is None:
        for role in _ROLES:
            typer.echo(f"{role}s")
            for spec in registry.all(role):
                typer.echo(f"  {spec.name:<{_FIRST_COLUMN}} {summary(spec)}")
        return 0
    found = [registry.find(role, name) for role in _ROLES if registry.knows(role, name) and _has(registry, role, name)]
    if not found:
        known = sorted({spec.name for role in _ROLES for spec in registry.all(role)})
        typer.echo(f"found no component {name!r}, expected {one_of(known)}{did_you_mean(name, known)}", err=True)
        return 2
    typer.echo("\n\n".join(described(spec) for spec in found))
    return 0


def new(name: str, target: Path) -> int:
    """Write an example as a pipelines.yaml. 2: there is no such example, 1: there is such a file already."""
    known = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    if name not in known:
        typer.echo(f"found no example {name!r}, expected {one_of(known)}{did_you_mean(name, known)}", err=True)
        return 2
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    except OSError as error:
        typer.echo(f"{target} cannot be written: {error.strerror}; --output names another file", err=True)
        return 1
    typer.echo(f"{target} is written. What it promises: fastembed check -c {target}")
    typer.echo(f"It runs with: fastembed serve -c {target}")
    return 0


def markdown_list(registry: Registry) -> str:
    """Return the table of all components, as `docs/components.md` has it."""
    rows = [f"| {role} | `{spec.name}` | {summary(spec)} |" for role in _ROLES for spec in registry.all(role)]
    return "\n".join(["| Role | Name | What it does |", "| --- | --- | --- |", *rows])


def summary(spec: Spec) -> str:
    """Return the first sentence of a component's documentation."""
    first = " ".join(spec.doc.split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", first)[0].rstrip(".:")


def described(spec: Spec) -> str:
    """Return everything about a component: documentation, types, options with types and defaults, an example."""
    lines = [f"{spec.name} ({spec.role})", "", _prose(spec), ""]
    if spec.role != "source":
        lines.append(f"takes  {type_name(spec.in_type)}")
    if spec.role != "sink":
        lines.append(f"gives  {type_name(spec.out_type)}")
    if spec.options:
        told = arguments(spec.doc, spec.options)
        lines += ["", "options"]
        lines += [line for name in spec.options for line in _option(spec, name, told.get(name, ""))]
    if shown := example_of(spec):
        lines += ["", "example", f"  {shown}"]
    return "\n".join(lines)


def example_of(spec: Spec) -> str:
    """Return the line of an example that ships which uses a component, "" if none does."""
    pattern = re.compile(rf"(^|[\s\[{{]){re.escape(spec.name)}(:|$|\s*[,\]}}])")
    wanted = {"source": "source:", "sink": "sink:", "operator": "- "}[spec.role]
    for path in sorted(EXAMPLES.glob("*.yaml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = line.strip()
            if text.startswith(wanted) and pattern.search(text):
                return text
    return ""


def _prose(spec: Spec) -> str:
    """Return the documentation without its list of options."""
    return re.sub(r"\n\s*Args:.*?(?=\n\s*(?:Raises|Returns):|\Z)", "", spec.doc, flags=re.DOTALL).strip()


def _option(spec: Spec, name: str, told: str) -> Iterator[str]:
    option = spec.options[name]
    kind = type_name(spec.hints.get(name, Any))
    default = "needed" if option.default is option.empty else f"default {option.default!r}"
    main = ", main option" if name == spec.primary else ""
    yield f"  {name}: {kind}, {default}{main}"
    if told:
        yield f"      {told}"


def _has(registry: Registry, role: Role, name: str) -> bool:
    return any(spec.name == name for spec in registry.all(role))


def _registry(config: Path | None) -> Registry:
    """Return the components that ship, are installed, and of the plug-ins of the chosen file, if it can be read."""
    registry = make_registry()
    found = lint_configuration(config).configuration
    return registry if found is None else registry.with_plugins(found.plugins)
