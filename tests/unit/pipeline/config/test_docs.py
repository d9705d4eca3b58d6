from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastembed.pipeline.config.load import parse
from fastembed.pipeline.config.steps import RESERVED
from fastembed.pipeline.registry import Registry

TEXT = (Path(__file__).parents[4] / "docs" / "configuration.md").read_text(encoding="utf-8")
PRODUCT = Registry({"source": "fastembed.sources", "operator": "fastembed.operators", "sink": "fastembed.sinks"})


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
def test_every_file_on_the_page_is_read_with_the_components_of_the_product(tmp_path: Path, text: str) -> None:
    assert parse(text, registry=PRODUCT, base=tmp_path).pipelines


def test_the_plugin_on_the_page_is_an_operator(plugin: Path):
    spec = PRODUCT.with_plugins([plugin]).find("operator", "sign")
    assert (spec.in_type, spec.out_type, list(spec.options)) == (str, str, ["key", "length"])
    assert spec.factory("hello", key="k", length=4) == "406e"


def test_every_reserved_key_is_on_the_page():
    rows = re.findall(r"^\| `(\w+)` \|", TEXT.split("## Steps")[1].split("###")[0], re.MULTILINE)
    assert sorted(rows) == sorted(RESERVED)
