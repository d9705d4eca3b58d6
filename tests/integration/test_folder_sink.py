"""The folder for failures, with real files and the real ledger."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context, Failure, Resources
from fastembed.pipeline.errors import ItemError, StepFailed, Unprocessable
from fastembed.pipeline.filing import NO_INPUT
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.pipeline.payload.document import DocumentRequest, File
from fastembed.sinks.duckdb import Duckdb
from fastembed.sinks.folder import Folder
from fastembed.sinks.lake.dead_letters import Replayed, letters, remove, replay_folder, value_of


class Desk:
    """A database, a folder for failures, an inbox."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.sink = Duckdb(Path("lake.duckdb"))
        self.folder = Folder(Path("inbox/failed"))
        self.inbox = base / "inbox"

    async def open(self) -> None:
        await self.sink.open(Context("papers", "sink", "d1", self.base, Resources()))
        await self.open_folder()

    async def open_folder(self, definition: str = "d1") -> None:
        await self.folder.open(Context("papers", "on_error", definition, self.base, Resources(), ledger=self.sink))

    async def fail(self, name: str, text: str, error: ItemError, sha256: str = "abcdef0123") -> File:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        found = path.stat()
        file = File(path, name, sha256, found.st_size, found.st_mtime_ns)
        await self.write(file, error)
        return file

    async def write(self, value: Any, error: ItemError, resume_at: str = "") -> None:
        origin: Item[Any] = Item(value)
        origin.ack = Ack(origin, lambda _: None)
        await self.folder.write(Item(Failure(origin, value, "parse", error, 2, "d1", value, resume_at)))

    async def ledger(self) -> dict[str, tuple[str, str]]:
        return {entry.name: (entry.state, entry.location) for entry in await self.sink.entries()}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    await desk.open()
    yield desk
    await desk.sink.close()


async def test_a_failed_file_moves_beside_a_letter_that_says_why(desk: Desk) -> None:
    file = await desk.fail("sub/a.pdf", "x", Unprocessable("found an encrypted PDF, expected one that opens"))
    moved = desk.inbox / "failed/sub/a.pdf"
    assert (moved.read_text(), file.path.exists()) == ("x", False)
    letter = json.loads((desk.inbox / "failed/sub/a.pdf.error.json").read_text())
    assert {key: letter[key] for key in ("name", "step", "error", "message", "attempts", "sha256", "definition")} == {
        "name": "sub/a.pdf",
        "step": "parse",
        "error": "Unprocessable",
        "message": "found an encrypted PDF, expected one that opens",
        "attempts": 2,
        "sha256": "abcdef0123",
        "definition": "d1",
    }
    assert await desk.ledger() == {"sub/a.pdf": ("failed", str(moved))}
    assert (desk.inbox / "failed" / NO_INPUT).exists()


async def test_the_letter_names_what_the_step_raised(desk: Desk) -> None:
    await desk.fail("a.pdf", "x", StepFailed("parse", ZeroDivisionError("division by zero")))
    (_, letter) = next(letters(desk.inbox / "failed"))
    assert (letter.error, letter.message) == ("ZeroDivisionError", "division by zero")


async def test_other_bytes_of_the_same_name_are_kept(desk: Desk) -> None:
    await desk.fail("a.pdf", "first", Unprocessable("bad"), "11111111aa")
    await desk.fail("a.pdf", "second", Unprocessable("bad"), "22222222bb")
    kept = {file.name: file.read_text() for file, _ in letters(desk.inbox / "failed")}
    assert kept == {"a.pdf": "first", "a.22222222.pdf": "second"}


async def test_the_source_saying_failed_as_well_keeps_the_location(desk: Desk) -> None:
    file = await desk.fail("a.pdf", "x", Unprocessable("bad"))
    await desk.sink.record(LedgerEntry("a.pdf", file.sha256, "d1", "failed", file.size_bytes, file.mtime_ns, "why"))
    await desk.sink.forget("a.pdf")  # it is not in the inbox any more
    assert await desk.ledger() == {"a.pdf": ("failed", str(desk.inbox / "failed/a.pdf"))}


async def test_a_file_that_went_or_changed_since_is_left_alone(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.write(File(desk.inbox / "gone.pdf", "gone.pdf", "aa", 1, 1), Unprocessable("bad"))
    (desk.inbox / "new.pdf").write_text("new")
    await desk.write(File(desk.inbox / "new.pdf", "new.pdf", "aa", 1, 1), Unprocessable("bad"))
    assert (desk.inbox / "new.pdf").exists()
    assert list(letters(desk.inbox / "failed")) == []
    assert caplog.text.count("has been removed or changed since") == 2


async def test_a_crash_between_moving_and_the_ledger_is_healed(desk: Desk) -> None:
    await desk.fail("a.pdf", "x", Unprocessable("bad"))
    await desk.sink.lake.write(lambda con: con.execute("DELETE FROM ledger"))
    await desk.open_folder()
    assert await desk.ledger() == {"a.pdf": ("failed", str(desk.inbox / "failed/a.pdf"))}


async def test_a_crash_between_the_letter_and_moving_leaves_the_file_to_be_tried_again(desk: Desk) -> None:
    file = await desk.fail("a.pdf", "x", Unprocessable("bad"))
    (desk.inbox / "failed/a.pdf").rename(file.path)
    await desk.sink.lake.write(lambda con: con.execute("DELETE FROM ledger"))
    await desk.open_folder()
    assert (file.path.exists(), list(letters(desk.inbox / "failed")), await desk.ledger()) == (True, [], {})
    await desk.sink.record(LedgerEntry("a.pdf", file.sha256, "d2", "done", file.size_bytes, file.mtime_ns))
    await desk.open_folder()
    assert not (desk.inbox / "failed/a.pdf.error.json").exists()


async def test_what_was_repaired_since_is_not_called_failed_again(desk: Desk) -> None:
    await desk.fail("a.pdf", "x", Unprocessable("bad"))
    (desk.inbox / "a.pdf").write_text("good")
    await desk.sink.record(LedgerEntry("a.pdf", "other", "d1", "done", 4, 1))
    await desk.open_folder()
    assert (await desk.ledger())["a.pdf"][0] == "done"


async def test_replay_moves_files_back(desk: Desk) -> None:
    for name in ("a.pdf", "sub/b.pdf"):
        await desk.fail(name, name, Unprocessable("bad"))
    await desk.sink.record(LedgerEntry("c.pdf", "cc", "d1", "failed", 1, 1, "stayed in place"))
    asked = await desk.sink.lake.replay(["sub/b.pdf", "c.pdf", "nothing.pdf"])
    assert asked == [
        Replayed("sub/b.pdf", str(desk.inbox / "sub/b.pdf")),
        Replayed("c.pdf", ""),
        Replayed("nothing.pdf", "", "found no failed file of this name"),
    ]
    assert (desk.inbox / "sub/b.pdf").read_text() == "sub/b.pdf"
    assert [letter.name for _, letter in letters(desk.inbox / "failed")] == ["a.pdf"]
    assert (await desk.ledger())["c.pdf"][0] == "outdated"


async def test_replay_never_replaces_a_file(desk: Desk) -> None:
    await desk.fail("a.pdf", "x", Unprocessable("bad"))
    (desk.inbox / "a.pdf").write_text("new")
    assert "another file of its name is there" in replay_folder(desk.inbox / "failed")[0].problem
    assert (desk.inbox / "a.pdf").read_text() == "new"


@pytest.mark.parametrize(
    ("value", "suffix", "content"),
    [
        ({"input": "text"}, ".json", b'{\n  "input": "text"\n}'),
        ("a message", ".txt", b"a message"),
        (b"\x00\x01", ".bin", b"\x00\x01"),
    ],
)
async def test_what_is_no_file_lies_beside_its_letter(desk: Desk, value: Any, suffix: str, content: bytes) -> None:
    await desk.write(value, Unprocessable("found no tokens"), resume_at="embed")
    ((file, letter),) = letters(desk.inbox / "failed")
    assert (letter.sha256, letter.message, letter.name.startswith("papers-")) == ("", "found no tokens", True)
    assert (file.suffix, file.read_bytes(), value_of(file)) == (suffix, content, value)
    assert letter.item is not None
    assert (letter.item.resume_at, letter.attempts, letter.definition) == ("embed", 2, "d1")
    await desk.open_folder()
    assert len(list(letters(desk.inbox / "failed"))) == 1


async def test_an_item_takes_the_file_along_that_it_speaks_of(desk: Desk) -> None:
    upload = desk.base / "upload.pdf"
    upload.write_bytes(b"%PDF")
    await desk.write(DocumentRequest(File(upload, "b.pdf", "ab", 4, 0)), Unprocessable("no"), resume_at="parse")
    upload.unlink()
    ((file, letter),) = letters(desk.inbox / "failed")
    assert value_of(file).file.path.read_bytes() == b"%PDF"
    remove(file, letter)
    assert [path.name for path in (desk.inbox / "failed").iterdir()] == [NO_INPUT]


async def test_what_cannot_be_kept_is_shown_and_says_so(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.write(object(), Unprocessable("no"), resume_at="embed")
    ((file, letter),) = letters(desk.inbox / "failed")
    assert letter.item is not None
    assert letter.item.problem.startswith("found a object, expected text")
    assert file.read_text().startswith("<object object at")
    assert "cannot be stored" in caplog.text


async def test_nobody_else_can_read_what_failed(desk: Desk) -> None:
    await desk.write("secret", Unprocessable("no"), resume_at="embed")
    await desk.fail("sub/a.pdf", "x", Unprocessable("bad"))
    failed = desk.inbox / "failed"
    modes = {path.relative_to(failed).as_posix(): path.stat().st_mode & 0o777 for path in failed.rglob("*")}
    ours = {name: mode for name, mode in modes.items() if name.startswith("papers-") or name.endswith("error.json")}
    assert len(ours) == 3
    assert set(ours.values()) == {0o600}
    assert (failed.stat().st_mode & 0o777, modes["sub"]) == (0o700, 0o700)


async def test_what_failed_under_an_older_definition_goes_back_at_the_start(desk: Desk) -> None:
    one = await desk.fail("sub/a.pdf", "one", Unprocessable("bad"))
    two = await desk.fail("b.pdf", "two", Unprocessable("bad"), "11111111aa")
    await desk.fail("b.pdf", "three", Unprocessable("bad"), "22222222bb")
    await desk.open_folder("d1")
    assert not one.path.exists()
    await desk.open_folder("d2")
    assert (one.path.read_text(), two.path.read_text()) == ("one", "three")
    assert [file.read_text() for file, _ in letters(desk.inbox / "failed")] == ["two"], "its name is taken"
    one.path.unlink()
    two.path.unlink()
    await desk.open_folder("d2")
    assert two.path.read_text() == "two"


async def test_nothing_goes_back_to_an_inbox_that_is_not_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.folder = Folder(Path("failed"))
    await desk.open()
    file = await desk.fail("a.pdf", "x", Unprocessable("bad"))
    desk.inbox.rename(tmp_path / "unmounted")
    await desk.open_folder("d2")
    assert (desk.inbox.exists(), (tmp_path / "failed/a.pdf").read_text()) == (False, "x")
    assert not file.path.exists()
    await desk.sink.close()
