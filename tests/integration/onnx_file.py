"""Writes a tiny ONNX embedding model, without the `onnx` package: protobuf is little enough to write by hand.

`last_hidden_state[n, t] = table[input_ids[n, t] mod 256]`; the table is random, and the same every time. Field numbers
are those of onnx.proto (ONNX IR 8).
"""

from __future__ import annotations

import numpy as np

_FLOAT, _INT64 = 1, 7
SIZE = 8


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _node(kind: str, inputs: list[str], output: str) -> bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)


def _tensor(name: str, array: np.ndarray) -> bytes:
    kind = _FLOAT if array.dtype == np.float32 else _INT64
    dims = b"".join(_field(1, size) for size in array.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, array.tobytes())


def _value(name: str, kind: int, *dims: str | int) -> bytes:
    shape = b"".join(_field(1, _field(2 if isinstance(dim, str) else 1, dim)) for dim in dims)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def embedding_model() -> bytes:
    """Return the file's content: inputs as BERT has them, output `last_hidden_state` [n, tokens, 8]."""
    table = np.random.default_rng(7).normal(size=(256, SIZE)).astype(np.float32)
    zero = ["token_type_ids", "attention_mask"]
    nodes = [
        _node("Mod", ["input_ids", "modulus"], "row"),
        _node("Sub", [zero[0], zero[0]], "nothing"),
        _node("Add", ["row", "nothing"], "sum"),
        _node("Sub", [zero[1], zero[1]], "nothing too"),
        _node("Add", ["sum", "nothing too"], "index"),
        _node("Gather", ["table", "index"], "last_hidden_state"),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "tiny")
    graph += _field(5, _tensor("table", table)) + _field(5, _tensor("modulus", np.array(256, np.int64)))
    graph += b"".join(_field(11, _value(name, _INT64, "n", "tokens")) for name in ["input_ids", *zero])
    graph += _field(12, _value("last_hidden_state", _FLOAT, "n", "tokens", SIZE))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 17))
