"""Search over several databases and tables: selects them by name and merges their hits into one ranking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.names import did_you_mean
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.search import RANK_CONSTANT, Hit


def select_databases(databases: Sequence[Path], name: str | None) -> list[Path]:
    """Return the databases that a name means, None: all. InvalidInput: none, or several.

    name: a path, its end, or its name with or without the suffix.
    """
    if name is None:
        return list(databases)
    end = Path(name).parts
    found = [path for path in databases if path.parts[-len(end) :] == end or path.stem == name] if end else []
    exact = [path for path in found if path == Path(name)]
    if len(exact or found) != 1:
        known = ", ".join(map(str, databases)) or "none"
        several = "a name of several" if found else "which does not exist"
        near = "" if found else did_you_mean(name, [path.name for path in databases])
        raise InvalidInput(
            f"found the database {name[:200]!r}, {several}, expected one of {known}{near}", param="database"
        )
    return exact or found


async def tables_of(lakes: Iterable[Lake], *names: str) -> list[tuple[Lake, str]]:
    """Return the chunk tables of the databases, or those of some names. InvalidInput: none of them has a name."""
    everything = [(lake, table) for lake in lakes for table in await lake.tables()]
    there = dict.fromkeys(table for _, table in everything)
    for name in names:
        if name not in there:
            known = ", ".join(there) or "none yet"
            raise InvalidInput(f"found the table {name[:80]!r}, expected one of {known}", param="table")
    return [(lake, table) for lake, table in everything if not names or table in names]


def merge_hits(rankings: Sequence[tuple[str, Sequence[Hit]]], limit: int) -> list[Hit]:
    """Return the best of what several tables found, ranked anew over all of them. Each comes with its model's name.

    Cosines are compared within one model only; those of another rank apart. One table keeps its ranking.
    """
    if len(rankings) == 1:
        return list(rankings[0][1])[:limit]
    hits = [hit for _, some in rankings for hit in some]
    scores = [0.0] * len(hits)
    models = [model for model, some in rankings for _ in some]
    for model in dict.fromkeys(models):
        mine = [place for place in range(len(hits)) if models[place] == model]
        _rank(scores, mine, [hits[place].similarity for place in mine])
    _rank(scores, range(len(hits)), [hit.words_score for hit in hits])
    order = sorted(range(len(hits)), key=lambda place: -scores[place])
    return [replace(hits[place], score=scores[place]) for place in order[:limit]]


def _rank(scores: list[float], places: Sequence[int], values: Sequence[float | None]) -> None:
    """Add 1 / (60 + rank) to the scores of those that have a value; equal ones share the better rank."""
    valued = ((value, place) for value, place in zip(values, places, strict=True) if value is not None)
    ranked = sorted(valued, key=lambda entry: -entry[0])
    rank: int = 0
    before: float | None = None
    for position, (value, place) in enumerate(ranked, start=1):
        rank, before = (rank if value == before else position), value
        scores[place] += 1 / (RANK_CONSTANT + rank)
