"""YAML text as a tree of values that know their places.

Scalars follow YAML 1.2's core schema, not 1.1: `yes`, `on` and `12:30` are text, so `on: [npu]` keeps its key.
Anchors, aliases and merge keys work; a key given twice, a key that is no text, and an alias inside itself are problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from fastembed.pipeline.config.interpolate import InterpolationError, Secret
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.plan import Place

_MAX_NODES: Final = 100_000  # an alias of an alias of an alias grows exponentially


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """Text, a number, true, false or null; a `Secret` where the text holds one."""

    place: Place
    value: str | float | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class ListNode:
    """Values in order."""

    place: Place
    items: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MapEntry:
    """A key's value and the key's own place."""

    key_place: Place
    node: Node


@dataclass(frozen=True, slots=True, eq=False)
class MapNode:
    """Values by key, in file order."""

    place: Place
    entries: Mapping[str, MapEntry] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """Return the value of `key`."""
        entry = self.entries.get(key)
        return entry.node if entry else None


Node = ScalarNode | ListNode | MapNode


def plain(node: Node) -> Any:
    """Return the values without their places."""
    match node:
        case MapNode():
            return {key: plain(entry.node) for key, entry in node.entries.items()}
        case ListNode():
            return [plain(item) for item in node.items]
        case ScalarNode():
            return node.value


def display(node: Node) -> str:
    """Return the node for the middle of `found ..., expected ...`, secrets hidden."""
    match node:
        case MapNode():
            return f"a mapping ({', '.join(node.entries)})" if node.entries else "an empty mapping"
        case ListNode():
            return f"a list of {len(node.items)}"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(value=Secret() as secret):
            return f"the secret {secret.reference}"
        case ScalarNode(value=bool() as value):
            return str(value).lower()
        case ScalarNode():
            return f"{node.value!r:.80}"


def read(text: str, file: str, interpolate: Callable[[str], str], problems: Problems) -> Node | None:
    """Parse one YAML document; None where there is none, or where it is no YAML (then `problems` says why)."""
    try:
        root = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        problems.add(*_syntax_problem(error, file, text))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        problems.add(Place(file, line, column), f"found the character {error.character!r:.20}, expected printable text")
        return None
    except RecursionError:
        problems.add(Place(file, 1, 1), "found brackets within brackets without end, expected a flatter file")
        return None
    return _Tree(file, interpolate, problems).convert(root) if root is not None else None


class _Loader(yaml.SafeLoader):
    """Resolves scalars by YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute, replaced for 1.2


_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, float | bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", "+.inf", ".Inf", ".INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_MERGE: Final = "<<"


def resolve_scalar(text: str) -> str | float | bool | None:
    """Return what an unquoted scalar means in YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) < 1000:  # noqa: PLR2004 - Python refuses to read longer integers
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Tree:
    """Converts PyYAML's nodes."""

    def __init__(self, file: str, interpolate: Callable[[str], str], problems: Problems) -> None:
        self._file = file
        self._interpolate = interpolate
        self._problems = problems
        self._open: set[int] = set()
        self._count = 0

    def convert(self, node: yaml.Node) -> Node:
        place = self._place(node.start_mark)
        self._count += 1
        if id(node) in self._open or self._count > _MAX_NODES:
            if self._count <= _MAX_NODES + 1:
                self._problems.add(place, "found an alias inside its own anchor, or aliases that grow without end")
            return ScalarNode(place, None)
        self._open.add(id(node))
        try:
            return self._convert(node, place)
        finally:
            self._open.discard(id(node))

    def _convert(self, node: yaml.Node, place: Place) -> Node:
        if isinstance(node, yaml.ScalarNode):
            return ScalarNode(place, self._scalar(node, place))
        if isinstance(node, yaml.SequenceNode):
            return ListNode(place, tuple(self.convert(item) for item in node.value))
        return MapNode(place, self._entries(node.value))

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> str | float | bool | None:
        try:
            text = self._interpolate(node.value)
        except InterpolationError as error:
            self._problems.close(place, str(error))
            return None
        if isinstance(text, Secret):
            self._problems.hide(text)
            return text
        if node.tag not in (_STR, None, "!"):
            self._problems.add(place, f"found the tag {node.tag}, expected a plain value without a tag")
        return resolve_scalar(text) if node.style is None else text

    def _entries(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]]) -> dict[str, MapEntry]:
        entries: dict[str, MapEntry] = {}
        merged: dict[str, MapEntry] = {}
        for key_node, value_node in pairs:
            place = self._place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add(place, "found a list or mapping as a key, expected text")
                continue
            key = key_node.value
            if key == _MERGE and key_node.style is None:
                merged = {**self._merged(value_node), **merged}
            elif key in entries:
                first = entries[key].key_place
                self._problems.add(
                    place, f"found the key {key!r} again (first in line {first.line}), expected every key once"
                )
            else:
                entries[key] = MapEntry(place, self.convert(value_node))
        return {**merged, **entries} if merged else entries

    def _merged(self, node: yaml.Node) -> dict[str, MapEntry]:
        sources: Iterable[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, MapEntry] = {}
        for source in sources:
            found = self.convert(source)
            if isinstance(found, MapNode):
                merged = {**found.entries, **merged}
            else:
                self._problems.add(found.place, f"found {display(found)} under <<, expected an alias of a mapping")
        return merged

    def _place(self, mark: yaml.Mark) -> Place:
        return Place(self._file, mark.line + 1, mark.column + 1)


_STR: Final = "tag:yaml.org,2002:str"


def _syntax_problem(error: yaml.MarkedYAMLError, file: str, text: str) -> tuple[Place, str]:
    """Return the place of PyYAML's error and a message in this project's words."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Place(file, 1, 1), f"not valid YAML: {error.problem}"
    place = Place(file, mark.line + 1, mark.column + 1)
    rows = text.split("\n")
    row = rows[mark.line] if mark.line < len(rows) else ""
    before, here = row[: mark.column], row[mark.column : mark.column + 1]
    if here == "\t" or (not before.strip() and "\t" in before):
        return place, "found a tab, expected spaces: YAML indents with spaces only"
    if here == "{" and before.endswith("$"):
        return place, 'found ${...} without quotes between braces or brackets, expected it quoted: "${...}"'
    if "single document" in (error.context or ""):
        return place, "found a second document after ---, expected one document"
    context = f" {error.context}" if error.context else ""
    return place, f"not valid YAML{context}: {error.problem}"
