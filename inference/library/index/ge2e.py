"""The GE2E speaker encoder (Wan et al. 2018) as an OpenVINO graph, built from `resemblyzer`'s checkpoint.

The checkpoint is a file of the old form of PyTorch, which is read here without PyTorch: three pickles about the file,
one of the object, one with the keys of its storages, then every storage as `<q` count and that many `<f4`. Only what a
table of tensors needs is unpickled; any other class is refused. Two thirds of the file are the optimiser's.

The network: three LSTM layers of 256 cells over a mel spectrogram [n, frames, 40], ReLU(Linear(the last state)), scaled
to unit length. PyTorch has the gates as input, forget, cell, output; OpenVINO as forget, input, cell, output.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import ModelNotFound

SOURCE: Final = "pretrained.pt"
MODEL_TYPE: Final = "ge2e"
_LAYERS: Final = 3
_CELLS: Final = 256
_MELS: Final = 40
_HEADERS: Final = 3
_FLOATS: Final = "FloatStorage"

_Weights = dict[str, NDArray[np.float32]]


class _TensorUnpickler(pickle.Unpickler):
    """Reads a table of tensors; a storage is its type's name and its key."""

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what stands for a class of PyTorch. UnpicklingError: any other."""
        if module == "torch" and name.endswith("Storage"):
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"found {module}.{name}, expected tensors")

    def persistent_load(self, found: Any, /) -> tuple[str, str]:
        """Return the type and the key of a storage."""
        return found[1], found[2]


def build(folder: Path) -> None:
    """Turn the checkpoint in `folder` into a model's folder, in place. ModelNotFound: it is of another network."""
    import openvino

    source = folder / SOURCE
    try:
        with source.open("rb") as file:
            weights = _read(file)
        model = _graph(weights)
    except (pickle.UnpicklingError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelNotFound(f"found another network in {SOURCE}, expected GE2E's: {error}") from error
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    config = {"model_type": MODEL_TYPE, "mels": _MELS, "dimensions": _CELLS}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    source.unlink()


def _read(file: IO[bytes]) -> _Weights:
    for _ in range(_HEADERS):  # a magic number, the protocol, the sizes of numbers
        _TensorUnpickler(file).load()
    tensors = _TensorUnpickler(file).load()["model_state"]
    storages: _Weights = {}
    for key in _TensorUnpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(4 * count), "<f4")
    return {name: _tensor(storages, *found) for name, found in tensors.items() if found[0][0] == _FLOATS}


def _tensor(
    storages: _Weights, storage: tuple[str, str], offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> NDArray[np.float32]:
    values = storages[storage[1]][offset:]
    if values.size < 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True)):
        raise ValueError("found too few values of a tensor")
    return np.lib.stride_tricks.as_strided(values, size, [values.itemsize * step for step in stride]).copy()


def _graph(weights: _Weights) -> Any:
    import openvino
    from openvino import opset13 as ops

    mel = ops.parameter([-1, -1, _MELS], np.float32, name="mel")
    mel.output(0).set_names({"mel"})
    shape, first = ops.shape_of(mel), ops.constant(np.int64(0))
    count = ops.unsqueeze(ops.gather(shape, first, first), first)
    frames = ops.broadcast(ops.gather(shape, ops.constant(np.int64(1)), first), count)
    inner = ops.constant(np.array([1, _CELLS], np.int64))
    zero = ops.broadcast(ops.constant(np.float32(0)), ops.concat([count, inner], 0))
    direction = ops.constant(np.int64(1))
    last = hidden = mel
    for layer in range(_LAYERS):
        given, cells = weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"]
        bias = weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"]
        gates = [ops.constant(_reordered(values)[None]) for values in (given, cells, bias)]
        sequence = ops.lstm_sequence(hidden, zero, zero, frames, *gates, _CELLS, "forward")
        hidden = ops.squeeze(sequence.output(0), direction)
        last = ops.squeeze(sequence.output(1), direction)
    linear = ops.matmul(last, ops.constant(weights["linear.weight"]), transpose_a=False, transpose_b=True)
    positive = ops.relu(ops.add(linear, ops.constant(weights["linear.bias"])))
    embedding = ops.normalize_l2(positive, ops.constant(np.array([1], np.int64)), 1e-12, "add")
    embedding.output(0).set_names({"embedding"})
    return openvino.Model([embedding], [mel], MODEL_TYPE)


def _reordered(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the gates in OpenVINO's order."""
    taken, forgotten, cell, output = np.split(values, 4, 0)
    return np.ascontiguousarray(np.concatenate([forgotten, taken, cell, output], 0))
