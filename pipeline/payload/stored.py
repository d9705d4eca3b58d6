"""A payload as a file and back: text as text, bytes as bytes, anything else as JSON that names its types.

    value                                      file
    str                                        .txt, UTF-8
    bytes, bytearray                           .bin, as they are
    what JSON has, dataclasses, named tuples,  .json; an object with one key that begins with `$` is what JSON lacks:
    enums, pydantic models, numpy arrays,      {"$type": ["module:Class", {field: value}]}, {"$bytes": base64},
    paths, times, sets, tuples of these        {"$array": [dtype, shape, base64]}, {"$map": [[key, value], ...]} ...

A `File` takes its bytes along (`attach`): the place that it lay in may be gone when it is needed again. Loading makes
dataclasses, named tuples, enums and pydantic models only, of modules that are loaded or are this product's: nothing in
a file is executed.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from enum import Enum
from functools import singledispatch
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import numpy as np
import orjson
from pydantic import BaseModel

from fastembed.pipeline.payload.document import File

TEXT, BYTES, JSON = ".txt", ".bin", ".json"
Attach = Callable[[Path], str]
"""Puts a copy of a file beside the payload; returns its name there."""

_LARGE: Final = 2**63


class CannotStore(TypeError):
    """A value that no file can hold."""


def store(value: object, attach: Attach | None = None) -> tuple[str, bytes]:
    """Return the suffix and the content of the file that holds a value. CannotStore names what cannot be held."""
    if type(value) is str:
        return TEXT, value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray):
        return BYTES, bytes(value)
    try:
        return JSON, orjson.dumps(_pack(value, attach), option=orjson.OPT_INDENT_2)
    except RecursionError as error:
        raise CannotStore(
            "found a value that contains itself or is nested too deeply, expected a finite one"
        ) from error


def load(suffix: str, content: bytes, folder: Path = Path()) -> Any:
    """Return the value that a file holds. folder: where its attachments are. ValueError: it holds none."""
    if suffix == TEXT:
        return content.decode("utf-8", "surrogatepass")
    if suffix == BYTES:
        return content
    try:
        return _unpack(orjson.loads(content), folder)
    except (KeyError, TypeError, AttributeError, ImportError, IndexError) as error:
        raise ValueError(f"found a stored payload that its type refuses ({error})") from error


def can_store(annotation: Any) -> bool:
    """Whether values of a type can be held, as far as the type says; one that says nothing (Any, object) may be."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return can_store(get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return all(can_store(member) for member in get_args(annotation))
    cls = origin or annotation
    if origin is Literal or not isinstance(cls, type) or cls in (object, Any) or getattr(cls, "_is_protocol", False):
        return True
    if cls in (Mapping, Sequence, AbstractSet) or dataclasses.is_dataclass(cls) or hasattr(cls, "_fields"):
        return True
    return _pack.dispatch(cls) is not _pack.dispatch(object)


# Packing: what JSON has stands for itself, anything else for an object with one key.


@singledispatch
def _pack(value: Any, attach: Attach | None) -> Any:
    """Return what JSON can hold in place of a value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return {"$type": [_name(type(value)), {name: _pack(getattr(value, name), attach) for name in names}]}
    raise CannotStore(
        f"found a {type(value).__name__}, expected text, bytes, JSON, a dataclass, a pydantic model or an array"
    )


@_pack.register(bool)
@_pack.register(type(None))
def _(value: Any, _attach: Attach | None) -> Any:
    return value


@_pack.register
def _(value: str, _attach: Attach | None) -> Any:
    if isinstance(value, Enum):
        return _pack_enum(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        return {"$surrogates": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}
    return str(value)


@_pack.register
def _(value: int, _attach: Attach | None) -> Any:
    if isinstance(value, Enum):
        return _pack_enum(value)
    return value if abs(value) < _LARGE else {"$int": str(value)}


@_pack.register
def _(value: float, _attach: Attach | None) -> Any:
    return value if math.isfinite(value) else {"$float": repr(value)}


@_pack.register
def _pack_enum(value: Enum, _attach: Attach | None = None) -> Any:
    return {"$enum": [_name(type(value)), value.name]}


@_pack.register(bytes)
@_pack.register(bytearray)
def _(value: bytes, _attach: Attach | None) -> Any:
    return {"$bytes": base64.b64encode(value).decode()}


@_pack.register
def _(value: File, attach: Attach | None) -> Any:
    fields = {field.name: _pack(getattr(value, field.name), attach) for field in dataclasses.fields(value)}
    kept = attach(value.path) if attach is not None and value.path.is_file() else None
    return {"$file": [fields, kept]}


@_pack.register
def _(value: list, attach: Attach | None) -> Any:  # type: ignore[type-arg] # dispatch takes plain classes
    return [_pack(part, attach) for part in value]


@_pack.register
def _(value: tuple, attach: Attach | None) -> Any:  # type: ignore[type-arg] # as above
    parts = [_pack(part, attach) for part in value]
    names: Sequence[str] | None = getattr(value, "_fields", None)
    return {"$tuple": parts} if names is None else {"$type": [_name(type(value)), dict(zip(names, parts, strict=True))]}


@_pack.register(set)
@_pack.register(frozenset)
def _(value: AbstractSet[Any], attach: Attach | None) -> Any:
    return {"$set" if isinstance(value, set) else "$frozenset": [_pack(part, attach) for part in value]}


@_pack.register
def _(value: Mapping, attach: Attach | None) -> Any:  # type: ignore[type-arg] # as above
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _pack(part, attach) for key, part in value.items()}
    return {"$map": [[_pack(key, attach), _pack(part, attach)] for key, part in value.items()]}


@_pack.register
def _(value: BaseModel, _attach: Attach | None) -> Any:
    return {"$model": [_name(type(value)), value.model_dump(mode="json", by_alias=True)]}


@_pack.register
def _(value: np.ndarray, _attach: Attach | None) -> Any:
    if value.dtype.hasobject:
        raise CannotStore("found an array of objects, expected one of numbers or text")
    return {"$array": [value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode()]}


@_pack.register
def _(value: np.generic, attach: Attach | None) -> Any:
    return _pack(value.item(), attach)


@_pack.register
def _(value: Path, _attach: Attach | None) -> Any:
    return {"$path": _pack(str(value), None)}


@_pack.register
def _(value: date, _attach: Attach | None) -> Any:
    return {"$datetime" if isinstance(value, datetime) else "$date": value.isoformat()}


@_pack.register
def _(value: timedelta, _attach: Attach | None) -> Any:
    return {"$seconds": value.total_seconds()}


def _unpack(value: Any, folder: Path) -> Any:
    """Return the value that stands for itself in JSON, or in whose place `_pack` put an object."""
    if isinstance(value, list):
        return [_unpack(part, folder) for part in value]
    if not isinstance(value, dict):
        return value
    tag, held = next(((key, part) for key, part in value.items() if key.startswith("$")), ("", None))
    if not tag:
        return {key: _unpack(part, folder) for key, part in value.items()}
    if tag == "$file":
        fields, kept = _unpack(held, folder)
        return File(**{**fields, "path": folder / Path(kept).name} if kept else fields)
    return _MAKERS[tag](_unpack(held, folder))


_MAKERS: Final[dict[str, Callable[[Any], Any]]] = {
    "$type": lambda held: _class(held[0], _is_record)(**held[1]),
    "$model": lambda held: _class(held[0], lambda cls: issubclass(cls, BaseModel)).model_validate(held[1]),
    "$enum": lambda held: _class(held[0], lambda cls: issubclass(cls, Enum))[held[1]],
    "$map": dict,
    "$array": lambda held: np.frombuffer(bytearray(base64.b64decode(held[2])), np.dtype(held[0])).reshape(held[1]),
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$bytes": base64.b64decode,
    "$surrogates": lambda held: base64.b64decode(held).decode("utf-8", "surrogatepass"),
    "$float": float,
    "$int": int,
    "$path": Path,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$seconds": lambda seconds: timedelta(seconds=seconds),
}


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_record(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))


def _class(name: str, holds: Callable[[type], bool]) -> Any:
    """Return the class of that name, if it is one that holds values. ValueError: it is not."""
    module_name, _, path = name.partition(":")
    found: Any = sys.modules.get(module_name)
    if found is None and module_name.partition(".")[0] == __name__.partition(".")[0]:
        found = importlib.import_module(module_name)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and holds(found)):
        raise ValueError(
            f"found a payload of the type {name}, which is not loaded: restore the plug-in that defines it"
        )
    return found
