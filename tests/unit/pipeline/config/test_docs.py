from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.steps import RESERVED
from pipeline.plan import Configuration
from pipeline.registry import Registry

TEXT = (Path(__file__).parents[4] / "docs" / "configuration.md").read_text(encoding="utf-8")
Read = Callable[..., Configuration]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return the plug-in of the page."""
    path = tmp_path / "my_operators.py"
    path.write_text(blocks("python")[0])
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("hidden-hidden")
    return path


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_file_on_the_page_is_read(read: Read, text: str) -> None:
    assert read(text).pipelines


def test_the_plugin_on_the_page_is_an_operator(registry: Registry, plugin: Path):
    spec = registry.with_plugins([plugin]).find("operator", "sign")
    assert (spec.in_type, spec.out_type, list(spec.options)) == (str, str, ["key", "length"])
    assert spec.factory("hello", key="k", length=4) == "406e"


def test_every_reserved_key_is_on_the_page():
    rows = re.findall(r"^\| `(\w+)` \|", TEXT.split("## Steps")[1].split("###")[0], re.MULTILINE)
    assert sorted(rows) == sorted(RESERVED)
