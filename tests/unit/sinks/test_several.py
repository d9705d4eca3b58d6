"""Which databases are meant, and one ranking over several tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.sinks.lake.search import Hit
from fastembed.sinks.lake.several import merge_hits, select_databases

A, B, OTHER_A = Path("/x/a.duckdb"), Path("/x/b.duckdb"), Path("/y/a.duckdb")


def hit(name: str, *, near: float | None = None, worded: float | None = None, score: float = 0.0) -> Hit:
    return Hit(1, 1, "p", name, "", "", 0, None, (), "", "", score, near, worded)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, [A, B, OTHER_A]), ("b", [B]), ("b.duckdb", [B]), ("/x/a.duckdb", [A]), ("y/a.duckdb", [OTHER_A])],
)
def test_a_name_means_a_database(asked: str | None, expected: list[Path]) -> None:
    assert select_databases([A, B, OTHER_A], asked) == expected


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("a", "a name of several"),
        ("c.duckdb", "does not exist"),
        ("", "does not exist"),
        ("uckdb", "does not exist"),
    ],
)
def test_a_name_that_means_none_or_several_is_refused(asked: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        select_databases([A, B, OTHER_A], asked)


def test_one_table_keeps_its_ranking() -> None:
    hits = [hit("a", score=0.5), hit("b", score=0.25)]
    assert merge_hits([("m", hits)], 1) == hits[:1]
    assert merge_hits([], 5) == []


def test_cosines_of_one_model_are_compared_over_its_tables() -> None:
    one, other = [hit("best", near=0.9), hit("worst", near=0.1)], [hit("second", near=0.8)]
    assert [found.document for found in merge_hits([("m", one), ("m", other)], 5)] == ["best", "second", "worst"]


def test_cosines_of_two_models_are_not() -> None:
    one, other = [hit("a", near=0.9), hit("b", near=0.8)], [hit("c", near=0.2)]
    scores = {found.document: found.score for found in merge_hits([("m", one), ("n", other)], 5)}
    assert scores["a"] == scores["c"] > scores["b"]


def test_words_are_ranked_over_all_and_count_beside_meaning() -> None:
    one, other = [hit("near", near=0.9)], [hit("both", near=0.8, worded=2.0)]
    assert [found.document for found in merge_hits([("m", one), ("m", other)], 1)] == ["both"]
