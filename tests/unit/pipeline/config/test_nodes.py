from __future__ import annotations

import pytest

from fastembed.pipeline.config.nodes import MapNode, Node, plain, read
from fastembed.pipeline.config.problems import Problems


def tree(text: str) -> Node:
    problems = Problems()
    node = read(text, "f.yaml", str, problems)
    assert problems.errors == []
    assert node is not None
    return node


def values(text: str) -> object:
    return plain(tree(text))


def errors(text: str) -> list[str]:
    problems = Problems()
    read(text, "f.yaml", str, problems)
    return problems.errors


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("0x1f", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'12'", "12"),
        ("1_000", "1_000"),
        (".", "."),
        ("4ms", "4ms"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = values(f"k: {text}")
    assert found == {"k": float(value) if value == "9" * 5000 else value}


def test_a_key_called_on_stays_text():
    assert values("{on: [npu, cpu], no: 1}") == {"on": ["npu", "cpu"], "no": 1}


def test_nodes_and_keys_know_their_places():
    node = tree("a: 1\nb:\n  c: [x, y]\n")
    assert isinstance(node, MapNode)
    entry = node.entries["b"]
    assert str(entry.key_place) == "f.yaml:2:1"
    assert isinstance(entry.node, MapNode)
    assert str(entry.node.entries["c"].node.items[1].place) == "f.yaml:3:10"


def test_anchors_aliases_and_merge_keys_work_and_own_keys_win():
    text = "base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nlist: {<<: [*b, {x: 9, z: 4}]}\nsame: *b\n"
    assert values(text) == {
        "base": {"x": 1, "y": 2},
        "use": {"x": 1, "y": 3},
        "list": {"x": 1, "y": 2, "z": 4},
        "same": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: found the key 'a' again (first in line 1), expected every key once"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: found a tab, expected spaces: YAML indents with spaces only"),
        (
            "a: {b: ${X}}",
            'f.yaml:1:9: found ${...} without quotes between braces or brackets, expected it quoted: "${...}"',
        ),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: found a second document after ---, expected one document"),
        ("a: &x [*x]", "f.yaml:1:4: found an alias inside its own anchor, or aliases that grow without end"),
        ("a: {<<: 3}", "f.yaml:1:9: found 3 under <<, expected an alias of a mapping"),
        ("? [1, 2]\n: 3\n", "f.yaml:1:3: found a list or mapping as a key, expected text"),
        ("a: !x y", "f.yaml:1:4: found the tag !x, expected a plain value without a tag"),
        ("a: *nowhere", "f.yaml:1:4: not valid YAML: found undefined alias 'nowhere'"),
        ("a: 1\nb: \x07", "f.yaml:2:4: found the character 7, expected printable text"),
    ],
)
def test_what_is_no_yaml_is_reported_at_its_place(text: str, expected: str) -> None:
    assert errors(text) == [expected]


def test_aliases_that_multiply_are_stopped():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 10):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    found = errors(text)
    assert len(found) == 1
    assert found[0].endswith("found an alias inside its own anchor, or aliases that grow without end")


def test_brackets_without_end_are_stopped():
    assert errors("[" * 5000) == ["f.yaml:1:1: found brackets within brackets without end, expected a flatter file"]


def test_an_empty_text_has_no_node():
    assert read("# nothing\n", "f.yaml", str, Problems()) is None
