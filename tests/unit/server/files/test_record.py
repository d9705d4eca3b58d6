"""Ids sort as files come and lead nowhere else; names are for showing."""

from __future__ import annotations

import pytest

from fastembed.server.files.record import MAX_NAME_CHARS, clean_name, is_id, new_id


def test_ids_sort_as_their_files_came_and_are_not_guessed() -> None:
    ids = [new_id(now_s) for now_s in (1_700_000_000.0, 1_700_000_000.001, 1_900_000_000.0)]
    assert ids == sorted(ids)
    assert all(map(is_id, ids))
    assert new_id(1.0) != new_id(1.0)


@pytest.mark.parametrize(
    "text", ["", "file-", "file-../../etc/passwd", "file-" + "g" * 32, "file-" + "a" * 33, "file-" + "a" * 32 + "\n"]
)
def test_what_is_no_id_never_becomes_a_path(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\Bericht 1.docx", "Bericht 1.docx"),
        ("été ☀ 夏.txt", "été ☀ 夏.txt"),
        ('a"b\r\nset-cookie: x.txt', "a_b__set-cookie_ x.txt"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("\x1b[2J.txt", "_[2J.txt"),
        ("\udc80.txt", "_.txt"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300 + ".pdf", "x" * (MAX_NAME_CHARS - 4) + ".pdf"),
        ("x." + "y" * 300, ("x." + "y" * 300)[:MAX_NAME_CHARS]),
    ],
)
def test_a_name_is_shown_without_its_folders_and_tricks(sent: str, shown: str) -> None:
    assert clean_name(sent) == shown
