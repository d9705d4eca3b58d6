"""The field `metadata`: a few strings that a client attaches to what it creates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastembed.server.wire.fields import Fields, refuse

MAX_METADATA: Final = 16
_MAX_KEY: Final = 64
_MAX_VALUE: Final = 512


def read_metadata(fields: Fields) -> Mapping[str, str]:
    """Return the pairs, within OpenAI's limits; none where the field is absent."""
    found = fields.mapping("metadata")
    if found is None:
        return {}
    if len(found) > MAX_METADATA:
        refuse(
            f"found {len(found)} pairs, expected at most {MAX_METADATA}",
            fields.at("metadata"),
            "object_above_max_properties",
        )
    pairs = fields.inner(found, fields.at("metadata"))
    for key in found:
        if len(key) > _MAX_KEY:
            refuse(
                f"found a key of {len(key)} characters, expected at most {_MAX_KEY}",
                fields.at("metadata"),
                "string_above_max_length",
            )
    return {key: pairs.text(key, most=_MAX_VALUE) or "" for key in found}
