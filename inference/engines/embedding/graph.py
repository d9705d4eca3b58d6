"""Make any BERT-like graph give pooled sentence embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from openvino import opset13 as ops

from fastembed.inference.engines.encoder.folder import read_json
from fastembed.inference.engines.encoder.graph import rebuilt, tame_masks
from fastembed.pipeline.errors import ModelNotFound

Pooling = Literal["mean", "cls"]
POOLED: Final = "sentence_embedding"
HIDDEN: Final = "last_hidden_state"
_POOLINGS: Final = {"cls_token": "cls", "mean_tokens": "mean"}
_HIDDEN_RANK: Final = 3


def read_pooling(folder: Path) -> Pooling | None:
    """Return what sentence-transformers' `1_Pooling/config.json` says, None where it is not there."""
    found = read_json(folder / "1_Pooling" / "config.json")
    if not found:
        return None
    chosen = [key.removeprefix("pooling_mode_") for key, on in found.items() if key.startswith("pooling_mode_") and on]
    if len(chosen) == 1 and chosen[0] in _POOLINGS:
        return cast("Pooling", _POOLINGS[chosen[0]])
    raise ModelNotFound(f"found pooling {chosen} in {folder}/1_Pooling/config.json, expected mean_tokens or cls_token")


def prepare(model: Any, pooling: Pooling | None, folder: Path) -> Any:
    """Return the openvino.Model with one output, float32 [n, d] called `sentence_embedding`.

    A graph that ends at the hidden states gets pooling and L2 normalisation appended, so that only [n, d] values leave
    the device. ModelNotFound says which outputs were found otherwise.
    """
    tame_masks(model)
    outputs = {name: output for output in model.outputs for name in output.get_names()}
    if POOLED in outputs:
        return _only(model, outputs[POOLED])
    hidden = outputs.get(HIDDEN) or (model.outputs[0] if len(model.outputs) == 1 else None)
    if hidden is None or hidden.get_partial_shape().rank.get_length() != _HIDDEN_RANK:
        raise ModelNotFound(
            f"found outputs {sorted(outputs)} in {folder}, expected {POOLED} [n, d] or {HIDDEN} [n, tokens, d]"
        )
    mask = next((p for p in model.get_parameters() if "attention_mask" in p.output(0).get_names()), None)
    if mask is None:
        raise ModelNotFound(f"found no input attention_mask in {folder}, expected one: it tells tokens from padding")
    source = model.get_results()[[o.get_any_name() for o in model.outputs].index(hidden.get_any_name())]
    return _pooled(model, source.input_value(0), mask, pooling or "mean")


def _pooled(model: Any, hidden: Any, mask: Any, pooling: Pooling) -> Any:
    axis = ops.constant(np.array([1], np.int64))
    if pooling == "cls":
        vectors = ops.squeeze(ops.slice(hidden, [0], [1], [1], [1]), axis)
    else:
        weights = ops.unsqueeze(ops.convert(mask, "f32"), ops.constant(np.array([2], np.int64)))
        total = ops.reduce_sum(ops.multiply(hidden, weights), axis)
        count = ops.maximum(ops.reduce_sum(weights, axis), ops.constant(np.float32(1e-9)))
        vectors = ops.divide(total, count)
    vectors = ops.normalize_l2(vectors, axis, 1e-12, "max")
    vectors.output(0).get_tensor().set_names({POOLED})
    return rebuilt(model, vectors.output(0))


def _only(model: Any, output: Any) -> Any:
    if len(model.outputs) == 1:
        return model
    kept = next(r for r in model.get_results() if POOLED in r.output(0).get_names() | r.input_value(0).get_names())
    return rebuilt(model, kept.input_value(0)) if output else model
