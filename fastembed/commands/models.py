"""`fastembed models`: what is here, what could be, and the command that gets it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from fastembed.assembly import make_resources, read_configuration
from fastembed.inference.library.catalog import Catalog, ModelCard
from fastembed.inference.library.hub.checks import amount
from fastembed.inference.library.hub.known import KNOWN, KnownModel, command_for, find_known
from fastembed.inference.library.hub.model_store import StoredModel, size_of, stored_models
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.models import Models
from fastembed.server.endpoints.models import describe


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A line of the list.

    state: ready, undeclared (files that nothing names), partial (a download to go on with), or not here.
    note: where it is, or the command that gets it.
    """

    name: str
    task: str | None
    state: str
    device: str | None
    licence: str | None
    size: int | None
    note: str
    folder: Path | None = None


def list_models(config: Path | None, *, as_json: bool) -> int:
    """Print the declared models, those that ship, those in the models folder, and those that are known by name."""
    models = make_resources(read_configuration(config)).get(Models).catalog
    rows = all_rows(models)
    if as_json:
        import orjson

        cards = {card.name: describe(card) for card in models.cards()}
        found = [cards.get(row.name, {}) | _object(row) for row in rows]
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return 0
    wide = max(len(row.name) for row in rows)
    for row in rows:
        size = amount(row.size) if row.size is not None else ""
        typer.echo(
            f"{row.name:<{wide}}  {row.task or '?':<14} {row.state:<10} {row.device or '':<11} "
            f"{row.licence or '?':<12} {size:>7}  {row.note}"
        )
    return 0


def all_rows(models: Catalog) -> list[ModelRow]:
    """Return the lines: what can be used first, then what lies in the models folder, then what could be fetched."""
    cards = models.cards()
    placed = {model.name: model for model in models.placed()}
    rows = [_of_card(card, tuple(placed[card.name].spec.on), placed[card.name].spec.origin) for card in cards]
    used = {card.folder for card in cards} | {row.folder for row in rows}
    names = {row.name for row in rows}
    known = [_of_known(model) for model in KNOWN if model.name not in names]
    loose = [_of_stored(model) for model in stored_models() if model.folder not in used]
    return [*rows, *loose, *known]


def _of_card(card: ModelCard, devices: tuple[str, ...], origin: str) -> ModelRow:
    return ModelRow(
        name=card.name,
        task=card.task,
        state="ready" if card.folder else "not here",
        device=card.device or ",".join(devices),
        licence=card.capabilities.licence,
        size=size_of(card.folder) if card.folder else None,
        note=str(card.folder) if card.folder else command_for(card.name, origin),
        folder=card.folder,
    )


def _of_known(known: KnownModel) -> ModelRow:
    """Describe a known model whose files are not here."""
    return ModelRow(
        name=known.name,
        task=known.task,
        state="not here",
        device=None,
        licence=known.licence,
        size=None,
        note=known.command,
    )


def _of_stored(model: StoredModel) -> ModelRow:
    known = find_known(model.name.partition("@")[0])
    declare = f"{model.folder}; to use it: models: {{{Path(model.name).name}: {{from: {model.name}}}}}"
    return ModelRow(
        name=model.name,
        task=TASKS.recognise(model.folder) if model.complete else known.task if known else None,
        state="undeclared" if model.complete else "partial",
        device=None,
        licence=known.licence if known else None,
        size=size_of(model.folder),
        note=declare if model.complete else f"go on with: fastembed pull {model.name}",
        folder=model.folder,
    )


def _object(row: ModelRow) -> dict[str, Any]:
    """Return a line for programs; the server's own words for states where it lists the model."""
    return {
        "id": row.name,
        "task": row.task,
        "state": row.state.replace(" ", "_"),
        "devices": row.device.split(",") if row.device else [],
        "licence": row.licence,
        "bytes": row.size,
        "folder": str(row.folder) if row.folder else None,
        "note": row.note,
    }
