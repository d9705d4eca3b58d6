"""Commands and endpoints where the pipelines write several databases and tables."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serving import fastembed, serving

PIPELINE = """
  {name}:
    source: {{folder: {name}, settle: 100ms}}
    operators: [parse, chunk, embed]
    sink: {{duckdb: {database}, table: {table}}}
    on_error: {{folder: bad-{name}}}
"""
PLACES = {"ferries": ("a.duckdb", "chunks"), "trains": ("b.duckdb", "chunks"), "planes": ("b.duckdb", "notes")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    pipelines = "".join(
        PIPELINE.format(name=name, database=database, table=table) for name, (database, table) in PLACES.items()
    )
    (folder / "pipelines.yaml").write_text(f"version: 1\npipelines:{pipelines}")
    for name in PLACES:
        (folder / name).mkdir()
        (folder / name / f"{name}.md").write_text(f"# About {name}\n\nThe timetable of the {name} is on the wall.\n")
        (folder / name / f"broken-{name}.pdf").write_bytes(b"%PDF-1.4 and no more")
    assert fastembed(folder, "run", "--once").returncode == 1
    return folder


def names(folder: Path, *command: str) -> set[str]:
    ended = fastembed(folder, *command, "--json")
    assert ended.returncode == 0, ended.stderr
    return {row.get("document") or row["name"] for row in json.loads(ended.stdout)}


def test_every_database_and_table_is_listed_and_searched(folder: Path) -> None:
    assert names(folder, "ls") == {f"{name}.md" for name in PLACES} | {f"broken-{name}.pdf" for name in PLACES}
    assert names(folder, "failed") == {f"broken-{name}.pdf" for name in PLACES}
    assert names(folder, "search", "timetable") == {f"{name}.md" for name in PLACES}
    (best, *_) = json.loads(fastembed(folder, "search", "planes", "--json").stdout)
    assert (best["document"], best["table"], Path(best["database"]).name) == ("planes.md", "notes", "b.duckdb")


def test_one_database_or_table_can_be_named(folder: Path) -> None:
    assert names(folder, "search", "timetable", "--table", "chunks") == {"ferries.md", "trains.md"}
    assert names(folder, "search", "timetable", "--database", "b.duckdb") == {"trains.md", "planes.md"}
    assert names(folder, "search", "timetable", "-d", str(folder / "b.duckdb"), "-t", "notes") == {"planes.md"}
    assert names(folder, "failed", "--database", "a") == {"broken-ferries.pdf"}
    wrong = fastembed(folder, "ls", "--database", "c.duckdb")
    assert wrong.returncode == 2
    assert "--database: found the database 'c.duckdb', which does not exist, expected one of " in wrong.stderr
    wrong = fastembed(folder, "search", "timetable", "--table", "note")
    assert "found the table 'note', expected one of chunks, notes" in wrong.stderr


def test_a_server_answers_for_all_that_it_holds(folder: Path) -> None:
    with serving(folder) as server:

        def found(path: str) -> set[str]:
            answer = httpx2.get(f"{server.url}{path}", timeout=60)
            assert answer.status_code == 200, answer.text
            return {row.get("document") or row["name"] for row in answer.json()["data"]}

        assert found("/v1/search?q=timetable") == {f"{name}.md" for name in PLACES}
        assert found("/v1/search?q=timetable&table=notes") == {"planes.md"}
        assert found("/v1/search?q=timetable&database=a.duckdb") == {"ferries.md"}
        assert found("/v1/documents/failed") == {f"broken-{name}.pdf" for name in PLACES}
        assert found("/v1/documents?database=a.duckdb") == {"ferries.md", "broken-ferries.pdf"}
        for query, problem in (("database=c", "found the database 'c'"), ("table=c", "found the table 'c'")):
            refused = httpx2.get(f"{server.url}/v1/search?q=x&{query}")
            assert refused.status_code == 400
            assert problem in refused.json()["error"]["message"]
        assert names(folder, "search", "timetable", "--url", server.url) == {f"{name}.md" for name in PLACES}
        assert names(folder, "ls", "--database", "b", "--pipeline", "planes", "--url", server.url) == {
            "planes.md",
            "broken-planes.pdf",
        }
        again = fastembed(folder, "reprocess", "trains", "--all", "--url", server.url)
        assert again.stdout == "1 file will be processed again by trains\n"
