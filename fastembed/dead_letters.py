"""Lists the items in the `on_error` folders of a configuration, and resumes them at the step where they failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastembed.pipeline.component import Resources
from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.sinks.folder import Folder
from fastembed.sinks.lake.dead_letters import Replayed
from fastembed.sinks.lake.listing import FailureRow
from fastembed.sinks.lake.resuming import has_items, kept_items, resume_items


def failure_folders(configuration: Configuration, pipeline: str | None = None) -> list[Path]:
    """Return the folders that the pipelines (or one of them) put in what failed."""
    return list(dict.fromkeys(folder for _, folder in _kept(configuration, pipeline)))


def failed_items(configuration: Configuration, pipeline: str | None = None) -> list[FailureRow]:
    """List the items that failed, the latest first; reads the folders, so in a thread."""
    rows = [row for plan, folder in _kept(configuration, pipeline) for row in kept_items(folder, plan.name)]
    return sorted(rows, key=lambda row: row.at, reverse=True)


def any_items(configuration: Configuration, pipeline: str | None, names: Sequence[str] | None) -> bool:
    """Whether there is anything to put back."""
    return any(has_items(folder, plan.name, names) for plan, folder in _kept(configuration, pipeline))


async def replay_items(
    configuration: Configuration, resources: Resources, pipeline: str | None, names: Sequence[str] | None
) -> list[Replayed]:
    """Resume items at the step where they failed, wait until they have ended, and return the result of each."""
    rows: list[Replayed] = []
    for plan, folder in _kept(configuration, pipeline):
        if await asyncio.to_thread(has_items, folder, plan.name, names):
            rows += await resume_items(plan, folder, resources, names)
    return rows


def _kept(configuration: Configuration, pipeline: str | None) -> Iterator[tuple[PipelinePlan, Path]]:
    for name, plan in configuration.pipelines.items():
        sink = plan.on_error
        if pipeline in (None, name) and sink is not None and sink.component.factory is Folder:
            yield plan, (plan.base / Path(sink.options["path"]).expanduser()).absolute()
