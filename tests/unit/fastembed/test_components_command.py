"""`fastembed components` and `fastembed new`: all parts, each with its options; an example that checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastembed.assembly import lint_configuration, make_registry
from fastembed.commands.components import EXAMPLES, components, described, example_of, markdown_list, new

REGISTRY = make_registry()
SPECS = [spec for role in ("source", "operator", "sink") for spec in REGISTRY.all(role)]


def test_every_part_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert components(None, None) == 0
    shown = capsys.readouterr().out
    assert all(f"  {spec.name} " in shown for spec in SPECS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.role} {spec.name}")
def test_everything_about_a_part_is_said(spec) -> None:
    shown = described(spec)
    assert shown.startswith(f"{spec.name} ({spec.role})\n")
    assert all(f"\n  {name}: " in shown for name in spec.options)
    assert "Args:" not in shown


def test_one_name_in_two_roles_is_shown_twice_and_an_unknown_one_has_its_neighbour(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert components(None, "jsonl") == 0
    shown = capsys.readouterr().out
    assert "jsonl (source)" in shown
    assert "jsonl (sink)" in shown
    assert components(None, "tabel") == 2
    assert "did you mean 'table'?" in capsys.readouterr().err


def test_a_plugin_of_the_file_is_shown_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ops.py").write_text(
        "from fastembed.pipeline.component import operator\n\n\n@operator\n"
        "def shout(text: str, *, loud: int = 3) -> str:\n"
        '    """Shout.\n\n    Args:\n        loud: how loud.\n    """\n    return text.upper()\n'
    )
    config = tmp_path / "pipelines.yaml"
    config.write_text(
        "version: 1\nplugins: [ops.py]\npipelines:\n  p: {source: {http: POST /p}, operators: [shout], sink: reply}\n"
    )
    assert components(config, "shout") == 0
    assert "loud: int, default 3\n      how loud." in capsys.readouterr().out


def test_examples_show_the_line_that_uses_a_part() -> None:
    assert example_of(REGISTRY.find("sink", "table")) == "sink: {table: tickets.duckdb, name: tickets}"
    assert example_of(REGISTRY.find("operator", "rows")) == "- rows"
    assert example_of(REGISTRY.find("sink", "webhook")) == ""


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
def test_a_new_file_is_an_example_that_checks(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "pipelines.yaml"
    assert new(name, target) == 0
    assert lint_configuration(target).errors == ()
    assert new(name, target) == 1
    assert "File exists" in capsys.readouterr().err
    assert new("chta", target) == 2
    assert "did you mean 'chat'?" in capsys.readouterr().err


def test_the_page_lists_what_ships() -> None:
    page = (Path(__file__).parents[3] / "docs" / "components.md").read_text()
    assert markdown_list(REGISTRY) in page, "`fastembed components --markdown` prints the table of docs/components.md"
