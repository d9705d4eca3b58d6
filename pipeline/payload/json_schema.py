"""JSON Schemas that a configuration declares: what a value must be, and what `check` knows of it from then on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastembed.pipeline.errors import InvalidInput

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

FIELDS: Final = "declared_fields"
"""The attribute of a class made by `value_type` that names the fields of its values."""
_CLASSES: Final[dict[str, Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
_MOST_CHARS: Final = 300


class DeclaredSchema:
    """A JSON Schema (draft 2020-12, or what its `$schema` names) and its validator; references stay inside it."""

    def __init__(self, declared: Mapping[str, Any] | Path) -> None:
        """Read it, from a file if that is named. ValueError: there is none, or it is no JSON Schema."""
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
        from referencing import Registry

        self.document = _read(declared) if isinstance(declared, Path) else dict(declared)
        kind = validator_for(self.document, default=Draft202012Validator)
        try:
            kind.check_schema(self.document)
        except SchemaError as error:
            msg = f"found no JSON Schema: {error.message:.200} (at {error.json_path})"
            raise ValueError(msg) from None
        if outside := next(_references(self.document), None):
            msg = f"found the reference {outside!r:.100}, expected one within the schema, such as #/$defs/name"
            raise ValueError(msg)
        self._validator = kind(self.document, registry=Registry())  # the default one follows references to the network

    def check(self, value: object) -> None:
        """InvalidInput names the field of a value that does not fit."""
        from jsonschema.exceptions import best_match

        error = best_match(self._validator.iter_errors(value))
        if error is not None:
            place = _place(error)
            found = f"{place}: {error.message}" if place else error.message
            raise InvalidInput(found[:_MOST_CHARS], param=place or None, code="schema_mismatch")

    @property
    def value_type(self) -> Any:
        """The Python type of the values; of objects whose fields are listed, a dict that knows its fields."""
        kind = self.document.get("type")
        if kind != "object":
            return _CLASSES.get(kind, Any) if isinstance(kind, str) else Any
        fields = self.document.get("properties")
        if not fields or self.document.get("additionalProperties") or "patternProperties" in self.document:
            return dict
        return type("dict", (dict,), {FIELDS: tuple(fields)})


def _place(error: ValidationError) -> str:
    """Return the field that an error is about, as `lines[0].count`."""
    parts: list[str | int] = list(error.absolute_path)
    if error.validator == "required" and isinstance(error.instance, Mapping):
        parts += [name for name in error.validator_value if name not in error.instance][:1]
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        parts += [name for name in error.instance if name not in known][:1]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def _references(part: object) -> Iterator[str]:
    """Yield the references that lead out of a schema."""
    if isinstance(part, Mapping):
        target = part.get("$ref")
        if isinstance(target, str) and not target.startswith("#"):
            yield target
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        msg = f"found no JSON Schema in {path}: {error}"
        raise ValueError(msg) from None
    if not isinstance(found, dict):
        msg = f"found {type(found).__name__} in {path}, expected a JSON Schema, which is an object"
        raise ValueError(msg)  # noqa: TRY004 - the file's fault, not the caller's
    return found
