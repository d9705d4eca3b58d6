"""One look at the folders of models, remembered until one of them changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.disk_look import CHECK_S, DiskLook
from fastembed.inference.library.hub.known import find_known
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.errors import ModelNotFound

LONG_AGO = 1_000_000_000


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def tick(self) -> None:
        self.now_s += 2 * CHECK_S


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every look at the disk, by the path."""
    seen: list[str] = []

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def look(path: object = ".", **options: object) -> object:
            seen.append(str(path))
            return call(path, **options)

        return look

    for name in ("stat", "listdir", "scandir"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return seen


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("openvino_encoder_model.xml", "openvino_decoder_model.xml"):
        (folder / name).touch()
    return folder


def settle(*folders: Path) -> None:
    """Make the folders look as if nothing had changed in them for long."""
    for folder in folders:
        os.utime(folder, ns=(LONG_AGO, LONG_AGO))


def whisper(clock: Clock, base: Path, **declared: object) -> Catalog:
    specs, _ = read_sections({"models": declared})
    return Catalog(specs, base=base, look=DiskLook(clock=clock))


def test_partials_of_speech_cost_no_look_at_the_disk(home: Path, looks: list[str]) -> None:
    engines = SpeechEngines(Models())
    first = engines.resolve("auto", "whisper-base")
    looks.clear()
    assert all(engines.resolve("auto", "whisper-base") is first for _ in range(50))
    del home
    assert len(looks) <= 2 * 20  # at most the checks of one second or two, a stat a folder


def test_nothing_is_read_again_while_no_folder_changes(home: Path, tmp_path: Path, looks: list[str]) -> None:
    clock = Clock()
    settle(model(home / "whisper-tiny"), home)
    catalog = whisper(clock, tmp_path)
    catalog.placed()
    looks.clear()
    catalog.placed()
    assert looks == []
    clock.tick()
    catalog.placed()
    assert 0 < len(looks) == len(set(looks))


def test_a_model_that_is_pulled_is_there_at_the_next_check(home: Path, tmp_path: Path) -> None:
    clock = Clock()
    catalog = whisper(clock, tmp_path)
    before = catalog.place("auto", "transcription").name
    known = find_known("whisper-tiny")
    assert known is not None
    assert known.repository is not None
    pulled = model(home / known.repository)
    clock.tick()
    assert (before, catalog.place("auto", "transcription").folder) == ("whisper-base", pulled)


def test_a_model_that_was_missing_is_looked_for_at_once(home: Path, tmp_path: Path) -> None:
    catalog = whisper(Clock(), tmp_path, mine={"task": "transcription", "from": "deep/mine"})
    with pytest.raises(ModelNotFound):
        catalog.place("mine", "transcription")
    made = model(tmp_path / "deep" / "mine")
    assert catalog.place("mine", "transcription").folder == made
    del home


def test_a_model_that_is_deleted_is_gone_at_the_next_check(home: Path, tmp_path: Path) -> None:
    clock = Clock()
    settle(model(home / "whisper-tiny"), home)
    catalog = whisper(clock, tmp_path)
    assert catalog.place("auto", "transcription").name == "whisper-tiny"
    shutil.rmtree(home / "whisper-tiny")
    clock.tick()
    assert catalog.place("auto", "transcription").name == "whisper-base"


def test_a_folder_that_has_just_changed_is_not_trusted(tmp_path: Path) -> None:
    clock = Clock()
    look = DiskLook(clock=clock)
    asked = []
    for _ in range(2):
        look.once("question", lambda: asked.append(1), lambda: [tmp_path / "not-there"])
        clock.tick()
    assert len(asked) == 2  # its clock's grain may hide a second change
