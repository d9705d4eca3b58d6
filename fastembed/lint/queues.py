"""Checks that a source's `queue` and `overflow` have an effect: a folder's files wait on disk, and none is refused."""

from __future__ import annotations

from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.plan import Configuration
from fastembed.sources.folder import Folder


def check_queues(configuration: Configuration, problems: Problems) -> None:
    """Warn of bounds that nothing can reach."""
    for plan in configuration.pipelines.values():
        source = plan.source
        if source.component.factory is not Folder:
            continue
        if "overflow" in source.declared:
            problems.warn(
                source.place,
                f"found overflow: {source.queue.overflow} at {source.id}, expected none: its files wait on disk, and "
                "none is refused or dropped",
            )
        if "queue" in source.declared and source.queue.max_items is None:
            problems.warn(
                source.place,
                f"found a queue in bytes or seconds at {source.id}, expected a number of files: so many are given to "
                "the pipeline at once, the others wait on disk",
            )
