"""Kokoro-82M as an OpenVINO model, built from the parts of an ONNX file and a vocabulary.

The file measures and quantises the input of each of its 235 large layers at run time (DynamicQuantizeLinear), which
OpenVINO's CPU plug-in gains nothing from: it multiplies in floats all the same. So the layers take their inputs as they
are; the int8 weights stay. Measured (OpenVINO 2026.4): as fast in f32, twice as fast in bf16, two thirds of the memory,
the same words heard.

OpenVINO GenAI wants three inputs (input_ids, ref_s, speed), the waveform as [1, samples], and a config.json with the
vocabulary of phonemes and the most of them that the text encoder takes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.errors import ModelNotFound

PARTS: Final = 4
VOCABULARY: Final = "vocab.json"
_ONNX: Final = "kokoro.onnx"
_INPUTS: Final = ("input_ids", "ref_s", "speed")
_POSITIONS: Final = 512


def part(number: int) -> str:
    """Return the name of a part of the ONNX file."""
    return f"{_ONNX}.{number}"


def build(folder: Path) -> None:
    """Turn the parts in `folder` into a model's folder, in place. ModelNotFound: they are of another network."""
    import openvino

    source = folder / _ONNX
    with source.open("wb") as whole:
        for number in range(1, PARTS + 1):
            with (folder / part(number)).open("rb") as piece:
                shutil.copyfileobj(piece, whole, 1 << 20)
            (folder / part(number)).unlink()
    model = openvino.Core().read_model(source)
    _rename(model)
    unquantise(model)
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    vocabulary = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))["vocab"]
    config = {"model_type": "kokoro", "vocab": vocabulary, "plbert": {"max_position_embeddings": _POSITIONS}}
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / VOCABULARY).unlink()
    source.unlink()


def unquantise(model: Any) -> int:
    """Have layers whose inputs are quantised at run time take them as they are; return how many there were."""
    found = [layer for layer in map(_quantised, model.get_ordered_ops()) if layer is not None]
    for layer in found:
        layer.replace()
    model.validate_nodes_and_infer_types()
    return len(found)


@dataclass(frozen=True, slots=True)
class _QuantisedLayer:
    """A MatMul or Convolution of integers. scaled: the last node of its pattern, whose output is float again.

    round_: the rounding of the input, behind which nothing of the float input is left. weights, zero, scale, bias: its
    constants; bias None: it has none here.
    """

    layer: Any
    round_: Any
    weights: Any
    zero: Any
    scale: Any
    bias: Any
    scaled: Any

    def replace(self) -> None:
        """Put a layer of floats in its place: input * ((weights - zero) * scale) + bias."""
        import numpy as np
        from openvino import opset13 as ops

        # what is rounded is the input times 255 over its range
        given = self.round_.input_value(0).get_node().input_value(0).get_node().input_value(0)
        whole = ops.convert(ops.constant(self.weights.data), "f32")
        centred = ops.subtract(whole, ops.constant(self.zero.data.astype(np.float32)))
        weights = ops.multiply(centred, ops.constant(self.scale.data))
        settings = self.layer.get_attributes()
        if self.layer.get_type_name() == "MatMul":
            result = ops.matmul(given, weights, settings["transpose_a"], settings["transpose_b"])
        else:
            places = (settings[name] for name in ("strides", "pads_begin", "pads_end", "dilations"))
            result = ops.convolution(given, weights, *places)
        if self.bias is not None:
            rank = len(result.output(0).get_partial_shape())
            result = ops.add(result, ops.constant(self.bias.data.reshape(1, -1, *[1] * (rank - 2))))
        self.scaled.output(0).replace(result.output(0))


def _quantised(node: Any) -> _QuantisedLayer | None:
    """Return the pattern that a node is the middle of, None: it is another kind of layer."""
    if node.get_type_name() not in ("MatMul", "Convolution"):
        return None
    round_ = _up(node, 0, "Subtract", "Convert", "Convert", "Clamp", "Add", "Round")
    weights = _up(node, 1, "Subtract", "Convert", "Constant")
    if round_ is None or weights is None or _up(round_, 0, "Divide", "Multiply") is None:
        return None
    zero = _up(node.input_value(1).get_node(), 1, "Convert", "Constant")
    below, bias = _below(node), None
    if below.get_type_name() == "Add":  # the bias is quantised at run time, too
        bias = _up(below, 1, "Reshape", "Convert", "Floor", "Divide", "Constant")
        below = _below(below)
    scaled = _below(below)
    scale = scaled.input_value(1).get_node().input_value(1).get_node()
    if below.get_type_name() != "Convert" or scaled.get_type_name() != "Multiply" or zero is None:
        return None
    return _QuantisedLayer(node, round_, weights, zero, scale, bias, scaled)


def _up(node: Any, place: int, *kinds: str) -> Any:
    """Return what stands above a node's input, along nodes of these kinds; None where one is of another."""
    for kind in kinds:
        node = node.input_value(place).get_node()
        if node.get_type_name() != kind:
            return None
        place = 0
    return node


def _below(node: Any) -> Any:
    return next(iter(node.output(0).get_target_inputs())).get_node()


def _rename(model: Any) -> None:
    """Give the graph the inputs and outputs that OpenVINO GenAI looks for."""
    import numpy as np
    from openvino import opset13 as ops

    if len(model.inputs) != len(_INPUTS) or len(model.outputs) != 1:
        raise ModelNotFound(f"found {len(model.inputs)} inputs in {_ONNX}, expected tokens, style and speed")
    for found, name in zip(model.inputs, _INPUTS, strict=True):
        found.get_node().set_friendly_name(name)
        found.set_names({name})
    result = model.get_results()[0]
    flat = ops.reshape(result.input(0).get_source_output(), ops.constant(np.array([1, -1], np.int64)), False)
    flat.output(0).set_names({"waveform"})
    ids = ops.add(model.inputs[0], ops.constant(np.int64(0)))
    ids.output(0).set_names({"phonemes"})
    model.remove_result(result)
    model.add_results([ops.result(flat), ops.result(ids)])
    model.validate_nodes_and_infer_types()
