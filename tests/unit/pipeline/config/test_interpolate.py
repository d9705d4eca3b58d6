from __future__ import annotations

from pathlib import Path

import pytest

from fastembed.pipeline.config.interpolate import InterpolationError, Interpolator, Secret

ENVIRON = {"HOST": "box", "EMPTY": "", "OPENAI_API_KEY": "sk-123456", "MONKEY": "ape", "HF_TOKEN": "hf-1"}


@pytest.fixture
def interpolate(tmp_path: Path) -> Interpolator:
    (tmp_path / "key").write_text("hunter2\n")
    (tmp_path / "image").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long").write_bytes(b"x" * 70_000)
    return Interpolator(ENVIRON, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${HOST}", "box"),
        ("http://${HOST}:80/${HOST}", "http://box:80/box"),
        ("${NONE:-x}", "x"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("${NONE:-a:b-c}", "a:b-c"),
        ("$${HOST}", "${HOST}"),
        ("$HOST $$ }", "$HOST $$ }"),
        ("${file:key}", "hunter2"),
    ],
)
def test_references_are_replaced(interpolate: Interpolator, text: str, expected: str) -> None:
    assert interpolate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NONE}", "found no environment variable NONE, expected it for ${NONE}; ${NONE:-x} gives a default"),
        ("a ${HOST", "found '${HOST' without its closing brace, expected ${VAR}; write $${ for a literal ${"),
        ("${1X}", "found '${1X}', expected ${VAR}, ${VAR:-default} or ${file:path}; write $${ for a literal ${"),
        ("${file:no}", "found no readable file no (No such file or directory), expected a file that holds the secret"),
        ("${file:image}", "found bytes that are not UTF-8 in image, expected a secret as text"),
        ("${file:long}", "found more than 65536 bytes in long, expected a secret"),
    ],
)
def test_what_cannot_be_replaced_says_why(interpolate: Interpolator, text: str, expected: str) -> None:
    with pytest.raises(InterpolationError) as caught:
        interpolate(text)
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["${file:key}", "${OPENAI_API_KEY}", "Bearer ${HF_TOKEN}"])
def test_files_and_variables_named_so_are_secrets(interpolate: Interpolator, text: str) -> None:
    found = interpolate(text)
    assert isinstance(found, Secret)
    assert found.reference == text
    assert repr(found) == "'***'"


def test_a_name_that_only_contains_a_word_is_no_secret(interpolate: Interpolator) -> None:
    assert not isinstance(interpolate("${MONKEY}"), Secret)
