"""A payload as a file and back: whatever flows through a pipeline, with its types."""

from __future__ import annotations

import threading
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fastembed.pipeline.payload.audio import AudioBytes, SpeechFile, SpeechSettings, Utterance
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, ImagePart, Message, TextPart, Tool
from fastembed.pipeline.payload.document import Chunk, Document, DocumentRequest, File
from fastembed.pipeline.payload.stored import BYTES, JSON, TEXT, CannotStore, can_store, load, store

FILE = File(Path("/inbox/a.pdf"), "a.pdf", "ab", 3, 12)
DOCUMENT = Document(FILE, "A", "# A", "{}", (), 1, "pdf")


class Colour(StrEnum):
    RED = "red"


class Order(BaseModel):
    number: int
    due: date


Point = namedtuple("Point", "x y")  # noqa: PYI024 - what plug-ins of others may have


@dataclass(frozen=True)
class Reading:
    at: datetime
    values: Mapping[int, float]
    colour: Colour = Colour.RED


def same(one: Any, other: Any) -> bool:
    """Whether two payloads are equal, arrays included, whose dataclasses compare by identity."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    ("value", "suffix"),
    [
        ("Grüße\n", TEXT),
        ("a\udcff.pdf", TEXT),
        (b"\x00\xff", BYTES),
        ({"a": [1, 2.5, None, True, "x"]}, JSON),
        ({"$bytes": "a user's own"}, JSON),
        ({1: "one", (2, 3): b"two"}, JSON),
        ([float("inf"), 2**70, -(2**63)], JSON),
        ((1, {"a", "b"}, frozenset({1})), JSON),
        ({"name": "b\udcff.pdf", "path": Path("c\udcff")}, JSON),
        (Reading(datetime(2026, 3, 5, 7, 0, tzinfo=UTC), {1: 2.5}), JSON),
        (timedelta(seconds=1.5), JSON),
        (Order(number=3, due=date(2026, 3, 5)), JSON),
        (Point(1, "b"), JSON),
        (Colour.RED, JSON),
        (np.arange(6, dtype=np.float32).reshape(2, 3), JSON),
        (np.zeros((0, 4), np.uint8), JSON),
        (AudioBytes(b"\x01\x02", sniff=True), JSON),
        (SpeechFile(b"RIFF", SpeechSettings(turn_detection=None)), JSON),
        (Utterance("u", np.ones(3, np.float32), 0, 10, final=True, settings=SpeechSettings()), JSON),
        (DOCUMENT, JSON),
        (DocumentRequest(FILE, "granite", html=True), JSON),
        (Chunk(DOCUMENT, 0, "text", (), (1, 1), 2, "text", np.ones(4, np.float32)), JSON),
        (
            ChatRequest(
                (
                    Message(
                        "user", (TextPart("hi"), ImagePart(np.zeros((2, 2, 3), np.uint8)), AudioPart(np.ones(2, "f")))
                    ),
                ),
                tools=(Tool("weather", parameters={"type": "object"}),),
            ),
            JSON,
        ),
    ],
)
def test_a_value_comes_back_with_its_types(value, suffix):
    kind, content = store(value)
    assert kind == suffix
    assert same(load(kind, content), value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_any_json_comes_back(value):
    assert load(*store(value)) == value


def test_a_file_takes_its_bytes_along(tmp_path):
    path = tmp_path / "upload.pdf"
    path.write_bytes(b"%PDF")
    kept = tmp_path / "kept"
    kept.mkdir()

    def attach(of: Path) -> str:
        (kept / "0.pdf").write_bytes(of.read_bytes())
        return "0.pdf"

    content = store(DocumentRequest(File(path, "b.pdf", "ab", 4, 0)), attach)
    path.unlink()
    back = load(*content, folder=kept)
    assert (back.file.path.read_bytes(), back.file.name) == (b"%PDF", "b.pdf")


def _endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (object(), "found a object"),
        ([threading.Lock()], "found a lock"),
        ((number for number in range(3)), "found a generator"),
        (np.array([object()]), "an array of objects"),
        (_endless(), "contains itself"),
    ],
)
def test_what_no_file_can_hold_is_named(value, found):
    with pytest.raises(CannotStore, match=found):
        store(value)


@pytest.mark.parametrize(
    "content",
    [
        b'{"$type": ["os:system", {"command": "id"}]}',
        b'{"$type": ["subprocess:Popen", {"args": "id"}]}',
        b'{"$model": ["pathlib:Path", {}]}',
        b'{"$type": ["fastembed.pipeline.payload.chat:Gone", {}]}',
        b'{"$type": ["_fastembed_plugin_gone_0:Order", {}]}',
        b'{"$type": ["fastembed.pipeline.payload.chat:TextPart", {"words": 1}]}',
        b'{"$unknown": 1}',
        b"{",
    ],
)
def test_a_file_makes_nothing_but_payloads(content):
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's own for what is no JSON
        load(JSON, content)


@pytest.mark.parametrize(
    ("annotation", "held"),
    [
        (str, True),
        (bytes | None, True),
        (dict[str, Any], True),
        (Mapping[str, int], True),
        (Any, True),
        (ChatRequest, True),
        (Order | Point, True),
        (np.ndarray, True),
        (threading.Thread, False),
        (str | threading.Thread, False),
    ],
)
def test_a_type_says_whether_its_values_can_be_held(annotation, held):
    assert can_store(annotation) is held
