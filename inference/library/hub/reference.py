"""Which repository, at which revision: `owner/name[@revision]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastembed.inference.library.folders import models_home
from fastembed.inference.library.hub.known import KnownModel, find_known

_PART: Final = r"[A-Za-z0-9_][\w.-]*"  # no leading dot: nothing may climb out of the models folder, or hide in it
_REFERENCE: Final = re.compile(rf"(?P<repository>{_PART}/{_PART})(?:@(?P<revision>{_PART}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """A hub repository. revision: a commit, tag or branch; None: the newest of the main branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return it as it is typed, and as `from:` takes it."""
        return f"{self.repository}@{self.revision}" if self.revision else self.repository

    @property
    def folder(self) -> Path:
        """Where its files belong: a pinned revision has a folder of its own, so that two can stand side by side."""
        return models_home() / str(self)


def read_reference(text: str) -> Reference | None:
    """Read `owner/name[@revision]`; None if it is none. A revision with a slash in it is given as its commit."""
    found = _REFERENCE.fullmatch(text)
    return Reference(found["repository"], found["revision"]) if found else None


def split_name(text: str) -> tuple[KnownModel | None, str | None]:
    """Return the known model of `name[@revision]`, if any, and the revision."""
    name, _, revision = text.partition("@")
    return find_known(name), revision or None
