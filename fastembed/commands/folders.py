"""`fastembed forget`: removes the rows of files that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastembed.commands.documents import AnswerSource, print_count
from fastembed.commands.folder_state import folder_of
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.plan import Configuration
from fastembed.sinks.lake.database import Lake

if TYPE_CHECKING:
    from fastembed.client import FastEmbedClient


def forget(source: AnswerSource, pipeline: str, *, as_json: bool) -> int:
    """Forget the files of a pipeline that are not in its folder any more."""

    async def offline(lakes: Sequence[Lake], configuration: Configuration) -> list[int]:
        folder = folder_of(configuration.pipelines[pipeline])
        if folder is None:
            raise FastEmbedError(f"found the pipeline {pipeline}, expected one with a folder as source")
        if not folder.is_dir():
            raise FastEmbedError(f"the folder {folder} does not exist: create it, an empty one is enough")
        count = 0
        for lake in lakes:
            ledger = lake.ledger(pipeline)
            for entry in await ledger.entries():
                if not entry.location and not await asyncio.to_thread((folder / entry.name).exists):
                    count += await ledger.forget(entry.name, expected=entry.sha256)
        return [count]

    async def online(client: FastEmbedClient, _: str | None) -> list[int]:
        found = await client.call("POST", "/v1/documents/forget", body={"pipeline": pipeline})
        return [int(found["count"])]

    count = sum(source.ask(offline, online, pipeline))
    text = f"{count} file{'s' if count != 1 else ''} of {pipeline} {'are' if count != 1 else 'is'} forgotten"
    print_count(pipeline, count, text, as_json)
    return 0
