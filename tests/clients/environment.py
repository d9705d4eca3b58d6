"""Where the clients are that the tests run: `.venv-clients`, which `.ci/clients` makes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CLIENTS = Path(os.environ.get("FASTEMBED_TEST_CLIENTS") or Path(__file__).parents[2] / ".venv-clients")


def has_python() -> bool:
    """Whether the clients for Python are there."""
    return (CLIENTS / ".installed").is_file()


def has_node() -> bool:
    """Whether those for Node are there, and Node itself."""
    return (CLIENTS / "node_modules").is_dir() and shutil.which("node") is not None


def left_out() -> list[str]:
    """Say which clients' tests do not run, and why."""
    if not has_python():
        return [f"tests of clients left out: no {CLIENTS.name} (`make test` makes it; .ci/clients)"]
    return [] if has_node() else ["tests of clients for Node left out: no npm on this machine (tests/clients/node)"]
