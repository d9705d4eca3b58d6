"""GGUF files: which one of a folder is the model, and what it says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fastembed.inference.library.folders import own_home
from fastembed.pipeline.errors import ModelNotFound

_PART: Final = re.compile(r"-(\d{5})-of-\d{5}\.gguf$")
ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")
"""What genai builds graphs for."""


@dataclass(frozen=True, slots=True)
class GgufTraits:
    """Of the file's header: tokens of the context, layers, heads of queries, of keys and values, numbers a head."""

    window: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int


def find_gguf(folder: Path) -> Path | None:
    """Return the folder's GGUF model (of a split one the first part), or None. ModelNotFound names several."""
    files = sorted(folder.glob("*.gguf"))
    heads = [file for file in files if (part := _PART.search(file.name)) is None or int(part[1]) == 1]
    if len(heads) > 1:
        names = ", ".join(file.name for file in heads)
        raise ModelNotFound(f"found {len(heads)} GGUF models in {folder}, expected one a folder: {names}")
    return heads[0] if heads else None


def parts_of(file: Path) -> list[Path]:
    """Return the file, or all parts of the split model whose first part it is."""
    return sorted(file.parent.glob("*.gguf")) if _PART.search(file.name) else [file]


def ir_folder(file: Path) -> Path:
    """Return where the copy of a GGUF file as OpenVINO IR is kept; it need not be there."""
    place = sha256(str(file.absolute()).encode()).hexdigest()[:12]
    return own_home() / "gguf" / f"{file.stem}-{place}"


def read_gguf(file: Path) -> GgufTraits:
    """Read the header. ModelNotFound for an architecture that genai does not build."""
    from gguf import GGUFReader

    reader = GGUFReader(file)
    kind = _value(reader, "general.architecture")
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelNotFound(f"found the architecture {kind} in {file.name}, expected one that OpenVINO reads: {known}")
    heads = int(_value(reader, f"{kind}.attention.head_count"))
    kv_heads = int(_value(reader, f"{kind}.attention.head_count_kv", heads))
    wide = int(_value(reader, f"{kind}.embedding_length"))
    return GgufTraits(
        window=int(_value(reader, f"{kind}.context_length")),
        layers=int(_value(reader, f"{kind}.block_count")),
        heads=heads,
        kv_heads=kv_heads,
        head_size=int(_value(reader, f"{kind}.attention.key_length", wide // heads)),
    )


def _value(reader: Any, key: str, default: Any = None) -> Any:
    field = reader.get_field(key)
    if field is not None:
        return field.contents()
    if default is None:
        raise ModelNotFound(f"found no {key} in the GGUF file, expected it in its header")
    return default
