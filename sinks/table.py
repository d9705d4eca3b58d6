"""Values of any kind into a table of a DuckDB database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.component import sink
from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.payload.document import File
from fastembed.sinks.lake.ledger_sink import LakeSink, check_unchanged
from fastembed.sinks.lake.schema import check_table_name
from fastembed.sinks.lake.values import Values, check_type, fields_of

MAX_ROWS: Final = 2_000_000
"""Rows of one item that are staged in memory."""


@sink
class Table(LakeSink):
    """Write each value as a row of a DuckDB table, all that came of one item in one transaction.

    The fields of a mapping, dataclass or pydantic model are columns, any other value is the column `value`. Columns are
    made when their first value comes: BOOLEAN, BIGINT, DOUBLE, VARCHAR, DATE, TIMESTAMP, TIME, BLOB, lists of numbers
    or texts, vectors (arrays, FLOAT[n]), else JSON.

    Delivery: exactly once behind a folder: what came of a file takes the place of the rows that its name held before,
    with its ledger row; a deleted file's rows go, a renamed file's stay. The column `document_id` says which of
    `documents` a row came of. Else at most once; a request's rows are all there or none.
    Overload: writes take turns in one thread; the pipeline waits.

    In: what has fields, or one value.

    Args:
        path: the database file, made if there is none.
        name: the table's name.
        columns: the columns to keep, and their DuckDB types: `{id: BIGINT, vector: FLOAT[384]}`; by default all fields.

    Raises:
        LakeLocked: on opening, if another process holds the file.
        InvalidInput: a value that does not fit its column.

    """

    transactional: Final = True

    def __init__(self, path: Path, *, name: str = "items", columns: dict[str, str] | None = None) -> None:
        super().__init__(path)
        self._table = check_table_name(name)
        self._declared = {column: check_type(column, kind) for column, kind in (columns or {}).items()}
        self._staged: dict[Ack, list[Values]] = {}

    async def close(self) -> None:
        """Release the database."""
        self._staged.clear()
        await super().close()

    async def write(self, item: Item[Any]) -> None:
        """Stage one row with the others of its origin."""
        staged = self._staged.setdefault(item.ack, [])
        if len(staged) >= MAX_ROWS:
            raise TooLarge(f"found more than {MAX_ROWS} rows of one item, expected fewer")
        row = fields_of(item.value)
        kept = {name: row[name] for name in self._declared if name in row} if self._declared else row
        if not kept:
            raise InvalidInput(f"found no field of the columns of {self._table}, expected at least one")
        staged.append(kept)

    async def commit(self, origin: Item[Any]) -> None:
        """Write what came of one item; of a file, with its ledger row, in place of what was there.

        FileChanged: it is another file by now.
        """
        rows = self._staged.pop(origin.ack, None)
        if rows is None:
            return
        value = origin.ack.origin_value
        file = value if isinstance(value, File) else None
        if file is not None:
            await check_unchanged(file)
        await self.lake.replace_values(
            rows,
            table=self._table,
            declared=self._declared,
            file=file,
            pipeline=self._pipeline,
            definition=self._definition,
        )

    async def abort(self, origin: Item[Any]) -> None:
        """Discard the staged rows of one item."""
        self._staged.pop(origin.ack, None)
