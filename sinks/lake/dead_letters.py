"""Items that failed: each lies in its pipeline's `on_error` folder beside a `NAME.error.json` that says why.

A file of a watched folder lies there itself, under its own name. Any other item lies there as what the failed step was
given: `PIPELINE-TIME-ID.txt`, `.bin` or `.json` (`fastembed.pipeline.payload.stored`), and beside a `.json` the files
that it refers to (`PIPELINE-TIME-ID.1.pdf`). Only this user can read them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.filing import move, write
from fastembed.pipeline.payload import stored

SUFFIX: Final = ".error.json"


@dataclass(frozen=True, slots=True)
class KeptItem:
    """What is needed to put an item back. resume_at: the step or sink that takes it. files: that its value refers to.

    meta: as a source gave it, in the form of `fastembed.pipeline.payload.stored`. problem: why its value could not be
    kept, "" if it was.
    """

    resume_at: str
    key: str | None = None
    time: float | None = None
    trace: str | None = None
    meta: Any = field(default_factory=dict)
    files: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why an item failed, as its `.error.json` has it.

    path: where the file was, absolute. error: the class of the error; cause: its text where it is not the message
    itself. at: ISO 8601, UTC. sha256: "" if what failed was no file of a folder; then `item` says what it was, which
    letters of older versions do not.
    """

    pipeline: str
    name: str
    path: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    step: str
    error: str
    message: str
    attempts: int
    definition: str
    at: str
    item: KeptItem | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a request to try an item again. problem: why not, "": it is on its way, or `ended` well."""

    name: str
    path: str
    problem: str = ""
    ended: bool = False


def letter_of(file: Path) -> Path:
    """Return where the letter about a failed item lies."""
    return file.with_name(file.name + SUFFIX)


def post(file: Path, letter: DeadLetter) -> None:
    """Write the letter about `file`, whole or not at all."""
    fields = asdict(letter)
    if letter.item is None:
        del fields["item"]
    write(
        letter_of(file), json.dumps(fields, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass"), private=True
    )


def read(path: Path) -> DeadLetter | None:
    """Return a letter; None if the file is none of ours or was spoilt."""
    try:
        fields = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
        item = fields.pop("item", None)
        kept = None if item is None else KeptItem(**{**item, "files": tuple(item.get("files", ()))})
        return DeadLetter(**fields, item=kept)
    except (ValueError, TypeError, AttributeError, FileNotFoundError):
        return None


def letters(folder: Path, *, orphans: bool = False) -> Iterator[tuple[Path, DeadLetter]]:
    """Yield (the failed item's place, its letter) for everything in `folder`, in the order of their names.

    Orphans are letters whose file is not there: it was never moved, or went back. There are those, or the others.
    """
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        letter, file = read(path), path.with_name(path.name.removesuffix(SUFFIX))
        if letter is not None and orphans is (bool(letter.sha256) and not file.exists()):
            yield file, letter


def value_of(file: Path) -> Any:
    """Return the value of a kept item. ValueError: it cannot be made again; OSError: its file cannot be read."""
    return stored.load(file.suffix, file.read_bytes(), file.parent)


def meta_of(item: KeptItem) -> Mapping[str, Any]:
    """Return the metadata of a kept item. ValueError: it cannot be made again."""
    meta: Mapping[str, Any] = stored.load(stored.JSON, json.dumps(item.meta).encode())
    return meta


def remove(file: Path, letter: DeadLetter) -> None:
    """Remove a kept item that was put back; the letter goes first, so that it never speaks of nothing."""
    letter_of(file).unlink(missing_ok=True)
    for name in (file.name, *(letter.item.files if letter.item is not None else ())):
        file.with_name(name).unlink(missing_ok=True)


def replay(file: Path) -> Replayed:
    """Move a failed file back to where it was, so that it is processed again; the letter goes last."""
    letter = read(letter_of(file))
    if letter is None:
        return Replayed(
            file.name, str(file), f"{letter_of(file).name} is not beside it, which names the folder to move it back to"
        )
    back = Path(letter.path)
    if not file.exists():
        return Replayed(letter.name, letter.path, f"the failed file is no longer at {file}")
    if back.exists():
        return Replayed(letter.name, letter.path, "another file of its name is there: remove one")
    move(file, back)
    letter_of(file).unlink()
    return Replayed(letter.name, letter.path)


def replay_folder(folder: Path, names: Collection[str] | None = None) -> list[Replayed]:
    """Replay the files of `folder` whose names (as their letters have them) are asked for; None: all."""
    selected = [file for file, letter in letters(folder) if letter.sha256 and (names is None or letter.name in names)]
    return [replay(file) for file in selected]
