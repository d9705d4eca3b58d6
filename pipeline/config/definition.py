"""The definition hash: identifies the pipeline that made a result, independent of the file's layout.

The hash covers what the pipeline does: components, options, expressions and bounds, with defaults and interpolated
values in place, and the bytes of the plug-ins that it uses. It leaves out the pipeline's name, places, comments, the
order of keys and other pipelines. Of a secret only the reference (`${API_KEY}`) counts. Paths under the file's folder
count by their relative form.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr

from fastembed.pipeline.config.interpolate import Secret
from fastembed.pipeline.plan import Expression, PipelinePlan
from fastembed.pipeline.spec import Spec

HEX_CHARACTERS: Final = 16
_LEFT_OUT: Final = frozenset({"place", "definition", "base"})


def definition_hash(plan: PipelinePlan) -> str:
    """Return the first 16 hex characters of the SHA-256 of the plan's canonical JSON."""
    text = canonical_json(plan)
    return hashlib.sha256(text.encode()).hexdigest()[:HEX_CHARACTERS]


def canonical_json(plan: PipelinePlan) -> str:
    """Return the plan as JSON with sorted keys and no spaces; secrets are references."""
    canonical = _canonical(plan, plan.base)
    del canonical["name"]
    return json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _canonical(value: Any, base: Path) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case a type
    match value:
        case Secret():
            return value.reference
        case SecretStr() | SecretBytes():
            return "secret"
        case Enum():
            return value.name
        case float():
            return value if math.isfinite(value) else str(value)
        case None | bool() | int() | str():
            return value
        case Path():
            return value.relative_to(base).as_posix() if value.is_relative_to(base) else value.as_posix()
        case Expression():
            return value.text
        case Spec():
            return [value.name, value.revision] if value.revision else value.name
        case Mapping():
            return {str(key): _canonical(entry, base) for key, entry in value.items()}
        case list() | tuple():
            return [_canonical(entry, base) for entry in value]
        case set() | frozenset():
            return sorted((_canonical(entry, base) for entry in value), key=repr)
        case BaseModel():
            return {name: _canonical(getattr(value, name), base) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _canonical(getattr(value, f.name), base) for f in fields(value) if f.name not in _LEFT_OUT}
    return (
        f"{type(value).__module__}.{type(value).__qualname__}"  # only code can make it: a default, the same each time
    )
