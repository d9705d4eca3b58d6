"""How a repository is named, and which folder is its own."""

import pytest

from fastembed.inference.library.hub.reference import Reference, read_reference, split_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OpenVINO/whisper-base-fp16-ov", Reference("OpenVINO/whisper-base-fp16-ov")),
        ("acme/mine@v1.2", Reference("acme/mine", "v1.2")),
        ("acme/mine@" + "c" * 40, Reference("acme/mine", "c" * 40)),
    ],
)
def test_a_hub_id_with_or_without_revision(text, expected):
    assert read_reference(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    ["", "mine", "a/b/c", "../..", "./mine", "acme/..", "acme/.hidden", "/etc/x", "a/b@", "a/b@../x", "a/b@x/y", "ä/b"],
)
def test_everything_else_is_none(text):
    assert read_reference(text) is None


def test_a_pinned_revision_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path))
    assert Reference("acme/mine").folder == tmp_path / "acme" / "mine"
    assert Reference("acme/mine", "v1").folder == tmp_path / "acme" / "mine@v1"


def test_a_known_name_may_have_a_revision():
    known, revision = split_name("whisper-base@abc")
    assert (known.name, revision) == ("whisper-base", "abc")
    assert split_name("nobody") == (None, None)
