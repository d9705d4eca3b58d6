"""Reports why a valid configuration cannot start on this machine: missing models, unusable folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fastembed.describing import absent
from fastembed.inference.library.gguf import find_gguf, read_gguf
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.guarantees import sinks
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.plan import Configuration, PipelinePlan, Place
from fastembed.sinks.duckdb import Duckdb
from fastembed.sinks.folder import Folder as FailureFolder
from fastembed.sinks.table import Table
from fastembed.sources.folder import Folder

_MAGIC: Final = b"DUCK"
_MAGIC_AT: Final = 8


def obstacles(configuration: Configuration, resources: Resources) -> list[str]:
    """Return why `serve` and `run` would not start here, a line each with its place."""
    found: dict[str, None] = {}
    for plan in configuration.pipelines.values():
        found |= dict.fromkeys(absent(plan, resources))
        found |= {f"{place}: {problem}": None for place, problem in _places(plan)}
    found |= dict.fromkeys(_unreadable(resources.get(Models)))
    return list(found)


def _unreadable(models: Models) -> Iterator[str]:
    """Yield what keeps declared GGUF models from being loaded, by their headers: reading one takes a second at most."""
    for model in models.catalog.placed():
        if model.folder is None or not models.catalog.declares(model.name):
            continue
        try:
            if (file := find_gguf(model.folder)) is not None:
                read_gguf(file)
                models.choices(model)
        except ItemError as error:
            yield f"models.{model.name}: {error.message}"


def _places(plan: PipelinePlan) -> Iterator[tuple[Place, str]]:
    source = plan.source
    if source.component.factory is Folder:
        for key in ("path", "done"):
            if (path := source.options.get(key)) is not None and (problem := _folder(plan.base / path)):
                yield source.place, problem
    failures = plan.on_error
    is_folder = failures is not None and failures.component.factory is FailureFolder
    if failures is not None and is_folder and (problem := _folder(plan.base / failures.options["path"])):
        yield failures.place, problem
    for sink in sinks(plan):
        if sink.component.factory in (Duckdb, Table) and (problem := _database(plan.base / sink.options["path"])):
            yield sink.place, problem


def _folder(path: Path) -> str:
    """Return why a folder cannot be used, or made."""
    path = path.expanduser()
    if path.exists() and not path.is_dir():
        return f"{path} is not a folder: expected a folder, or nothing yet"
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        return f"{path} is not readable by this user: expected a readable folder"
    return _unwritable(path)


def _database(path: Path) -> str:
    """Return why a database cannot be opened, or made."""
    path = path.expanduser()
    if path.is_dir():
        return f"{path} is a folder: expected a database file, or nothing yet"
    if not path.exists():
        return _unwritable(path.parent)
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path} is not writable by this user: expected a writable database"
    with path.open("rb") as file:
        head = file.read(_MAGIC_AT + len(_MAGIC))
    if head[_MAGIC_AT:] != _MAGIC:
        return f"{path} is not a DuckDB database: expected one, or nothing yet"
    return _unwritable(path.parent)


def _unwritable(folder: Path) -> str:
    """Return why nothing can be written into a folder, made where it is not there. Writes a file without a name."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        return f"{there} is not a folder: expected one, since {folder} lies below it"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{there} is not writable ({error.strerror}): expected a writable folder"
