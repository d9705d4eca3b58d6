"""What lies in the models folder, and that nothing else is ever deleted."""

import pytest

from fastembed.inference.library.hub.checks import amount
from fastembed.inference.library.hub.model_store import NotOurs, delete, size_of, stored_models


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def made(folder):
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "openvino_model.bin").write_bytes(b"x" * 900)
    (folder / "1_Pooling" / "config.json").write_bytes(b"y" * 100)
    return folder


def test_models_are_listed_by_the_name_that_finds_them(home):
    made(home / "acme" / "mine")
    made(home / "acme" / "mine@v1")
    made(home / "exported")
    made(home / "acme" / ".theirs.partial")
    (home / "empty").mkdir()
    assert [(model.name, model.complete) for model in stored_models()] == [
        ("acme/mine", True),
        ("acme/mine@v1", True),
        ("acme/theirs", False),
        ("exported", True),
    ]


def test_without_a_models_folder_there_is_nothing():
    assert stored_models() == []


def test_a_model_goes_with_its_unfinished_download_and_the_owners_empty_folder(home):
    folder = made(home / "acme" / "mine")
    made(home / "acme" / ".mine.partial")
    (home / "acme" / ".mine.lock").touch()
    kept = made(home / "exported")
    assert size_of(folder) == 1000
    delete(folder)
    assert list(home.iterdir()) == [kept]


@pytest.mark.parametrize("path", ["..", "../other", "acme/../../other", "."])
def test_nothing_outside_the_models_folder_is_deleted(home, path, tmp_path):
    home.mkdir()
    other = made(tmp_path / "other")
    with pytest.raises(NotOurs, match=r"expected a folder within .*: nothing else is deleted"):
        delete(home / path)
    assert size_of(other) == 1000


def test_a_folder_behind_a_link_is_not_ours(home, tmp_path):
    other = made(tmp_path / "other" / "mine")
    home.mkdir()
    (home / "acme").symlink_to(tmp_path / "other")
    with pytest.raises(NotOurs):
        delete(home / "acme" / "mine")
    (home / "linked").symlink_to(other)
    delete(home / "linked")
    assert not (home / "linked").is_symlink()
    assert size_of(other) == 1000


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (24_200_000, "24.2 MB"), (268_435_456, "268 MB"), (4.3e9, "4.3 GB")],
)
def test_amounts_are_readable(size, text):
    assert amount(size) == text
