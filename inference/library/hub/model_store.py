"""What lies in the models folder, and taking it away again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastembed.inference.library.folders import models_home
from fastembed.inference.library.gguf import ir_folder
from fastembed.inference.library.hub.gathering import partial_of
from fastembed.pipeline.errors import FastEmbedError


class NotOurs(FastEmbedError):
    """A folder that this project may not delete."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model's folder in the models folder. name: as `from:` takes it. complete: False for a download under way."""

    name: str
    folder: Path
    complete: bool = True


def stored_models() -> list[StoredModel]:
    """Return what was pulled, exported or put into the models folder, by name."""
    home = models_home()
    return sorted(_found(home, home), key=lambda model: model.name) if home.is_dir() else []


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def delete(folder: Path) -> None:
    """Delete a model's folder, the copies of its GGUF files, and what an unfinished download of it left.

    NotOurs: it is not in the models folder.
    """
    for path in (folder, partial_of(folder)):
        check_ours(path)
    for file in folder.glob("*.gguf"):
        shutil.rmtree(ir_folder(file), ignore_errors=True)
    for path in (folder, partial_of(folder)):
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            gone = path.with_name(f".{path.name}.deleted")  # so that no half of a model is ever found
            path.replace(gone)
            shutil.rmtree(gone)
    partial_of(folder).with_suffix(".lock").unlink(missing_ok=True)
    owner = folder.parent
    if owner != models_home() and owner.is_dir() and not any(owner.iterdir()):
        owner.rmdir()


def check_ours(folder: Path) -> None:
    """Raise NotOurs unless the folder lies within the models folder, wherever links lead."""
    home = models_home()
    place = folder.parent.resolve() / folder.name  # a link in the models folder is ours, what it points to is not
    if home.resolve() not in place.parents or ".." in folder.parts:
        raise NotOurs(f"found {folder}, expected a folder within {home}: nothing else is deleted; delete it yourself")


def _found(folder: Path, home: Path) -> Iterator[StoredModel]:
    """Give the models in `folder`; a folder with no files of its own is an owner's, with models in it."""
    for path in folder.iterdir():
        if not path.is_dir():
            continue
        name = path.relative_to(home).as_posix()
        if path.name.startswith("."):
            if path.name.endswith(".partial"):
                whole = path.with_name(path.name.removeprefix(".").removesuffix(".partial"))
                yield StoredModel(whole.relative_to(home).as_posix(), path, complete=False)
        elif any(entry.is_file() for entry in path.iterdir() if not entry.name.startswith(".")):
            yield StoredModel(name, path)
        elif folder == home:
            yield from _found(path, home)
