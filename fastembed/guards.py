"""Checks before anything starts: that the packages found are this project's own.

The floors have short names (`server`, `sources`, ...). A file of that name earlier on the module path, or the other
project called `fastembed` on the package index, would be imported instead of ours and fail in strange ways later.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipeline.errors import FastEmbedError

FLOORS: Final = ("pipeline", "inference", "sources", "operators", "sinks", "server", "models")
HOME: Final = Path(__file__).resolve().parent.parent


class ShadowedError(FastEmbedError):
    """Something else is where a part of this project is expected."""


def check_installation(floors: Iterable[str] = FLOORS, *, home: Path = HOME, rival: str = "fastembed") -> None:
    """Raise ShadowedError if a floor is not the one beside `fastembed`, or the distribution `rival` is installed."""
    try:
        other = distribution(rival)
    except PackageNotFoundError:
        pass
    else:
        raise ShadowedError(
            f"found the distribution {rival} {other.version} beside fastembed-multimodal, expected one of them: both "
            f"own the module fastembed, and files of one overwrite those of the other; pip uninstall {rival}, "
            "then install fastembed-multimodal again"
        )
    for floor in floors:
        found = _folder(find_spec(floor))
        if found != home / floor:
            where = "nowhere" if found is None else str(found)
            raise ShadowedError(
                f"found the package {floor} in {where}, expected {home / floor}: rename what shadows it, or start "
                "fastembed from another folder"
            )


def _folder(spec: ModuleSpec | None) -> Path | None:
    """Return the folder that a package, or the file that a module, would be imported from."""
    if spec is None:
        return None
    if spec.origin is not None:
        origin = Path(spec.origin).resolve()
        return origin.parent if origin.name == "__init__.py" else origin
    places = list(spec.submodule_search_locations or ())
    return Path(places[0]).resolve() if places else None
