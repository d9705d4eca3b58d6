"""Resumes the items of an `on_error` folder at the step where they failed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.plan import PipelinePlan
from fastembed.pipeline.replay import Resumption, can_resume, resume
from fastembed.sinks.folder import REASON_CHARS, REPLAY_OF, TRIED
from fastembed.sinks.lake.dead_letters import DeadLetter, Replayed, letters, meta_of, remove, value_of
from fastembed.sinks.lake.listing import FailureRow


async def resume_items(
    plan: PipelinePlan, folder: Path, resources: Resources, names: Collection[str] | None = None
) -> list[Replayed]:
    """Put the pipeline's items in `folder` (those whose letters have these names) back; wait until they have ended.

    What ends well leaves the folder; what fails again has a new letter in place of the old one.
    """
    found = await asyncio.to_thread(_selected, folder, plan.name, names)
    replayed, on_their_way = [], []
    for file, letter in found:
        resumption = await asyncio.to_thread(_resumption, plan, file, letter)
        if isinstance(resumption, str):
            replayed.append(Replayed(letter.name, str(file), resumption))
        else:
            on_their_way.append((file, letter, resumption))
    await resume(plan, resources, [resumption for _, _, resumption in on_their_way])
    for file, letter, resumption in on_their_way:
        replayed.append(await asyncio.to_thread(_conclude, file, letter, resumption))
    return replayed


def kept_items(folder: Path, pipeline: str) -> list[FailureRow]:
    """List the pipeline's items in `folder`, as `fastembed failed` shows them."""
    return [
        FailureRow(
            pipeline,
            letter.name,
            f"{letter.step}: {letter.error}: {letter.message}"[:REASON_CHARS],
            str(file),
            "",
            letter.definition,
            letter.at,
        )
        for file, letter in _selected(folder, pipeline, None)
    ]


def has_items(folder: Path, pipeline: str, names: Collection[str] | None = None) -> bool:
    """Whether there is anything to put back."""
    return bool(_selected(folder, pipeline, names))


def _selected(folder: Path, pipeline: str, names: Collection[str] | None) -> list[tuple[Path, DeadLetter]]:
    if not folder.is_dir():
        return []
    return [
        (file, letter)
        for file, letter in letters(folder)
        if not letter.sha256 and letter.pipeline == pipeline and (names is None or letter.name in names)
    ]


def _resumption(plan: PipelinePlan, file: Path, letter: DeadLetter) -> Resumption | str:
    """Return an item as it is put back, or why it cannot be."""
    item = letter.item
    if item is None:
        return "found a letter of an older version, which stored no items: send the item again"
    if item.problem:
        return f"its value was not stored: {item.problem}"
    if not can_resume(plan, item.resume_at):
        return f"{plan.name} no longer has the step {item.resume_at} that it failed at"
    try:
        value, meta = value_of(file), meta_of(item)
    except (ValueError, OSError) as error:
        return str(error)
    meta = {**meta, REPLAY_OF: letter.name, TRIED: letter.attempts}
    return Resumption(value, item.resume_at, item.key, item.time, meta, item.trace)


def _conclude(file: Path, letter: DeadLetter, resumption: Resumption) -> Replayed:
    """Delete the old letter, unless it is the only record of the item."""
    well = resumption.outcome in (Outcome.DELIVERED, Outcome.FILTERED)
    if well or any(
        other.item is not None and other.item.meta.get(REPLAY_OF) == letter.name
        for _, other in letters(file.parent)
        if other.name != letter.name
    ):
        remove(file, letter)
    if well:
        return Replayed(letter.name, "", ended=True)
    error = resumption.error
    why = error.message if isinstance(error, ItemError) else f"{type(error).__name__}: {error}"
    return Replayed(letter.name, str(file), f"failed again: {why if error is not None else resumption.outcome}")
