from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

import fastembed
from fastembed.guards import ShadowedError, check_installation

ROOT = Path(__file__).parents[3]


def test_this_installation_is_whole():
    check_installation()


def test_the_other_project_of_this_name_is_refused():
    name = importlib.metadata.distribution("pytest").name
    with pytest.raises(ShadowedError, match=f"found the distribution {name} .* pip uninstall {name}"):
        check_installation(rival=name)


def test_a_package_whose_init_file_left_with_the_other_project_is_refused(monkeypatch):
    monkeypatch.delattr(fastembed, "__file__")
    with pytest.raises(ShadowedError, match=r"without its __init__\.py.* --force-reinstall --no-deps"):
        check_installation(rival="no-such-distribution")


def test_names_of_the_other_project_say_which_one_has_them():
    with pytest.raises(ImportError, match="found fastembed-multimodal, which has no TextEmbedding"):
        from fastembed import TextEmbedding  # noqa: F401


def test_the_package_is_this_checkouts():
    assert Path(sys.modules["fastembed"].__file__ or "").parent == ROOT / "fastembed"
