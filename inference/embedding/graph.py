"""Make any BERT-like graph give pooled sentence embeddings, safely in bfloat16."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from openvino import opset13 as ops

from pipeline.errors import ModelNotFound

Pooling = Literal["mean", "cls"]
POOLED: Final = "sentence_embedding"
HIDDEN: Final = "last_hidden_state"
_MASKED: Final = -1e4
_UNSAFE_BELOW: Final = -1e30
_HIDDEN_RANK: Final = 3


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model folder's configuration files say. window: longest input in tokens; pooling None: not said."""

    window: int
    pooling: Pooling | None


def read_traits(folder: Path) -> Traits:
    """Read `config.json` and the files of sentence-transformers beside it.

    The window is `max_seq_length` (sentence_bert_config.json), which its authors trained for, within
    `max_position_embeddings`; 512 where neither is there.
    """
    config = _json(folder / "config.json")
    positions = config.get("max_position_embeddings", 512)
    if "roberta" in config.get("model_type", ""):
        positions -= config.get("pad_token_id", 1) + 1  # RoBERTa counts positions from behind the padding id
    window = min(_json(folder / "sentence_bert_config.json").get("max_seq_length") or positions, positions)
    pooling = _json(folder / "1_Pooling" / "config.json")
    if not pooling:
        return Traits(window, None)
    modes = {key.removeprefix("pooling_mode_"): on for key, on in pooling.items() if key.startswith("pooling_mode_")}
    chosen = [mode for mode, on in modes.items() if on]
    if chosen == ["cls_token"]:
        return Traits(window, "cls")
    if chosen == ["mean_tokens"]:
        return Traits(window, "mean")
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


def tame_masks(model: Any) -> int:
    """Replace the lowest float, as attention masks use it, by -1e4; return how many constants were replaced.

    In bfloat16, the default of many CPUs, -3.4e38 becomes minus infinity and a padded batch loses its meaning
    (measured: cosine 0.23 to the float32 result). exp(-1e4) is 0 in every float format.
    """
    unsafe = [op for op in model.get_ops() if op.get_type_name() == "Constant" and _is_unsafe(op)]
    for op in unsafe:
        kind = op.get_element_type()
        tamed = ops.constant(np.full(op.get_output_shape(0), _MASKED, np.float32), kind)
        for target in op.output(0).get_target_inputs():
            target.replace_source_output(tamed.output(0))
    if unsafe:
        model.validate_nodes_and_infer_types()
    return len(unsafe)


def _is_unsafe(op: Any) -> bool:
    if not op.get_element_type().is_real() or int(np.prod(op.get_output_shape(0))) != 1:
        return False
    value = float(np.asarray(op.get_data()).reshape(-1)[0])
    return value < _UNSAFE_BELOW or (op.get_element_type().get_type_name() == "f16" and value < 2 * _MASKED)


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
    return _rebuilt(model, vectors.output(0))


def _only(model: Any, output: Any) -> Any:
    if len(model.outputs) == 1:
        return model
    kept = next(r for r in model.get_results() if POOLED in r.output(0).get_names() | r.input_value(0).get_names())
    return _rebuilt(model, kept.input_value(0)) if output else model


def _rebuilt(model: Any, output: Any) -> Any:
    import openvino

    return openvino.Model([ops.result(output)], model.get_parameters(), model.get_friendly_name())


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
