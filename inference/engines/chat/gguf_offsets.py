"""The offsets of a GGUF file's blocks, put exactly into the graph that OpenVINO GenAI builds from it.

Blocks of the kinds Q4_1 and Q4_K are `scale * value - least`. OpenVINO GenAI 2026.4 writes that as `(value - zero) *
scale` with `zero = least / scale` rounded to a whole number of 0 to 15, which costs half a step of every weight on
average (SmolLM2-135M Q4_1: perplexity 37.2 instead of 28.75). Here the zeros become float16 numbers, which is what the
file says. Constants are told apart by their scales: the graph does not keep the tensors' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Scales = NDArray[np.float16]
Heads = Mapping[str, int]
"""How many heads the rows of `attn_q.weight` and `attn_k.weight` are for."""

OFFSET_KINDS: Final = frozenset({"Q4_1", "Q4_K"})
"""Kinds whose blocks have an offset that is no multiple of the scale."""


_LARGE_ZERO: Final = 30_000.0  # float16 ends at 65504
_LEAST_SCALE: Final = float(np.finfo(np.float16).smallest_subnormal)


class Unmatched(ValueError):
    """A constant of the graph whose tensor is not found in the file."""


def offset_tensors(readers: Iterable[Any]) -> list[Any]:
    """Return the tensors, of gguf.GGUFReaders of a file's parts, whose blocks the graph holds inexactly."""
    return [tensor for reader in readers for tensor in reader.tensors if tensor.tensor_type.name in OFFSET_KINDS]


def put_offsets(model: Any, tensors: Sequence[Any], heads: Heads) -> int:
    """Replace the rounded zeros in an openvino.Model, in place; return how many constants.

    Raises Unmatched: the graph is not this file's, or of a form that is not known here.
    """
    known = {table.scales.tobytes(): table for table in _tables(tensors, heads)}
    rounded = [op for op in model.get_ops() if op.get_type_name() == "Subtract" and _is_u4(op)]
    exact = 0
    for subtract in rounded:
        scales, port = _scales_of(subtract)
        table = known.get(scales.tobytes())
        if table is not None:
            kind = subtract.get_output_element_type(0).get_type_name()
            _replace(subtract.input(1), table.zeros, kind)
            if table.without_scale:
                _replace(port, table.usable_scales, kind)
            exact += 1
    if exact < len(tensors):
        raise Unmatched(f"{exact} constants of the graph match the file's {len(tensors)} tensors with offsets")
    return exact


def _is_u4(subtract: Any) -> bool:
    convert = subtract.input_value(0).get_node()
    if convert.get_type_name() != "Convert":
        return False
    return bool(convert.input_value(0).get_element_type().get_type_name() == "u4")


def _replace(port: Any, values: NDArray[np.float16], kind: str) -> None:
    """Have an input read other numbers, [rows, blocks]."""
    from openvino import opset13 as ops

    constant = ops.constant(values[..., None])
    source = constant if kind == "f16" else ops.convert(constant, kind)
    port.replace_source_output(source.output(0))


def _scales_of(subtract: Any) -> tuple[Scales, Any]:
    """Return the constant that the difference is multiplied with, float16 [rows, blocks], and where it enters."""
    [target] = subtract.output(0).get_target_inputs()
    other = 1 - target.get_index()
    constant = target.get_node().input_value(other).get_node()
    while constant.get_type_name() != "Constant":
        constant = constant.input_value(0).get_node()
    found = np.asarray(constant.get_data()).astype(np.float16)
    return found.reshape(found.shape[0], -1), target.get_node().input(other)


@dataclass(frozen=True, slots=True)
class _Table:
    """A tensor's scales as the graph has them, its zeros, and scales for blocks that have none, [rows, blocks]."""

    scales: NDArray[np.float16]
    zeros: NDArray[np.float16]
    usable_scales: NDArray[np.float16]

    @property
    def without_scale(self) -> bool:
        """Whether there are blocks whose values are all one number that is not 0."""
        return bool((self.usable_scales != self.scales).any())

    def in_order(self, rows: NDArray[np.int64]) -> _Table:
        """Return it with its rows in another order."""
        return _Table(self.scales[rows], self.zeros[rows], self.usable_scales[rows])


def _tables(tensors: Iterable[Any], heads: Heads) -> Iterator[_Table]:
    """Give each tensor's scales and zeros; those of rotated heads in the order of llama.cpp and in the graph's."""
    for tensor in tensors:
        rows = int(tensor.shape[1])
        table = (_q4_1 if tensor.tensor_type.name == "Q4_1" else _q4_k)(np.asarray(tensor.data), rows)
        yield table
        name = ".".join(tensor.name.split(".")[-2:])
        count = heads.get(name, 0)
        if count and rows % (2 * count) == 0:
            order = np.arange(rows).reshape(count, -1, 2).swapaxes(1, 2).reshape(-1)
            yield table.in_order(order)


def _q4_1(data: NDArray[np.uint8], rows: int) -> _Table:
    """Read blocks of 32: float16 scale, float16 least value, 16 bytes."""
    halves = data.reshape(rows, -1, 20)[..., :4].copy().view(np.float16)
    return _with_zeros(halves[..., 0].astype(np.float32), halves[..., 1].astype(np.float32))


def _q4_k(data: NDArray[np.uint8], rows: int) -> _Table:
    """Read superblocks of 256: float16 scale of scales and of leasts, 8 times 6 bits of each, 128 bytes."""
    blocks = data.reshape(rows, -1, 144)
    halves = blocks[..., :4].copy().view(np.float16).astype(np.float32)
    packed = blocks[..., 4:16]
    low, middle, high = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    steps = np.concatenate([low & 63, (high & 15) | (low >> 6) << 4], axis=-1).astype(np.float32)
    leasts = np.concatenate([middle & 63, (high >> 4) | (middle >> 6) << 4], axis=-1).astype(np.float32)
    scales = (halves[..., :1] * steps).reshape(rows, -1)
    return _with_zeros(scales, -(halves[..., 1:] * leasts).reshape(rows, -1))


def _with_zeros(scales: NDArray[np.float32], leasts: NDArray[np.float32]) -> _Table:
    """Return the table. A block without a scale gets one so small that the zero alone counts."""
    narrow = scales.astype(np.float16)
    far = np.abs(leasts) > _LARGE_ZERO * np.abs(narrow.astype(np.float32))
    usable = np.where(far, np.maximum(np.abs(leasts) / _LARGE_ZERO, _LEAST_SCALE), narrow).astype(np.float16)
    divisor = usable.astype(np.float32)
    zeros = np.divide(-leasts, divisor, out=np.zeros_like(leasts), where=divisor != 0)
    return _Table(narrow, zeros.astype(np.float16), usable)
