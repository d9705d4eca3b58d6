from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from fastembed.guards import HOME, ShadowedError, check_installation


def test_this_installation_is_whole():
    check_installation()


def test_a_package_of_the_same_name_elsewhere_is_named(tmp_path, monkeypatch):
    (tmp_path / "shadowed_floor").mkdir()
    (tmp_path / "shadowed_floor" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ShadowedError) as caught:
        check_installation(["shadowed_floor"])
    found, expected = tmp_path / "shadowed_floor", HOME / "shadowed_floor"
    assert f"found the package shadowed_floor in {found}, expected {expected}" in str(caught.value)


def test_a_module_of_the_same_name_is_named(tmp_path, monkeypatch):
    (tmp_path / "shadowed_file.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ShadowedError, match=r"shadowed_file\.py"):
        check_installation(["shadowed_file"])


def test_a_floor_that_is_missing_is_named():
    with pytest.raises(ShadowedError, match="found the package no_such_floor in nowhere"):
        check_installation(["no_such_floor"])


def test_the_other_project_of_this_name_is_refused():
    name = importlib.metadata.distribution("pytest").name
    with pytest.raises(ShadowedError, match=f"found the distribution {name} .* pip uninstall {name}"):
        check_installation([], rival=name)


def test_the_guards_import_nothing_heavy():
    assert Path(sys.modules["fastembed"].__file__ or "").parent == HOME / "fastembed"
