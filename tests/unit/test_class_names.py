"""A class name means one thing in the whole product."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ("fastembed", "server", "sources", "operators", "sinks", "documents", "inference", "pipeline")

# A component's class gives its name in pipelines.yaml: a source and a sink are called `folder` there, and `jsonl`; the
# sink `reply` sends with what plug-ins know as `Reply`.
SHARED = {"Folder": 2, "Jsonl": 2, "Reply": 2}


def class_names() -> dict[str, list[str]]:
    """Return the product's class names, and where each is defined."""
    found = defaultdict(list)
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            if floor == "fastembed" and (ROOT / floor / path.relative_to(ROOT / floor).parts[0]).is_symlink():
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_no_further_class_shares_its_name_with_another():
    shared = {name: places for name, places in class_names().items() if len(places) > SHARED.get(name, 1)}
    assert shared == {}, "give each its noun: Entry becomes LedgerEntry"
