import logging
from pathlib import Path

import pytest

from fastembed.sources.watching.ignored import IgnoredFiles, reason_of


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/Letter.pages", ".pages files are not read: save it as DOCX, ODT or PDF"),
        ("all.7z", ".7z files are not read: unpack it, or pack it as ZIP"),
        ("song.xyz", ".xyz files are not taken by the pipeline's `match`"),
        ("README", "a name without a suffix is not taken by the pipeline's `match`"),
    ],
)
def test_a_reason_says_what_to_do(name, reason):
    assert reason_of(name) == reason


def test_each_file_is_logged_once_and_a_look_says_whether_anything_changed(caplog):
    caplog.set_level(logging.INFO)
    ignored = IgnoredFiles(Path("inbox"))
    ignored.begin()
    assert ignored.saw("a.xyz")
    assert ignored.end()
    assert not ignored.saw("b.xyz"), "only a look at everything lists it"
    assert ignored.saw("a.xyz")
    ignored.begin()
    ignored.saw("a.xyz")
    assert not ignored.end()
    assert caplog.text.count("a.xyz is ignored") == 1
    ignored.begin()
    assert ignored.end()
    assert ignored.reasons == {}


def test_many_files_are_counted_and_logged_in_a_line(caplog):
    caplog.set_level(logging.INFO)
    ignored = IgnoredFiles(Path("inbox"))
    ignored.begin()
    for number in range(50):
        ignored.saw(f"{number}.xyz")
    ignored.end()
    assert ignored.count == 50
    assert "30 more files are ignored" in caplog.text
