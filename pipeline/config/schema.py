"""The JSON Schema (2020-12) of a pipelines.yaml, for editors: made from the components' signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from fastembed.pipeline.component import Role
from fastembed.pipeline.config.checking import LenientSchema, options_adapter
from fastembed.pipeline.config.ends import SOURCE_KEYS
from fastembed.pipeline.config.policies import BatchForm, QueueForm, RetryForm, TimeoutForm
from fastembed.pipeline.registry import Registry
from fastembed.pipeline.spec import Spec
from fastembed.pipeline.units import Duration, Size

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final[Schema] = {"type": "string"}
_EXPRESSION: Final[Schema] = {"type": ["string", "boolean"], "description": "an expression over item, value, key, meta"}
_REFERENCE: Final[Schema] = {"type": "string", "pattern": r"\$\{[^}]+\}"}
_COUNT: Final[Schema] = {"anyOf": [{"type": "integer", "minimum": 1}, _REFERENCE]}


def schema(registry: Registry, sections: Mapping[str, Any] | None = None) -> Schema:
    """Return the schema. It imports every component. sections: as for `fastembed.pipeline.config.load.load`."""
    definitions: dict[str, Schema] = {}
    shared = _Definitions(definitions)
    for role in ("source", "operator", "sink"):
        definitions[role] = _role(shared, registry, role)
    definitions["step"] = definitions.pop("operator")
    definitions |= _structure(shared)
    own: dict[str, Schema] = {
        "version": {"const": 1},
        "plugins": {"type": "array", "items": _TEXT, "description": "Python files with components of your own"},
        "defaults": _object({**{key: _ref(key) for key in ("queue", "timeout", "retry")}, "drain": _ref("duration")}),
        "templates": {"type": "object", "additionalProperties": {"type": "array", "items": _ref("step")}},
        "pipelines": {"type": "object", "additionalProperties": _ref("pipeline")},
        "tests": {"type": "array", "items": _ref("test")},
    }
    for key, kind in (sections or {}).items():
        own[key] = shared.of(key, kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind))
    top = _object(own, required=["pipelines"])
    return {"$schema": _DIALECT, "title": "pipelines.yaml", **top, "$defs": definitions}


class _Definitions:
    """Collects what pydantic's schemas define, under names of their own."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def of(self, name: str, adapter: TypeAdapter[Any]) -> Schema:
        """Return the schema of a type, its definitions moved to the top, its scalars open for `${...}`."""
        found = adapter.json_schema(ref_template=f"#/$defs/{name}.{{model}}", schema_generator=LenientSchema)
        for model, definition in found.pop("$defs", {}).items():
            self._definitions[f"{name}.{model}"] = _open(definition)
        return _open(found)


def _open(node: Schema) -> Schema:
    """Allow `${...}` wherever the value is no free text."""
    opened = dict(node)
    for key in ("properties", "patternProperties"):
        if key in node:
            opened[key] = {name: _open(child) for name, child in node[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            opened[key] = _open(node[key])
    if "prefixItems" in node:
        opened["prefixItems"] = [_open(child) for child in node["prefixItems"]]
    for key in ("anyOf", "oneOf"):
        if key in node:
            opened[key] = [_open(child) if _is_container(child) else child for child in node[key]]
    if _is_container(node) or not ({"anyOf", "oneOf", "enum", "const", "pattern"} & node.keys() or _is_number(node)):
        return opened
    notes: Schema = {key: opened.pop(key) for key in ("title", "description", "default") if key in opened}
    return {"anyOf": [opened, _REFERENCE], **notes}


def _is_container(node: Schema) -> bool:
    return node.get("type") in ("object", "array") or "$ref" in node


def _is_number(node: Schema) -> bool:
    return node.get("type") in ("integer", "number", "boolean")


def _role(shared: _Definitions, registry: Registry, role: Role) -> Schema:
    build = _operator if role == "operator" else _end
    specs = registry.all(role)
    bare = [spec.name for spec in specs if not _required(spec)]
    objects = [build(spec, shared.of(f"{role}.{spec.name}", options_adapter(spec))) for spec in specs]
    template = _object({"template": _TEXT}, required=["template"], description="the steps of a list under `templates`")
    extra = [_ref("route"), _ref("fork"), template] if role == "operator" else []
    return {"anyOf": [*([{"enum": bare}] if bare else []), *objects, *extra]}


def _required(spec: Spec) -> list[str]:
    return [name for name, option in spec.options.items() if option.default is option.empty]


def _operator(spec: Spec, options: Schema) -> Schema:
    described = _described(spec, options)
    value = [{"type": "null"}, described]
    if spec.primary:
        value.append(described["properties"][spec.primary])
    step = {key: _ref(f"step.{key}") for key in _STEP}
    return _object({spec.name: {"anyOf": value}, **step}, required=[spec.name], description=_summary(spec))


def _end(spec: Spec, options: Schema) -> Schema:
    """Describe a source or sink: its options stand under its name or beside it."""
    described = _described(spec, options)
    properties = described["properties"]
    own: list[Schema] = [{"type": "null"}, described | {"required": []}]
    if spec.primary:
        own.append(properties[spec.primary])
    engine = {key: _ref(f"source.{key}") for key in SOURCE_KEYS} if spec.role == "source" else {}
    beside = {name: option for name, option in properties.items() if name != spec.name}
    return _object({**beside, **engine, spec.name: {"anyOf": own}}, required=[spec.name], description=_summary(spec))


def _described(spec: Spec, options: Schema) -> Schema:
    """Add what the docstring and the defaults say of each option."""
    texts = arguments(spec.doc, spec.options)
    properties = {}
    for name, option in options.get("properties", {}).items():
        notes: Schema = {"description": texts[name]} if name in texts else {}
        notes |= _default(spec.options[name], option)
        properties[name] = {**option, **notes}
    return _object(properties, required=_required(spec))


def _default(parameter: inspect.Parameter, option: Schema) -> Schema:
    """Return the default where YAML writes it as code does: no durations, nothing that only code makes."""
    if parameter.default is parameter.empty or ("^" in str(option) and not isinstance(parameter.default, str)):
        return {}
    try:
        return {"default": to_jsonable_python(parameter.default)}
    except PydanticSerializationError:
        return {}


def _summary(spec: Spec) -> str:
    return " ".join(spec.doc.split("\n\n", 1)[0].split())


def arguments(doc: str, names: Iterable[str]) -> dict[str, str]:
    """Return what a docstring says of each name under `Args:`, in lines of their own or in one paragraph."""
    section = re.search(r"^Args:(.*?)(?=\n\s*\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    known = "|".join(map(re.escape, names))
    if section is None or not known:
        return {}
    parts = re.split(rf"(?:(?<=\s)|^)({known}):(?=\s)", section[1])
    return {name: " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


# The frame that is the same for all components.


_STEP: Final[dict[str, Schema]] = {
    "id": _TEXT,
    "if": _EXPRESSION,
    "workers": _COUNT,
    "order": {"enum": ["strict", "key", "none"]},
    "latest": _EXPRESSION,
    "on_error": {"enum": ["fail", "skip", "pass"]},
    "cache": _COUNT,
    "replicas": _COUNT,
    "batch": {"$ref": "#/$defs/batch"},
    "timeout": {"$ref": "#/$defs/timeout"},
    "retry": {"$ref": "#/$defs/retry"},
    "queue": {"$ref": "#/$defs/queue"},
}
_SOURCE: Final[dict[str, Schema]] = {
    "key": _EXPRESSION,
    "queue": {"$ref": "#/$defs/queue"},
    "overflow": {"enum": ["block", "reject", "drop_oldest", "drop_newest"]},
}


def _structure(shared: _Definitions) -> dict[str, Schema]:
    duration, size = shared.of("duration", TypeAdapter(Duration)), shared.of("size", TypeAdapter(Size))
    steps = {"type": "array", "items": _ref("step")}
    branch = {"operators": steps, "sink": _ref("sink")}
    members: Schema = {"anyOf": [steps, _object(branch), {"type": "null"}]}
    pipeline = _object(
        {
            "source": _ref("source"),
            "operators": {"anyOf": [steps, {"type": "null"}]},
            "sink": _ref("sink"),
            "on_error": _ref("sink"),
            "timeout": duration,
            "drain": duration,
        },
        required=["source", "sink"],
    )
    conditional = _object({"if": _EXPRESSION, "id": _TEXT, **branch}, required=["if"])
    route = {"type": "array", "items": {"anyOf": [conditional, _object({"else": members}, required=["else"])]}}
    join = {"enum": ["all", "none"]}
    fork = {"type": "object", "properties": {"join": {"anyOf": [join, members]}}, "additionalProperties": members}
    return {
        **{f"step.{key}": value for key, value in _STEP.items()},
        **{f"source.{key}": value for key, value in _SOURCE.items()},
        "duration": duration,
        "queue": {"anyOf": [_COUNT, duration, size, _form(shared, "queue", QueueForm)]},
        "batch": {"anyOf": [_COUNT, _form(shared, "batch", BatchForm)]},
        "timeout": {"anyOf": [duration, _form(shared, "timeout", TimeoutForm)]},
        "retry": {"anyOf": [{"type": "integer", "minimum": 0}, _form(shared, "retry", RetryForm)]},
        "pipeline": pipeline,
        "route": _object({"route": route, "id": _TEXT}, required=["route"]),
        "fork": _object({"fork": fork, "id": _TEXT, "join": join}, required=["fork"]),
        "test": _object(
            {"name": _TEXT, "pipeline": _TEXT, "fake": {"type": ["object", "null"]}, "give": {}, "expect": {}},
            required=["pipeline", "give", "expect"],
        ),
    }


def _form(shared: _Definitions, name: str, form: type[BaseModel]) -> Schema:
    return shared.of(name, TypeAdapter(form))


def _object(properties: dict[str, Schema], *, required: Iterable[str] = (), description: str = "") -> Schema:
    made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if needed := list(required):
        made["required"] = needed
    return made | ({"description": description} if description else {})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
