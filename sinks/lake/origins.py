"""Which model made the vectors of a table: only those of one model, and of the same files of it, can be compared."""

from __future__ import annotations

from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.sinks.lake.schema import Connection, dimensions, table_exists


def of_origin(origin: VectorOrigin | None) -> tuple[str, list[str]]:
    """Return the SQL condition of the chunks `c` whose vectors are of a model (None: of any), and its parameters.

    Rows of before models had revisions say the model's name only: they are taken for its present files'.
    """
    if origin is None:
        return "true", []
    condition = "(c.model IS NOT DISTINCT FROM ? AND coalesce(c.model_revision, ?) = ?)"
    return condition, [origin.model, origin.revision, origin.revision]


def models_of(con: Connection, table: str) -> list[tuple[str, int]]:
    """Return (model, vector length) of what embedded the chunks of `table`, the most used first."""
    length = dimensions(con, table) if table_exists(con, table) else None
    if length is None:
        return []
    rows = con.execute(
        f"""SELECT model FROM "{table}" WHERE model IS NOT NULL AND embedding IS NOT NULL
            GROUP BY model ORDER BY count(*) DESC, model"""  # noqa: S608 - only names of existing tables come here
    ).fetchall()
    return [(model, length) for (model,) in rows]


def count_incomparable(con: Connection, table: str, origin: VectorOrigin | None) -> int:
    """Return how many chunks of `table` have a vector that is not comparable with a model's (None: with any)."""
    if not table_exists(con, table) or dimensions(con, table) is None:
        return 0
    condition, values = of_origin(origin)
    unlike = "true" if origin is None else f"NOT {condition}"
    query = f'SELECT count(*) FROM "{table}" c WHERE c.model IS NOT NULL AND c.embedding IS NOT NULL AND {unlike}'  # noqa: S608
    return int(con.execute(query, values).fetchone()[0])
