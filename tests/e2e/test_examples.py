"""The pipelines of `examples/`, each with real input, as a user runs it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.e2e.serving import fastembed

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def laid_out(folder: Path, name: str) -> Path:
    """Return a folder of its own with the example as its pipelines.yaml."""
    shutil.copy(EXAMPLES / name, folder / "pipelines.yaml")
    return folder


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 20


def test_rows_get_vectors_and_a_table(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, "rows.yaml")
    (folder / "tickets").mkdir()
    (folder / "tickets" / "may.csv").write_text(
        "id,subject,text\n1,Ferry,It did not leave.\n2,,No subject\n3,Quay,Where is it?\n"
    )
    (folder / "tickets" / "june.jsonl").write_text('{"id": 4, "subject": "Snow", "text": "It snows."}\n')
    ran = fastembed(folder, "run", "--once")
    assert ran.returncode == 0, ran.stderr
    found = asked(folder / "tickets.duckdb", "SELECT id, subject, len(vector) FROM tickets ORDER BY id")
    assert found == [(1, "Ferry", 384), (3, "Quay", 384), (4, "Snow", 384)]
