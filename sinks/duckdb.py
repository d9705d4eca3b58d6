"""Documents and their chunks into DuckDB, exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.component import sink
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.payload.document import Chunk, Document
from fastembed.sinks.lake.ledger_sink import LakeSink, check_unchanged
from fastembed.sinks.lake.schema import check_table_name
from fastembed.sinks.lake.writing import Staged


@sink
class Duckdb(LakeSink):
    """Write each file's document and chunks, with its ledger row, in one transaction; files within it too.

    Delivery: exactly once. What came of one file is staged in memory until all of it has ended well; then one
    transaction replaces the rows that the file's name held before and records the file in the ledger; files that are
    ready at the same time share one. After `kill -9` a file's rows and its ledger row are both there or both not.
    Overload: writes take turns in one thread; the pipeline waits. Restart: what was staged is processed again.

    In: `Document`, its `Chunk`s, or both; chunks that come without their document bring it with them.
    Args: path: the database file, made if there is none. table: where the chunks go; vectors of one table have one
    length, so another embedding model wants another table.
    Raises: LakeLocked (503) on opening if another process holds the file; InvalidInput for other values, or vectors of
    another length than the table's.
    """

    transactional: Final = True

    def __init__(self, path: Path, *, table: str = "chunks") -> None:
        """Store the options; `open` opens the database."""
        super().__init__(path)
        self._table = check_table_name(table)
        self._staged: dict[Ack, Staged] = {}

    async def close(self) -> None:
        """Release the database."""
        self._staged.clear()
        await super().close()

    async def write(self, item: Item[Document | Chunk]) -> None:
        """Stage one document or chunk with the others of its file."""
        staged = self._staged.setdefault(item.ack, Staged())
        if isinstance(item.value, Document):
            if not item.value.file.container:  # else it is a part of the document that came before
                staged.document = item.value
        elif isinstance(item.value, Chunk):
            staged.chunks.append(item.value)
        else:
            msg = f"found {type(item.value).__name__}, expected Document or Chunk: the steps before duckdb make them"
            raise InvalidInput(msg)

    async def commit(self, origin: Item[Any]) -> None:
        """Write what came of one file, and its ledger row, in one transaction.

        FileChanged, and nothing is written, if the file was replaced since its content was hashed: what was read from
        it may be another's.
        """
        # Popped first: an item whose commit fails is aborted (`pop` of nothing), and its rows must not come along with
        # a later attempt. Between the look at the file and the transaction lies an instant in which it may change all
        # the same; then the source's next look finds another stamp than the ledger's and has it read again.
        staged = self._staged.pop(origin.ack, None)
        if staged is not None:
            if staged.document is not None:
                await check_unchanged(staged.document.file)
            await self.lake.commit(staged, pipeline=self._pipeline, definition=self._definition, table=self._table)

    async def abort(self, origin: Item[Any]) -> None:
        """Discard the staged rows of one file."""
        self._staged.pop(origin.ack, None)
