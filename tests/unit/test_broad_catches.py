"""Catching everything is for boundaries: each place says which on its line, and only `Exception` may end there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("fastembed", "server", "sources", "operators", "sinks", "documents", "inference", "pipeline")
REASON = re.compile(r":\s+# (?:noqa: BLE001 - )?(?P<reason>\w.{14,})")


def handlers(broad: str) -> Iterator[tuple[str, ast.ExceptHandler, str]]:
    """Yield place, handler and source line of everything that catches `broad` by name."""
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            if floor == "fastembed" and (ROOT / floor / path.relative_to(ROOT / floor).parts[0]).is_symlink():
                continue
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == broad:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, text.splitlines()[node.lineno - 1]


@pytest.mark.parametrize("broad", ["Exception", "RAISED", "BaseException"])
def test_whoever_catches_everything_says_why_on_that_line(broad):
    assert [place for place, _, line in handlers(broad) if not REASON.search(line)] == []


def test_what_cancels_and_interrupts_is_raised_again_or_handed_to_another_thread():
    quiet = [
        place
        for place, handler, line in handlers("BaseException")
        if not any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
        and "raised again" not in line
    ]
    assert quiet == []
