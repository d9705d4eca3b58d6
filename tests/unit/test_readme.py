"""What README and docs say can be typed can be typed: commands exist, snippets compile, files check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from fastembed.cli import app
from fastembed.pipeline.spec import describe

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/plugins.md",
    "docs/components.md",
    "docs/development.md",
    "docs/operations.md",
    "bench/README.md",
    "models/README.md",
    "docs/models.md",
    "docs/clients.md",
)


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def code_of(page: str) -> str:
    """All that is set as code: blocks and words between backquotes."""
    text = (ROOT / page).read_text()
    return "\n".join([*re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL), *re.findall(r"`([^`]+)`", text)])


@pytest.mark.parametrize("page", PAGES)
def test_every_fastembed_command_named_exists(page: str) -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?<!from)(?:^|[\s`])fastembed ([a-z]+)", code_of(page)))
    assert named <= known


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|[\s`])make ([a-z]+)", code_of(page)))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_python_snippet_compiles(page: str) -> None:
    for number, snippet in enumerate(snippets(page, "python")):
        compile(snippet, f"{page} snippet {number}", "exec")


def test_the_readme_has_snippets_to_copy() -> None:
    assert [len(snippets("README.md", language)) for language in ("bash", "python", "yaml", "sql")] == [6, 3, 1, 1]


def test_the_operator_in_the_developers_page_is_an_operator() -> None:
    namespace: dict[str, object] = {"__name__": "docs"}
    exec(snippets("docs/development.md", "python")[0], namespace)  # noqa: S102 (our own page)
    shout = namespace["shout"]
    assert callable(shout)
    assert shout("snow", times=2) == "SNOW!!"
    assert describe(shout, "shout").options.keys() == {"times"}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_in_a_page_exists(page: str) -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:md|py|txt|toml))`", (ROOT / page).read_text())
    base = ROOT if page != "models/README.md" else ROOT / "models"
    assert [name for name in named if not (ROOT / name).exists() and not (base / name).exists()] == []


def test_the_changelog_keeps_its_form() -> None:
    sections = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
