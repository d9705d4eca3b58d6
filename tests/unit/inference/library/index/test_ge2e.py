"""The GE2E encoder out of a checkpoint in PyTorch's old form, written here without PyTorch."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import openvino
import pytest

from fastembed.inference.library.index.ge2e import SOURCE, build
from fastembed.pipeline.errors import ModelNotFound

CELLS = 256


class FloatStorage:
    """Stands for PyTorch's class of this name."""

    def __init__(self, key: str) -> None:
        self.key = key


def _rebuild_tensor_v2(*_: object) -> None:
    """Stands for PyTorch's function of this name."""


class Tensor:
    """A tensor that is pickled as PyTorch's are."""

    def __init__(self, values: np.ndarray, key: str) -> None:
        self.values, self.storage = values, FloatStorage(key)

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(step // 4 for step in self.values.strides)
        return _rebuild_tensor_v2, (self.storage, 0, self.values.shape, strides, False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, found: object) -> object:
        return ("storage", FloatStorage, found.key, "cpu", 0, None) if isinstance(found, FloatStorage) else None


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    found = {
        f"lstm.{kind}_{side}_l{layer}": random.normal(0, 0.05, shape).astype(np.float32)
        for layer in range(3)
        for kind, side, shape in (
            ("weight", "ih", (4 * CELLS, CELLS if layer else 40)),
            ("weight", "hh", (4 * CELLS, CELLS)),
            ("bias", "ih", (4 * CELLS,)),
            ("bias", "hh", (4 * CELLS,)),
        )
    }
    return {
        **found,
        "linear.weight": random.normal(0, 0.1, (CELLS, CELLS)).astype(np.float32),
        "linear.bias": random.normal(0, 0.1, CELLS).astype(np.float32),
    }


def checkpoint(weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return the file: three pickles about it, the object, the keys, the values."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    torch.FloatStorage, utils._rebuild_tensor_v2 = FloatStorage, _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    monkeypatch.setattr(FloatStorage, "__module__", "torch")
    monkeypatch.setattr(_rebuild_tensor_v2, "__module__", "torch._utils")
    keys = {name: str(place) for place, name in enumerate(weights)}
    file = io.BytesIO()
    for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(header, file, protocol=2)
    Pickler(file, 2).dump({"model_state": OrderedDict((name, Tensor(weights[name], keys[name])) for name in weights)})
    pickle.dump(list(keys.values()), file, protocol=2)
    for values in weights.values():
        file.write(struct.pack("<q", values.size) + values.tobytes())
    return file.getvalue()


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def expected(weights: dict[str, np.ndarray], mel: np.ndarray) -> np.ndarray:
    """Return the embedding of [frames, 40] by the equations of PyTorch's LSTM."""
    given = mel
    for layer in range(3):
        inner, outer = weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"]
        bias = weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"]
        hidden, cell, states = np.zeros(CELLS), np.zeros(CELLS), []
        for frame in given:
            i, f, g, o = np.split(inner @ frame + outer @ hidden + bias, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            states.append(hidden)
        given = np.array(states)
    found = np.maximum(weights["linear.weight"] @ given[-1] + weights["linear.bias"], 0)
    return found / np.linalg.norm(found)


def test_the_graph_computes_what_the_checkpoint_s_network_does(
    weights: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SOURCE).write_bytes(checkpoint(weights, monkeypatch))
    build(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"openvino_model.xml", "openvino_model.bin", "config.json"}
    mel = np.random.default_rng(1).random((2, 5, 40)).astype(np.float32)
    compiled = openvino.Core().compile_model(
        tmp_path / "openvino_model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    np.testing.assert_allclose(compiled(mel)[0], [expected(weights, one) for one in mel], atol=1e-5)


def test_any_other_pickle_is_refused_and_nothing_of_it_runs(tmp_path: Path) -> None:
    (tmp_path / SOURCE).write_bytes(pickle.dumps(Path("/")))
    with pytest.raises(ModelNotFound, match=r"found another network in pretrained.pt, expected GE2E's: found pathlib"):
        build(tmp_path)
