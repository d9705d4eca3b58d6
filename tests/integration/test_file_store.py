"""Uploaded files on a real disk: kept whole or not at all, each its owner's alone, gone when they expire."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fastembed.pipeline.errors import NotFound, TooLarge
from fastembed.server.files import store as store_module
from fastembed.server.files.record import StoredFile
from fastembed.server.files.store import FileStore

ME, OTHER = "a" * 32, "b" * 32
DAY_S = 86_400


class Clock:
    """Unix seconds that a test moves on; every look at it is a little later."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> FileStore:
    return FileStore(tmp_path / "files", clock=clock)


def put(
    store: FileStore, data: bytes = b"hello", *, owner: str = ME, purpose: str = "user_data", **options
) -> StoredFile:
    with closing(store.receive(owner, declared=len(data))) as incoming:
        incoming.write(data)
        return incoming.keep(name=options.pop("name", "a.txt"), purpose=purpose, **options)


def on_disk(store: FileStore) -> Iterator[str]:
    yield from sorted(path.name for path in store.folder.rglob("*") if path.is_file())


def test_a_file_is_there_after_a_restart_as_it_was_sent(store: FileStore) -> None:
    sent = put(store, b"\x00\xff" * 1000, name="b.bin")
    again = FileStore(store.folder, clock=store.clock)
    assert again.find(ME, sent.id) == sent
    assert again.read(ME, sent.id, most_bytes=2000) == (sent, b"\x00\xff" * 1000)
    assert (sent.name, sent.purpose, sent.size_bytes, sent.expires_at) == ("b.bin", "user_data", 2000, None)


def test_nobody_but_its_owner_may_read_it_on_the_disk(store: FileStore) -> None:
    put(store)
    folder = store.folder / ME
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.suffix != ".json")


def test_a_file_on_its_way_in_is_not_there_and_leaves_nothing(store: FileStore) -> None:
    with closing(store.receive(ME)) as incoming:
        incoming.write(b"half")
        assert store.page(ME) == ([], False)
        assert len(list(on_disk(store))) == 1
    assert list(on_disk(store)) == []


def test_another_owner_has_no_such_file(store: FileStore) -> None:
    sent = put(store)
    assert store.page(OTHER) == ([], False)
    for use in (store.find, store.open, store.delete):
        with pytest.raises(NotFound, match=r"found no file 'file-.*', expected the id of one of yours"):
            use(OTHER, sent.id)
    assert store.find(ME, sent.id) == sent


@pytest.mark.parametrize("id_", ["", "..", "file-1", "../" + OTHER + "/file-" + "0" * 32, "file-" + "0" * 32])
def test_what_is_no_id_of_a_file_is_not_found(store: FileStore, id_: str) -> None:
    put(store, owner=OTHER)
    with pytest.raises(NotFound) as caught:
        store.find(ME, id_, param="x")
    assert (caught.value.param, caught.value.code) == ("x", "file_not_found")


def test_pages_follow_each_other_even_where_a_file_has_gone_between(store: FileStore) -> None:
    sent = [put(store) for _ in range(5)]
    first, more = store.page(ME, limit=2)
    assert (first, more) == (sent[:2:-1], True)
    store.delete(ME, first[-1].id)
    second, more = store.page(ME, limit=2, after=first[-1].id)
    assert (second, more) == ([sent[2], sent[1]], True)
    assert store.page(ME, limit=2, after=sent[1].id) == ([sent[0]], False)
    assert store.page(ME, oldest_first=True, after=sent[1].id) == ([sent[2], sent[4]], False)


def test_a_page_can_be_of_one_purpose(store: FileStore) -> None:
    seen, _ = put(store, purpose="vision"), put(store, purpose="batch")
    assert store.page(ME, purpose="vision", limit=1) == ([seen], False)


def test_an_expired_file_is_gone_from_that_second_on_and_then_from_the_disk(store: FileStore, clock: Clock) -> None:
    stays, goes = put(store), put(store, expires_after_s=3600)
    assert goes.expires_at == goes.created_at + 3600
    assert store.sweep() == 0
    clock.now_s = float(goes.expires_at or 0)
    assert store.page(ME) == ([stays], False)
    with pytest.raises(NotFound):
        store.find(ME, goes.id)
    assert store.sweep() == 1
    assert list(on_disk(store)) == [stays.id, f"{stays.id}.json"]


def test_sweeping_takes_what_a_crash_left_but_not_what_is_on_its_way(store: FileStore, clock: Clock) -> None:
    kept = put(store)
    folder = store.folder / ME
    for name in ("file-" + "0" * 32, "file-" + "0" * 32 + ".part", ".file-x.json.part"):
        (folder / name).write_bytes(b"left")
        os.utime(folder / name, (clock.now_s - DAY_S,) * 2)
    fresh = folder / ("file-" + "1" * 32 + ".part")
    fresh.write_bytes(b"coming")
    os.utime(fresh, (clock.now_s,) * 2)
    store.sweep()
    assert set(on_disk(store)) == {kept.id, f"{kept.id}.json", fresh.name}


def test_a_record_that_cannot_be_read_costs_only_its_file(store: FileStore) -> None:
    broken, good = put(store), put(store)
    (store.folder / ME / f"{broken.id}.json").write_text("{")
    assert store.page(ME) == ([good], False)
    assert store.sweep() == 0


def test_all_files_together_have_a_limit_and_deleting_makes_room(tmp_path: Path, clock: Clock) -> None:
    store = FileStore(tmp_path, most_bytes=10, clock=clock)
    first = put(store, b"123456", owner=OTHER)
    with pytest.raises(
        TooLarge, match=r"found 5 bytes more beside 6 that are stored, expected at most 10 in all"
    ) as caught:
        put(store, b"12345")
    assert (caught.value.status, caught.value.code, caught.value.param) == (413, "storage_limit_exceeded", "file")
    assert "DELETE /v1/files/ID" in caught.value.message
    store.delete(OTHER, first.id)
    assert put(store, b"12345").size_bytes == 5


def test_uploads_under_way_share_the_room(tmp_path: Path, clock: Clock) -> None:
    store = FileStore(tmp_path, most_bytes=10, clock=clock)
    with closing(store.receive(ME, declared=8)), pytest.raises(TooLarge):
        store.receive(ME, declared=3)
    with closing(store.receive(ME)) as unknown:
        unknown.write(b"x" * 10)
        with pytest.raises(TooLarge, match="found 11 bytes or more"):
            unknown.write(b"x")
    assert put(store, b"x" * 10).size_bytes == 10


def test_one_file_has_a_limit(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_FILE_BYTES", 4)
    with pytest.raises(TooLarge, match="found a file of more than 4 bytes, expected at most that"):
        put(store, b"12345")
    assert list(on_disk(store)) == []


def test_there_is_a_limit_to_how_many(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_FILES", 2)
    put(store)
    put(store, owner=OTHER)
    with pytest.raises(TooLarge, match="found 2 stored files, expected fewer than 2"):
        put(store)


def test_a_file_larger_than_its_reader_takes_is_not_read(store: FileStore) -> None:
    sent = put(store, b"12345", name="big.png")
    with pytest.raises(TooLarge, match=r"found the file big.png of 5 bytes, expected at most 4 here"):
        store.read(ME, sent.id, most_bytes=4)


def test_who_reads_a_file_reads_it_to_its_end(store: FileStore) -> None:
    sent = put(store, b"12345")
    _, file = store.open(ME, sent.id)
    with file:
        store.delete(ME, sent.id)
        assert file.read() == b"12345"
    assert list(on_disk(store)) == []


def test_a_full_disk_is_told_to_the_caller_and_another_failure_is_not() -> None:
    check: Callable[[OSError, Path, int], None] = store_module.check_disk
    with pytest.raises(TooLarge, match=r"^disk full: [\d.,]+ MB free, this upload needs 40 MB$") as caught:
        check(OSError(errno.ENOSPC, "No space left on device"), Path(), 40_000_000)
    assert caught.value.code == "storage_limit_exceeded"
    check(OSError(errno.EIO, "Input/output error"), Path(), 1)


WRITER = """
import hashlib, sys
from contextlib import closing
from pathlib import Path
from fastembed.server.files.store import FileStore
store = FileStore(Path(sys.argv[1]))
for number in range(10_000):
    data = str(number).encode() * 20_000
    with closing(store.receive("a" * 32)) as incoming:
        incoming.write(data)
        kept = incoming.keep(name=hashlib.sha256(data).hexdigest(), purpose="user_data")
    print(kept.id, flush=True)
"""


def test_killed_at_any_moment_every_file_is_whole_and_none_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    for lines in (1, 2, 3, 5, 8, 13):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
        store = FileStore(tmp_path)
        found, _ = store.page(ME)
        assert {id_ for id_ in said if len(id_) == 37} <= {file.id for file in found}
        for file in found:
            assert hashlib.sha256(store.read(ME, file.id, most_bytes=2**20)[1]).hexdigest() == file.name
