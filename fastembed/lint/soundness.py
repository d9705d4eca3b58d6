"""What is wrong with a configuration beyond what its file says by itself: one way for `check`, `serve` and `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.sections import read_sections
from fastembed.lint.chunks import check_chunks
from fastembed.lint.dead_letters import check_dead_letters
from fastembed.lint.places import check_places
from fastembed.lint.queues import check_queues
from fastembed.lint.routes import check_routes
from fastembed.lint.wires import check_wires
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.plan import Configuration

METRICS_PATH: Final = "/metrics"


def soundness(configuration: Configuration, *, metrics_path: str | None = METRICS_PATH) -> Problems:
    """Return every problem and warning. metrics_path: where the server shows its metrics; None: nowhere."""
    problems = Problems()
    declared, _ = read_sections(configuration.sections)
    base = configuration.path.parent if configuration.path else Path()
    catalog = Catalog(declared, aliases=configuration.sections.get("aliases"), base=base.absolute())
    check_routes(configuration, metrics_path, problems)
    check_wires(configuration, problems)
    check_places(configuration, catalog, problems)
    check_chunks(configuration, catalog, problems)
    check_dead_letters(configuration, problems)
    check_queues(configuration, problems)
    return problems
