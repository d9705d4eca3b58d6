"""A cross-encoder on one device: batches of pairs in, one number each out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from openvino import opset13 as ops

from fastembed.inference.engines.encoder.engine import EncoderEngine
from fastembed.inference.engines.encoder.folder import model_file, read_traits
from fastembed.inference.engines.encoder.graph import rebuilt, tame_masks
from fastembed.inference.library.devices import Devices
from fastembed.pipeline.errors import ModelNotFound

_LOGITS: Final = "logits"
_LABELS: Final = (1, 2)
_AFTER_HEAD: Final = frozenset({"Add", "Convert", "Reshape", "Squeeze"})


class RerankEngine(EncoderEngine):
    """The encoder of a folder, which gives one or two logits a pair (BERT, XLM-RoBERTa and the like)."""

    def __init__(
        self,
        folder: Path,
        devices: Devices,
        device: str = "CPU",
        *,
        lengths: Sequence[int] | None = None,
        **properties: Any,
    ) -> None:
        """Read, prepare and compile; `lengths` and `properties` are `EncoderEngine`'s.

        Raises ModelNotFound when the folder holds no cross-encoder, RuntimeError when the device cannot compile it.
        """
        model = devices.core.read_model(model_file(folder))
        tame_masks(model)
        model = _scoring(model, folder)
        unpack_head(model, devices.core)
        super().__init__(model, read_traits(folder), devices, device, lengths=lengths, **properties)


def _scoring(model: Any, folder: Path) -> Any:
    """Return the graph with its logits as the one output."""
    outputs = {name: place for place, output in enumerate(model.outputs) for name in output.get_names()}
    place = outputs.get(_LOGITS, 0 if len(model.outputs) == 1 else None)
    shape = None if place is None else model.outputs[place].get_partial_shape()
    if place is None or shape is None or len(shape) != 2 or shape[1].is_dynamic:  # noqa: PLR2004 - pairs, labels
        raise ModelNotFound(f"found outputs {sorted(outputs)} in {folder}, expected {_LOGITS} [n, 1 or 2]")
    labels = shape[1].get_length()
    if labels not in _LABELS:
        raise ModelNotFound(f"found {labels} labels in {folder}, expected 1 or 2: a classifier is no reranker")
    if len(model.outputs) == 1:
        return model
    return rebuilt(model, model.get_results()[place].input_value(0))


def unpack_head(model: Any, core: Any) -> bool:
    """Replace the last layer's packed weights by floats; return whether they were packed.

    OpenVINO 2026.4's CPU plug-in multiplies by int8 weights of one row wrongly when it computes in bfloat16 on several
    streams (a logit of 0.02 comes out as 593). The row is a few hundred values long: as floats it costs nothing.
    """
    import openvino

    node = model.get_results()[0].input_value(0).get_node()
    while node.get_type_name() in _AFTER_HEAD:
        node = node.input_value(0).get_node()
    if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() == "Constant":
        return False
    packed = node.input_value(1)
    try:
        alone = openvino.Model([ops.result(packed)], [], "head")
    except RuntimeError:  # what it multiplies by depends on the input: no weights
        return False
    weights = core.compile_model(alone, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([])[0]
    node.input(1).replace_source_output(ops.constant(np.array(weights, np.float32)).output(0))
    model.validate_nodes_and_infer_types()
    return True
