"""The offsets of a GGUF file's blocks, put exactly into the graph that OpenVINO GenAI builds from it.

Blocks of the kinds Q4_1 and Q4_K are `scale * value - least`. OpenVINO GenAI 2026.4 writes that as `(value - zero) *
scale` with `zero = least / scale` rounded to a whole number of 0 to 15, which costs half a step of every weight on
average (SmolLM2-135M Q4_1: perplexity 37.2 instead of 28.75). Here the zeros become float16 numbers, which is what the
file says. Constants are told apart by their scales: the graph does not keep the tensors' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Scales = NDArray[np.float16]
Zeros = NDArray[np.float16]
Heads = Mapping[str, int]
"""How many heads the rows of `attn_q.weight` and `attn_k.weight` are for."""

OFFSET_KINDS: Final = frozenset({"Q4_1", "Q4_K"})
"""Kinds whose blocks have an offset that is no multiple of the scale."""


class Unmatched(ValueError):
    """A constant of the graph whose tensor is not found in the file."""


def offset_tensors(readers: Iterable[Any]) -> list[Any]:
    """Return the tensors, of gguf.GGUFReaders of a file's parts, whose blocks the graph holds inexactly."""
    return [tensor for reader in readers for tensor in reader.tensors if tensor.tensor_type.name in OFFSET_KINDS]


def put_offsets(model: Any, tensors: Sequence[Any], heads: Heads) -> int:
    """Replace the rounded zeros in an openvino.Model, in place; return how many constants.

    Raises Unmatched: the graph is not this file's, or of a form that is not known here.
    """
    from openvino import opset13 as ops

    known = {scales.tobytes(): zeros for scales, zeros in _tables(tensors, heads)}
    rounded = [op for op in model.get_ops() if op.get_type_name() == "Subtract" and _is_u4(op)]
    exact = 0
    for subtract in rounded:
        scales = _scales_of(subtract)
        zeros = known.get(scales.tobytes())
        if zeros is not None:
            kind = subtract.get_output_element_type(0)
            constant = ops.constant(zeros[..., None])
            source = constant if kind.get_type_name() == "f16" else ops.convert(constant, kind.get_type_name())
            subtract.input(1).replace_source_output(source.output(0))
            exact += 1
    if exact < len(tensors):
        raise Unmatched(f"{exact} constants of the graph match the file's {len(tensors)} tensors with offsets")
    return exact


def _is_u4(subtract: Any) -> bool:
    convert = subtract.input_value(0).get_node()
    if convert.get_type_name() != "Convert":
        return False
    return bool(convert.input_value(0).get_element_type().get_type_name() == "u4")


def _scales_of(subtract: Any) -> Scales:
    """Return the constant that the difference is multiplied with, float16 [rows, blocks]."""
    [target] = subtract.output(0).get_target_inputs()
    multiply = target.get_node()
    sources = [multiply.input_value(place).get_node() for place in range(multiply.get_input_size())]
    constant = next(node for node in sources if node.get_friendly_name() != subtract.get_friendly_name())
    while constant.get_type_name() != "Constant":
        constant = constant.input_value(0).get_node()
    found = np.asarray(constant.get_data()).astype(np.float16)
    return found.reshape(found.shape[0], -1)


def _tables(tensors: Iterable[Any], heads: Heads) -> Iterator[tuple[Scales, Zeros]]:
    """Give each tensor's scales and zeros; those of rotated heads in the order of llama.cpp and in the graph's."""
    for tensor in tensors:
        rows = int(tensor.shape[1])
        scales, zeros = (_q4_1 if tensor.tensor_type.name == "Q4_1" else _q4_k)(np.asarray(tensor.data), rows)
        yield scales, zeros
        name = ".".join(tensor.name.split(".")[-2:])
        count = heads.get(name, 0)
        if count and rows % (2 * count) == 0:
            order = np.arange(rows).reshape(count, -1, 2).swapaxes(1, 2).reshape(-1)
            yield scales[order], zeros[order]


def _q4_1(data: NDArray[np.uint8], rows: int) -> tuple[Scales, Zeros]:
    """Read blocks of 32: float16 scale, float16 least value, 16 bytes."""
    halves = data.reshape(rows, -1, 20)[..., :4].copy().view(np.float16)
    return _with_zeros(halves[..., 0].astype(np.float32), halves[..., 1].astype(np.float32))


def _q4_k(data: NDArray[np.uint8], rows: int) -> tuple[Scales, Zeros]:
    """Read superblocks of 256: float16 scale of scales and of leasts, 8 times 6 bits of each, 128 bytes."""
    blocks = data.reshape(rows, -1, 144)
    halves = blocks[..., :4].copy().view(np.float16).astype(np.float32)
    packed = blocks[..., 4:16]
    low, middle, high = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    steps = np.concatenate([low & 63, (high & 15) | (low >> 6) << 4], axis=-1).astype(np.float32)
    leasts = np.concatenate([middle & 63, (high >> 4) | (middle >> 6) << 4], axis=-1).astype(np.float32)
    scales = (halves[..., :1] * steps).reshape(rows, -1)
    return _with_zeros(scales, -(halves[..., 1:] * leasts).reshape(rows, -1))


def _with_zeros(scales: NDArray[np.float32], leasts: NDArray[np.float32]) -> tuple[Scales, Zeros]:
    """Return both as float16; a block without a scale has no zero either."""
    narrow = scales.astype(np.float16)
    divisor = narrow.astype(np.float32)
    zeros = np.divide(-leasts, divisor, out=np.zeros_like(leasts), where=divisor != 0)
    return narrow, zeros.astype(np.float16)
