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
KINDS: Final = frozenset({"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q4_K", "Q6_K", "Q8_0"})
"""The kinds of tensors that it reads; Q5_K_M files, for one, have others."""
_FILE_TYPE: Final = "general.file_type"


@dataclass(frozen=True, slots=True)
class GgufTraits:
    """Of a file's header: context in tokens, layers, heads (queries; keys and values), numbers a head, parameters."""

    window: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    parameters: int


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
    """Read the header. ModelNotFound for what genai does not read: it would only say `unordered_map::at`, if at all."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except (ValueError, IndexError, OverflowError) as error:  # what gguf raises for other files, and for cut ones
        raise ModelNotFound(f"{file.name} is no whole GGUF file: {error}") from error
    kind = _value(reader, "general.architecture")
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelNotFound(f"found the architecture {kind} in {file.name}, expected one that OpenVINO reads: {known}")
    if reader.get_field(_FILE_TYPE) is None:
        raise ModelNotFound(
            f"found no {_FILE_TYPE} in {file.name}, which OpenVINO needs to read it: convert the model anew with "
            "llama.cpp's converter, or take another file of it"
        )
    others = sorted({tensor.tensor_type.name for tensor in reader.tensors} - KINDS)
    if others:
        raise ModelNotFound(
            f"found tensors of {', '.join(others)} in {file.name}, expected kinds that OpenVINO reads: "
            f"{', '.join(sorted(KINDS))}; take a Q4_0, Q8_0 or F16 file of the model"
        )
    heads = int(_value(reader, f"{kind}.attention.head_count"))
    kv_heads = int(_value(reader, f"{kind}.attention.head_count_kv", heads))
    wide = int(_value(reader, f"{kind}.embedding_length"))
    return GgufTraits(
        window=int(_value(reader, f"{kind}.context_length")),
        layers=int(_value(reader, f"{kind}.block_count")),
        heads=heads,
        kv_heads=kv_heads,
        parameters=sum(int(tensor.n_elements) for tensor in reader.tensors),
        head_size=int(_value(reader, f"{kind}.attention.key_length", wide // heads)),
    )


def _value(reader: Any, key: str, default: Any = None) -> Any:
    field = reader.get_field(key)
    if field is not None:
        return field.contents()
    if default is None:
        raise ModelNotFound(f"found no {key} in the GGUF file, expected it in its header")
    return default
