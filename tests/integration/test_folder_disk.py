"""Looking at real folders, and what the watch tells."""

import asyncio
import os
from pathlib import Path

import pytest

from fastembed.sources.watching import hints as hints_module
from fastembed.sources.watching.disk import SeenFile, Unseeable, Unwanted, digest, glance, identity, look, stamp_of
from fastembed.sources.watching.hints import Hints
from fastembed.sources.watching.pattern import any_of, matcher


def names(root: Path, match: str = "**/*", ignore: tuple[str, ...] = (), below: str = "") -> list[str]:
    found = look(root, below, matcher(match), any_of(ignore))
    return [file.name for file in found if not isinstance(file, Unwanted)]


def fill(root: Path, *files: str) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_a_listing_has_every_wanted_file(tmp_path: Path) -> None:
    fill(tmp_path, "a.md", "x/b.md", "x/y/c.md", "x/d.txt", ".e.md", "x/.git/f.md", "out/g.md")
    assert sorted(names(tmp_path, "**/*.md", ("out/**",))) == ["a.md", "x/b.md", "x/y/c.md"]
    assert names(tmp_path, below="x/y") == ["x/y/c.md"]


def test_files_of_other_kinds_are_named_and_what_systems_leave_is_not(tmp_path: Path) -> None:
    fill(
        tmp_path, "a.md", "b.xyz", "x/c", "out/d.xyz", ".DS_Store", "Thumbs.db", "~$a.docx", "e.pdf.crdownload", "f.tmp"
    )
    found = list(look(tmp_path, "", matcher("**/*.md"), any_of(("out/**",))))
    assert [file.name for file in found if isinstance(file, Unwanted)] == ["b.xyz", "x/c"]


def test_a_missing_root_is_told_from_a_missing_folder_in_it(tmp_path: Path) -> None:
    assert names(tmp_path, below="gone") == []
    with pytest.raises(FileNotFoundError):
        names(tmp_path / "gone")
    assert identity(tmp_path / "gone") is None


def test_special_files_and_links_that_lead_out_are_no_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(root, "a")
    fill(tmp_path, "root2/secret")
    os.mkfifo(root / "pipe")
    (root / "out").symlink_to(tmp_path / "root2/secret")  # a folder whose name only begins like the root's
    (root / "in").symlink_to(root / "a")
    (root / "broken").symlink_to(root / "nothing")
    (root / "circle").symlink_to(root / "circle")
    assert sorted(names(root)) == ["a", "in"]


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_text("x")
    assert list(look(tmp_path, "", matcher("**/*"), any_of([]))) == [
        Unseeable("caf\\xe9", "its name is not valid UTF-8: rename it", folder=False)
    ]


def test_a_glance_has_the_stamp_that_a_digest_confirms(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    file = glance(tmp_path, "a")
    assert isinstance(file, SeenFile)
    assert digest(tmp_path / "a") == (
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        file.stamp,
    )
    assert file.stamp == stamp_of((tmp_path / "a").stat())
    assert glance(tmp_path, "gone") is None
    assert glance(tmp_path, "a/below a file") is None


def test_an_old_time_does_not_make_a_new_file_quiet(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    os.utime(tmp_path / "a", (0, 0))
    file = glance(tmp_path, "a")
    assert isinstance(file, SeenFile)
    assert file.quiet_s < 60


async def collected(hints: Hints, woken: asyncio.Event, wanted: set[str]) -> None:
    found: set[str] = set()
    async with asyncio.timeout(10):
        while not wanted <= found:
            await woken.wait()
            woken.clear()
            found |= hints.take()[0]


async def test_a_watch_names_what_changed_once_it_has_started(tmp_path: Path) -> None:
    woken = asyncio.Event()
    hints = Hints(tmp_path, woken.set)
    await asyncio.wait_for(hints.started.wait(), 10)
    fill(tmp_path, "a", "x/b")
    await collected(hints, woken, {"a", "x"})
    await hints.close()
    assert not hints.broken


async def test_too_many_changes_ask_for_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "MAX_PENDING", 10)
    woken = asyncio.Event()
    hints = Hints(tmp_path, woken.set)
    await asyncio.wait_for(hints.started.wait(), 10)
    fill(tmp_path, *(str(i) for i in range(50)))
    async with asyncio.timeout(10):
        everything = False
        while not everything:
            await woken.wait()
            woken.clear()
            _, _, everything = hints.take()
    await hints.close()


async def test_a_removed_root_breaks_the_watch(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    woken = asyncio.Event()
    hints = Hints(root, woken.set)
    await asyncio.wait_for(hints.started.wait(), 10)
    await asyncio.to_thread(root.rmdir)
    await asyncio.wait_for(woken.wait(), 10)
    assert hints.broken
    await hints.close()


async def test_a_folder_below_that_may_not_be_read_does_not_end_the_watch(
    mortal_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(mortal_base, "locked/a")
    (mortal_base / "locked").chmod(0)
    woken = asyncio.Event()
    hints = Hints(mortal_base, woken.set)
    await asyncio.wait_for(hints.started.wait(), 10)
    fill(mortal_base, "b")
    await collected(hints, woken, {"b"})
    (mortal_base / "locked").chmod(0o755)
    await hints.close()
    assert "is watched in part, other changes are found by scans" in caplog.text


async def test_a_folder_that_cannot_be_watched_is_told_and_starts_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hints = Hints(tmp_path / "gone", lambda: None)
    await asyncio.wait_for(hints.started.wait(), 10)
    await hints.close()
    assert "cannot be watched, changes are found by scans only" in caplog.text
