"""A class name means one thing in the whole product."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ("fastembed", "server", "sources", "operators", "sinks", "documents", "inference", "pipeline")

# Names that still mean more than one thing, and how many. A name that has its noun leaves this list; none joins it.
SHARED = {
    "Answer": 2,
    "Asked": 2,
    "Block": 2,
    "Entry": 3,
    "Folder": 2,
    "Form": 3,
    "Kind": 2,
    "Limits": 2,
    "Part": 2,
    "Piece": 2,
    "Reply": 2,
    "Row": 2,
    "Rule": 2,
    "Settings": 2,
    "Source": 2,
    "Word": 2,
    "_Reader": 2,
    "_Walk": 3,
}


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


def test_the_list_of_shared_names_holds_no_more_than_are_left():
    found = class_names()
    assert {name: len(found[name]) for name in SHARED} == SHARED, "shorten SHARED: these names are shared by fewer now"
