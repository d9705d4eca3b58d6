"""How many parameters a model has, counted in its graphs, not guessed from the size of its files."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Final

from fastembed.inference.library.gguf import find_gguf, read_gguf
from fastembed.pipeline.errors import ModelNotFound

_CONSTANT: Final = re.compile(r'<data element_type="(?P<kind>\w+)" shape="(?P<shape>[\d, ]+)" offset="(?P<at>\d+)"')
_NUMBERS: Final = frozenset({"f32", "f16", "bf16", "f64", "i8", "u8", "i4", "u4", "nf4", "f8e4m3", "f8e5m2"})
_TOKENIZERS: Final = ("openvino_tokenizer", "openvino_detokenizer")


def count_parameters(folder: Path) -> int:
    """Return the number of a folder's parameters; 0: nothing there can be counted. Blocks for a look at the disk."""
    try:
        file = find_gguf(folder)
        if file is not None:
            return read_gguf(file).parameters
    except ModelNotFound:
        return 0
    graphs = [graph for graph in folder.glob("*.xml") if not graph.stem.startswith(_TOKENIZERS)]
    return sum(_in_graph(graph.read_text(encoding="utf-8", errors="replace")) for graph in graphs)


def _in_graph(text: str) -> int:
    """Count what a graph's constants hold, each once. Scales and zeros of compressed matrices end in a 1: left out."""
    sizes: dict[str, int] = {}
    for found in _CONSTANT.finditer(text):
        shape = [int(size) for size in found["shape"].split(",")]
        if found["kind"] in _NUMBERS and not (len(shape) > 1 and shape[-1] == 1):
            sizes[found["at"]] = prod(shape)
    return sum(sizes.values())
