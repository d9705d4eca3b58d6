"""Validation of nodes by pydantic types, with every error at its place in the file.

Values are checked the way strict JSON is: `"yes"` is no integer and `1` no text, while text becomes a path, an enum, a
duration or a size where the type says so.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, NotRequired, Required, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails
from typing_extensions import TypedDict

from fastembed.pipeline.config.interpolate import Secret
from fastembed.pipeline.config.nodes import ListNode, MapNode, Node, ScalarNode, display, plain
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.errors import ConfigError, FastEmbedError
from fastembed.pipeline.names import did_you_mean, one_of
from fastembed.pipeline.part import make
from fastembed.pipeline.plan import Place
from fastembed.pipeline.spec import Spec

T = TypeVar("T")


def validate(adapter: TypeAdapter[T], node: Node, problems: Problems, *, base: Path) -> T | None:
    """Return the value that `node` holds, its paths relative to `base`; or None after reporting why there is none."""
    text = json.dumps(plain(node))
    try:
        value = adapter.validate_json(text, strict=True, extra="forbid", context={"base": base})
    except ValidationError as error:
        _report(error.errors(include_url=False), node, problems, adapter)
        return None
    resolved: T = resolve_paths(value, base)
    secrets = _secrets(node)
    kept: T = _keep_secrets(resolved, secrets) if secrets else resolved
    return kept


def options_adapter(spec: Spec) -> TypeAdapter[dict[str, Any]]:
    """Return the type of a component's options. ConfigError names an option whose annotation cannot be checked."""
    annotations = {
        name: (Required if option.default is option.empty else NotRequired)[spec.hints.get(name, Any)]
        for name, option in spec.options.items()
    }
    typed = TypedDict("Options", annotations)  # type: ignore[misc]  # made at run time
    settings = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(with_config(settings)(typed))
    except (PydanticUserError, NameError) as error:
        raise ConfigError(
            [f"found the {spec.role} {spec.name} with an option that cannot be checked: {error}"]
        ) from error
    return adapter


def validate_options(spec: Spec, node: MapNode, problems: Problems, *, base: Path) -> tuple[dict[str, Any], Spec]:
    """Return the component's options, defaults included, and its spec with these; report every problem.

    A class is constructed once, on trial: constructors check what types cannot say (`open` is where they act), and may
    declare what depends on the options.
    """
    try:
        adapter = options_adapter(spec)
    except ConfigError as error:
        problems.add(node.place, str(error))
        return {}, spec
    defaults = {n: o.default for n, o in spec.options.items() if o.default is not o.empty}
    given = validate(adapter, node, problems, base=base)
    options: dict[str, Any] = {**resolve_paths(defaults, base), **(given or {})}
    if given is not None and inspect.isclass(spec.factory):
        try:
            spec = replace(spec, capabilities=make(spec.name, spec, options).capabilities)
        except (ValueError, TypeError, FastEmbedError) as error:
            problems.add(node.place, f"found options that {spec.name} refuses: {error}")
    return options, spec


def resolve_paths(value: Any, base: Path) -> Any:
    """Return `value` with every Path in it absolute: `~` expanded, the rest relative to `base`."""
    match value:
        case Path():
            return base / value.expanduser()
        case list() | tuple() if type(value) in (list, tuple):
            return type(value)(resolve_paths(entry, base) for entry in value)
        case dict():
            return {key: resolve_paths(entry, base) for key, entry in value.items()}
        case BaseModel():
            found = {name: getattr(value, name) for name in type(value).model_fields}
            return value.model_copy(update=_changed(found, base))
    if is_dataclass(value) and not isinstance(value, type):
        found = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        changed = _changed(found, base)
        return replace(value, **changed) if changed else value
    return value


def _changed(found: Mapping[str, Any], base: Path) -> dict[str, Any]:
    resolved = {name: resolve_paths(entry, base) for name, entry in found.items()}
    return {name: entry for name, entry in resolved.items() if entry != found[name]}


def _secrets(node: Node) -> dict[str, Secret]:
    match node:
        case ScalarNode(value=Secret() as secret) if secret:
            return {str(secret): secret}
        case MapNode():
            return {k: v for entry in node.entries.values() for k, v in _secrets(entry.node).items()}
        case ListNode():
            return {k: v for item in node.items for k, v in _secrets(item).items()}
    return {}


def _keep_secrets(value: Any, secrets: Mapping[str, Secret]) -> Any:
    """Restore the `Secret`s that validation turned into plain text."""
    match value:
        case str():
            return secrets.get(value, value)
        case list() | tuple() if type(value) in (list, tuple):
            return type(value)(_keep_secrets(entry, secrets) for entry in value)
        case dict():
            return {key: _keep_secrets(entry, secrets) for key, entry in value.items()}
        case BaseModel():
            return value.model_copy(
                update={n: _keep_secrets(getattr(value, n), secrets) for n in type(value).model_fields}
            )
    if is_dataclass(value) and not isinstance(value, type):
        found = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        changed = {name: kept for name, entry in found.items() if (kept := _keep_secrets(entry, secrets)) is not entry}
        return replace(value, **changed) if changed else value
    return value


# From pydantic's errors to problems.


def _report(errors: list[ErrorDetails], root: Node, problems: Problems, adapter: TypeAdapter[Any]) -> None:
    """Report each error once at its place; the alternatives of a union become one `expected a or b`."""
    expected: dict[int, tuple[Node, list[str]]] = {}
    for error in errors:
        node, rest, key_place = _locate(root, error["loc"])
        if error["type"] == "extra_forbidden":
            key = str(error["loc"][-1])
            names = _known_keys(adapter, error["loc"][:-1])
            text = f"found the unknown key {key!r}, expected {one_of(names)}{did_you_mean(key, names)}"
            problems.add(key_place or node.place, text)
        elif error["type"] == "missing" and rest:
            problems.add(node.place, f"{rest[-1]!r} is missing: it has no default")
        elif _says_it_all(text := _cause(error)):
            problems.add(
                node.place, text if not _secrets(node) else f"found {display(node)}, {text.split(', ', 1)[-1]}"
            )
        else:
            _, alternatives = expected.setdefault(id(node), (node, []))
            if text not in alternatives:
                alternatives.append(text)
    for node, alternatives in expected.values():
        hint = _near_literal(node, alternatives)
        problems.add(node.place, f"found {display(node)}, expected {' or '.join(alternatives)}{hint}")


def _locate(node: Node, loc: Iterable[int | str]) -> tuple[Node, list[int | str], Place | None]:
    """Return the node at `loc`, as far as the tree reaches; skip the union branches that pydantic adds to it."""
    key_place: Place | None = None
    rest: list[int | str] = []
    for step in loc:
        if isinstance(node, MapNode) and step in node.entries:
            entry = node.entries[str(step)]
            node, key_place, rest = entry.node, entry.key_place, []
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node, key_place, rest = node.items[step], None, []
        else:
            rest.append(step)
    return node, rest, key_place


def _known_keys(adapter: TypeAdapter[Any], loc: Iterable[int | str]) -> list[str]:
    """Return the keys that the type has at `loc`, as its JSON Schema tells."""
    try:
        schema = adapter.json_schema(schema_generator=LenientSchema)
    except PydanticUserError:
        return []
    level = _alternatives(schema, schema)
    for step in loc:
        level = [
            option
            for entry in level
            for child in (entry.get("properties", {}).get(step), entry.get("additionalProperties"), entry.get("items"))
            if isinstance(child, dict)
            for option in _alternatives(child, schema)
        ] or level  # a union's branch: pydantic's own step
    return sorted({key for entry in level for key in entry.get("properties", {})})


def _alternatives(entry: dict[str, Any], root: dict[str, Any]) -> list[dict[str, Any]]:
    while "$ref" in entry:
        entry = root["$defs"][entry["$ref"].rsplit("/", 1)[-1]]
    branches = [*entry.get("anyOf", ()), *entry.get("oneOf", ())]
    return [option for branch in branches for option in _alternatives(branch, root)] if branches else [entry]


class LenientSchema(GenerateJsonSchema):
    """JSON Schema in which a type that JSON does not have is anything."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:  # noqa: ARG002
        """Accept any value: an option that only code can set."""
        return {}


_MESSAGES: Final = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing",
}


def _cause(error: ErrorDetails) -> str:
    """Return what was expected, or a whole `found ..., expected ...` where a validator said it."""
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error", error["msg"]))
    if error["type"] in _MESSAGES:
        return _MESSAGES[error["type"]]
    text = re.sub(r"^(Input|[A-Z]\w+) should (be|have) ", "", error["msg"])
    if re.match(r"(greater|less) than", text):
        return f"a number {text}"
    return text[:1].lower() + text[1:]


def _says_it_all(text: str) -> bool:
    return text.startswith("found ")


def _near_literal(node: Node, alternatives: Iterable[str]) -> str:
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return ""
    quoted = [word for text in alternatives for word in re.findall(r"'([^']*)'", text)]
    return did_you_mean(node.value, quoted)
