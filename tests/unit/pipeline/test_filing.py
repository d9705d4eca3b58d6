import errno
import hashlib
from pathlib import Path

import pytest

from fastembed.pipeline.filing import destination, move, sha256_of, write


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_free_name_is_taken_as_it_is(tmp_path: Path) -> None:
    assert destination(tmp_path, "sub/a.tar.gz", sha("one")) == tmp_path / "sub/a.tar.gz"


def test_the_same_bytes_are_the_same_file_and_others_keep_the_name(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("one")
    assert destination(tmp_path, "a.pdf", sha("one")) == tmp_path / "a.pdf"
    assert destination(tmp_path, "a.pdf", sha("two")) == tmp_path / f"a.{sha('two')[:8]}.pdf"


def test_a_file_is_moved_into_folders_that_are_made(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    move(tmp_path / "a", tmp_path / "x/y/b")
    assert ((tmp_path / "x/y/b").read_text(), (tmp_path / "a").exists()) == ("one", False)


def test_a_file_is_moved_to_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("one")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "a":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)  # the operating system's answer, which one disk cannot give
    move(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "one"


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "x/a", b"one")
    write(tmp_path / "x/a", b"two")
    assert {path.name: path.read_bytes() for path in (tmp_path / "x").iterdir()} == {"a": b"two"}


def test_a_digest_is_of_all_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one" * 1_000_000)
    assert sha256_of(tmp_path / "a") == sha("one" * 1_000_000)
