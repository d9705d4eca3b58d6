"""Following files as they are saved, on a real folder."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fastembed.pipeline.errors import ConfigError
from fastembed.watching import follow


@asynccontextmanager
async def following(files: Callable[[], list[Path]], reload: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
    """Follow the files; the event is set after each reload."""
    reloaded = asyncio.Event()

    async def counted() -> None:
        reloaded.set()
        reload()

    task = asyncio.create_task(follow(files, counted))
    await asyncio.sleep(0.5)  # the watch says to nobody that it is in place
    try:
        async with asyncio.timeout(30):
            yield reloaded
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def saved(file: Path, text: str, reloaded: asyncio.Event) -> None:
    reloaded.clear()
    await asyncio.to_thread(file.write_text, text)
    await reloaded.wait()


async def test_a_plug_in_that_is_declared_later_is_followed_in_its_own_folder(tmp_path: Path) -> None:
    file, plugin = tmp_path / "pipelines.yaml", tmp_path / "tools" / "plug.py"
    file.write_text("a")
    plugin.parent.mkdir()
    plugin.write_text("1")
    files = [file]
    async with following(lambda: files, lambda: None) as reloaded:
        files.append(plugin)
        await saved(file, "b", reloaded)
        await asyncio.sleep(0.5)
        await saved(plugin, "2", reloaded)


async def test_what_was_saved_before_the_watch_was_in_place_is_found(tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text("saved while the models were loaded")
    reloaded = asyncio.Event()

    async def reload() -> None:
        reloaded.set()

    task = asyncio.create_task(follow(lambda: [file], reload, {file: b"read before"}))
    async with asyncio.timeout(30):
        await reloaded.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_plug_in_that_is_gone_holds_up_no_change_of_the_file(tmp_path: Path) -> None:
    file, plugin = tmp_path / "pipelines.yaml", tmp_path / "plug.py"
    file.write_text("a")
    plugin.write_text("1")
    async with following(lambda: [file, plugin], lambda: None) as reloaded:
        plugin.unlink()
        await asyncio.sleep(0.5)
        await saved(file, "b", reloaded)


async def test_a_folder_that_is_gone_does_not_end_the_watch(tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text("a")
    files = [file]
    async with following(lambda: files, lambda: None) as reloaded:
        files.append(tmp_path / "nowhere" / "plug.py")
        await saved(file, "b", reloaded)
        await asyncio.sleep(0.5)
        await saved(file, "c", reloaded)


async def test_every_mistake_of_a_bad_file_is_a_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text("a")

    def refuse() -> None:
        raise ConfigError(["p.yaml:1:1: found a", "p.yaml:2:1: found b"])

    async with following(lambda: [file], refuse) as reloaded:
        await saved(file, "b", reloaded)
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == [
        "the change was refused, the running configuration stays: p.yaml:1:1: found a",
        "the change was refused, the running configuration stays: p.yaml:2:1: found b",
    ]
