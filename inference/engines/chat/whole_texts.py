"""The tokenizer of a GGUF copy, so that it reads texts whole.

The graph that OpenVINO GenAI 2026.4 makes of a GGUF file's tokenizer cuts every text at 8192 tokens, silently: a longer
prompt would be counted, and answered, as if its end were not there. The number is a constant of the graph, which its
only `Minimum` compares with; no argument of `encode` changes it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, parse

_MOST: Final = 2**31 - 1
_NUMBER: Final = struct.Struct("<i")


def read_whole_texts(folder: Path) -> bool:
    """Lift the limit of `openvino_tokenizer.xml` in a folder; return whether there was one."""
    graph = parse(folder / "openvino_tokenizer.xml").getroot()  # noqa: S314 - as above
    layers = {layer.get("id", ""): layer for layer in graph.iter("layer")}
    limits = [place for place in map(_place, _sources(graph, layers, "Minimum")) if place is not None]
    with (folder / "openvino_tokenizer.bin").open("r+b") as weights:
        for place in limits:
            weights.seek(place)
            weights.write(_NUMBER.pack(_MOST))
    return bool(limits)


def _sources(graph: Element, layers: dict[str, Element], kind: str) -> list[Element]:
    """Return the layers that those of a kind read."""
    return [
        layers[edge.get("from-layer", "")]
        for edge in graph.iter("edge")
        if layers[edge.get("to-layer", "")].get("type") == kind
    ]


def _place(layer: Element) -> int | None:
    """Return where a constant of one whole number of 32 bits is among the weights; None: it is none."""
    data = layer.find("data")
    if layer.get("type") != "Const" or data is None:
        return None
    fits = data.get("element_type") == "i32" and data.get("size") == str(_NUMBER.size)
    return int(data.get("offset", "0")) if fits else None
