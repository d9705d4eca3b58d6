"""Files that failed: each lies in its pipeline's `on_error` folder beside a `NAME.error.json` that says why."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fastembed.pipeline.filing import move, write

SUFFIX: Final = ".error.json"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a file failed, as its `.error.json` has it.

    path: where the file was, absolute. error: the class of the error; cause: its text where it is not the message
    itself. at: ISO 8601, UTC. sha256: "" if what failed was no file (then only the letter is kept).
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


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a request to try a file again. problem: why not, "" if it is on its way."""

    name: str
    path: str
    problem: str = ""


def letter_of(file: Path) -> Path:
    """Return where the letter about a failed file lies."""
    return file.with_name(file.name + SUFFIX)


def post(file: Path, letter: DeadLetter) -> None:
    """Write the letter about `file`, whole or not at all."""
    write(letter_of(file), json.dumps(asdict(letter), ensure_ascii=False, indent=2).encode())


def read(path: Path) -> DeadLetter | None:
    """Return a letter; None if the file is none of ours or was spoilt."""
    try:
        return DeadLetter(**json.loads(path.read_bytes()))
    except (ValueError, TypeError, FileNotFoundError):
        return None


def letters(folder: Path, *, orphans: bool = False) -> Iterator[tuple[Path, DeadLetter]]:
    """Yield (the failed file's place, its letter) for everything in `folder`, in the order of their names.

    Orphans are letters whose file is not there: it was never moved, or went back. There are those, or the others.
    """
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        letter, file = read(path), path.with_name(path.name.removesuffix(SUFFIX))
        if letter is not None and orphans is (bool(letter.sha256) and not file.exists()):
            yield file, letter


def replay(file: Path) -> Replayed:
    """Move a failed file back to where it was, so that it is processed again; the letter goes last."""
    letter = read(letter_of(file))
    if letter is None:
        return Replayed(
            file.name, str(file), f"found no {letter_of(file).name} beside it, expected one: it says where to"
        )
    back = Path(letter.path)
    if not file.exists():
        return Replayed(letter.name, letter.path, f"found nothing at {file}, expected the failed file")
    if back.exists():
        return Replayed(letter.name, letter.path, "found another file of its name there, expected none: remove one")
    move(file, back)
    letter_of(file).unlink()
    return Replayed(letter.name, letter.path)


def replay_folder(folder: Path, names: Collection[str] | None = None) -> list[Replayed]:
    """Replay the files of `folder` whose names (as their letters have them) are asked for; None: all."""
    asked = [file for file, letter in letters(folder) if letter.sha256 and (names is None or letter.name in names)]
    return [replay(file) for file in asked]
