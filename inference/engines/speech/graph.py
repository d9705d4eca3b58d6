"""A Whisper's two networks, changed so that a pass costs what its sound is long.

The encoder that exporters write takes 30 s and nothing else: its positions are a constant of 1500 rows, and 1500 stands
in the targets of its reshapes. Both are edited here (Whisper's convolutions halve the frames, so n frames need n / 2
rows). The decoder takes any number of positions as it is.

The keys and values of the sound, to which every layer of the decoder attends, are computed by the encoder network,
once, and are plain inputs of the decoder. As exported they are states of the decoder, computed at its first step: with
dynamic shapes openvino 2026.4.1's CPU plugin then silently answers from another sound's states, or from freed memory.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import openvino as ov
import openvino.opset13 as op

_DECODER_INPUTS: Final = frozenset({"input_ids", "encoder_hidden_states", "beam_idx"})


def any_length(encoder: ov.Model) -> int:
    """Let an encoder take [batch, mels, frames] of any even number of frames up to its own; return its positions.

    RuntimeError where the graph is not what exporters write.
    """
    positions = int(encoder.output(0).get_partial_shape()[1].get_length())
    edits = sum(_edit(node, positions) for node in encoder.get_ops())
    mels = encoder.input(0).get_partial_shape()[1]
    encoder.reshape({encoder.input(0): [-1, mels, -1]})
    encoder.validate_nodes_and_infer_types()
    if not edits or encoder.output(0).get_partial_shape()[1].is_static:
        raise RuntimeError(f"found an encoder whose {positions} positions cannot be cut")
    return positions


def move_projections(encoder: ov.Model, decoder: ov.Model) -> ov.Model:
    """Return the encoder with the keys and values of the sound as outputs, and make them inputs of the decoder.

    Each is [batch, heads, positions, width]; input i of the decoder's `sound.i` is output i. The decoder keeps its
    states of the words. RuntimeError where the decoder is not what exporters write.
    """
    if {port.get_any_name() for port in decoder.inputs} != _DECODER_INPUTS:
        raise RuntimeError(f"found other inputs of the decoder than {', '.join(sorted(_DECODER_INPUTS))}")
    memories = [node.input_value(side).get_node() for node in _cross_attentions(decoder) for side in (1, 2)]
    if not memories:
        raise RuntimeError("found a decoder that keeps nothing of the sound")
    projections = [memory.input_value(0) for memory in memories]
    hidden = decoder.input("encoder_hidden_states").get_node()
    for target in list(hidden.output(0).get_target_inputs()):
        target.replace_source_output(encoder.get_results()[0].input_value(0))
    for place, memory in enumerate(memories):
        given = op.parameter(memory.get_output_partial_shape(0), ov.Type.f32, name=f"sound.{place}")
        given.output(0).set_names({f"sound.{place}"})
        for target in list(memory.output(0).get_target_inputs()):
            if target.get_node().get_type_name() == "Assign":
                _remove_state(decoder, target.get_node())
            else:
                target.replace_source_output(given.output(0))
        decoder.add_parameters([given])
    decoder.remove_parameter(hidden)
    decoder.validate_nodes_and_infer_types()
    return ov.Model([op.result(value) for value in projections], encoder.get_parameters(), "encoder")


def _edit(node: Any, positions: int) -> bool:
    kind = node.get_type_name()
    if kind == "Reshape":
        return _free_target(node, positions)
    return kind == "Add" and (_cut_positions(node, 0, positions) or _cut_positions(node, 1, positions))


def _free_target(node: Any, positions: int) -> bool:
    """Put -1 in the place of the number of positions in a reshape's target."""
    target = node.input_value(1).get_node()
    if target.get_type_name() != "Constant":
        return False
    shape = target.get_data().copy().reshape(-1)
    if positions not in shape.tolist():
        return False
    shape[shape == positions] = -1
    node.input(1).replace_source_output(op.constant(shape, dtype=target.get_element_type()).output(0))
    return True


def _cut_positions(node: Any, side: int, positions: int) -> bool:
    """Take as many rows of the positions, if they are this input of an addition, as the other input has."""
    value = node.input_value(side)
    shape = value.get_partial_shape()
    if not shape.is_static or list(shape.to_shape())[-2:-1] != [positions] or not _is_constant(value.get_node()):
        return False
    axis = len(shape.to_shape()) - 2
    length = op.gather(op.shape_of(node.input_value(1 - side)), op.constant(np.array([1])), op.constant(np.int64(0)))
    start, step, axes = (op.constant(np.array([number])) for number in (0, 1, axis))
    node.input(side).replace_source_output(op.slice(value, start, length, step, axes).output(0))
    return True


def _is_constant(node: Any) -> bool:
    """Whether it is a constant, maybe behind a conversion or what dequantises it."""
    while node.get_type_name() in ("Convert", "Multiply", "Subtract"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _cross_attentions(decoder: ov.Model) -> list[Any]:
    """Return the attentions to the sound, by layer: their keys are kept as they are, while those of words grow."""
    return [
        node
        for node in decoder.get_ordered_ops()
        if node.get_type_name() == "ScaledDotProductAttention"
        and node.input_value(1).get_node().get_type_name() in ("ReadValue", "Parameter")
    ]


def _remove_state(decoder: ov.Model, sink: Any) -> None:
    decoder.remove_sink(sink)
    decoder.remove_variable(decoder.get_variable_by_id(sink.get_variable_id()))
