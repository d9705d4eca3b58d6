"""What the commands can see of watched folders while nothing runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.sinks.lake.listing import DocumentRow


def folder_of(plan: PipelinePlan) -> Path | None:
    """Return the folder that a pipeline watches; None: its source is another."""
    if plan.source.component.name != "folder":
        return None
    return plan.base / Path(plan.source.options["path"]).expanduser()


def folder_problems(configuration: Configuration, rows: Iterable[DocumentRow]) -> Iterator[str]:
    """Yield a problem for each pipeline none of whose files is in its folder, which may not be mounted; blocks."""
    by_pipeline: defaultdict[str, list[DocumentRow]] = defaultdict(list)
    for row in rows:
        by_pipeline[row.pipeline].append(row)
    for name, known in by_pipeline.items():
        plan = configuration.pipelines.get(name)
        folder = None if plan is None else folder_of(plan)
        if folder is None or any(
            (folder / row.name).exists() or Path(row.path or folder / row.name).exists() for row in known
        ):
            continue
        what = "this folder cannot be found" if not folder.is_dir() else "none of these files is in it"
        yield (
            f"pipeline {name}: {folder}: {what}; the rows are kept, in case a file system is not mounted. "
            f"If the files were deleted on purpose: fastembed forget {name}"
        )
