"""The structure of a recording: docling's document, made by hand, since docling itself takes seconds to import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import orjson


class TimedText(Protocol):
    """What is said or shown from `start_s` to `end_s`."""

    @property
    def start_s(self) -> float:
        """When it begins."""

    @property
    def end_s(self) -> float:
        """When it ends."""

    @property
    def text(self) -> str:
        """What it says."""


def structure_of(name: str, parts: Sequence[TimedText]) -> str:
    """Return the JSON of a `DoclingDocument` whose texts have the times of these parts."""
    texts = [_text(place, part) for place, part in enumerate(parts)]
    body = _node("#/body", "body", [{"$ref": text["self_ref"]} for text in texts])
    return orjson.dumps(
        {
            "schema_name": "DoclingDocument",
            "version": "1.7.0",
            "name": name,
            "furniture": {**_node("#/furniture", "furniture", []), "content_layer": "furniture"},
            "body": body,
            **{kind: [] for kind in ("groups", "pictures", "tables", "key_value_items", "form_items")},
            "texts": texts,
            "pages": {},
        }
    ).decode()


def _node(reference: str, layer: str, children: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "self_ref": reference,
        "children": children,
        "content_layer": layer,
        "name": "_root_",
        "label": "unspecified",
    }


def _text(place: int, part: TimedText) -> dict[str, Any]:
    track = {"kind": "track", "start_time": part.start_s, "end_time": part.end_s}
    return {
        "self_ref": f"#/texts/{place}",
        "parent": {"$ref": "#/body"},
        "children": [],
        "content_layer": "body",
        "label": "text",
        "prov": [],
        "source": [track],
        "orig": part.text,
        "text": part.text,
    }
