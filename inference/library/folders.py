"""Where models' files are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

BUILT_IN: Final = "built-in:"
_MODELS: Final = Path(__file__).resolve().parents[2] / "models"


def models_home() -> Path:
    """Return the folder that `fastembed pull` fills.

    $FASTEMBED_MODELS, else $FASTEMBED_HOME/models, else ~/.cache/fastembed/models.
    """
    models = os.environ.get("FASTEMBED_MODELS")
    return Path(models).expanduser().absolute() if models else own_home() / "models"


def own_home() -> Path:
    """Return where this project keeps what it can make again: $FASTEMBED_HOME, else ~/.cache/fastembed."""
    home = os.environ.get("FASTEMBED_HOME")
    return Path(home).expanduser().absolute() if home else Path.home() / ".cache" / "fastembed"


def kept_home() -> Path:
    """Return where this project keeps what it was given: $FASTEMBED_HOME, else where user data goes, not a cache.

    That is $XDG_DATA_HOME/fastembed, or ~/.local/share/fastembed (XDG Base Directory Specification 0.8).
    """
    if os.environ.get("FASTEMBED_HOME"):
        return own_home()
    given = os.environ.get("XDG_DATA_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".local" / "share") / "fastembed"


def candidates(origin: str, base: Path) -> list[Path]:
    """Return where the files of `from: origin` may be, likeliest first.

    `built-in:name` ships with the package; anything else is a path (relative to `base`, the configuration's folder) or
    a hub id, which is looked up in `models_home()`.
    """
    if origin.startswith(BUILT_IN):
        return [_MODELS / origin.removeprefix(BUILT_IN)]
    path = Path(origin).expanduser()
    if path.is_absolute():
        return [path]
    return [base / path, models_home() / path]


def locate(origin: str, base: Path) -> Path | None:
    """Return the first candidate that is a folder with a file in it, or None."""
    return next((path for path in candidates(origin, base) if path.is_dir() and any(path.iterdir())), None)


def is_pocket(folder: Path) -> bool:
    """Whether a folder is one of the tiny models that ship for trying things out."""
    return folder.parent == _MODELS and folder.name.endswith("-pocket")
