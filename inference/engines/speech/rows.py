"""A decoder's graph, changed so that the rows of a batch may differ: in what was said before, and in how long they are.

Exporters write a decoder whose batch has one length: the positions of tokens are counted from the states' length, and
every row sees all that came before. Here both become inputs, so that sessions and pieces of recordings share the
decoder's weights, which are most of what a step costs (a step of 8 rows costs as much as three steps of one).

    positions  i64 [batch, tokens]                 which position of its row each token has
    unseen     f32 [batch, 1, 1, past + tokens]    0 for what a row said, _NEVER for what fills it up or was taken back
    beyond     f32 [batch, 1, 1, sound]            0 for a row's own sound, _NEVER behind it
    wanted     i64 [n]                             of which of the batch * tokens places the logits are computed

Logits are [n, vocabulary]: they cost more than all layers, and of a prompt or of what fills up a row nobody wants them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import openvino as ov
import openvino.opset13 as op

NEVER: Final = -65_504.0
"""What is added to the scores of what must not be seen: f16's lowest number, as exporters write it."""


def free_rows(decoder: ov.Model) -> None:
    """Give a decoder, whose `sound.*` are inputs, the inputs above. RuntimeError: it is not what exporters write."""
    attentions = [node for node in decoder.get_ordered_ops() if node.get_type_name() == "ScaledDotProductAttention"]
    crossing = [node for node in attentions if _attends_sound(node)]
    own = [node for node in attentions if node not in crossing]
    head = decoder.get_results()[0].input_value(0).get_node()
    if not own or not crossing or head.get_type_name() != "MatMul":
        raise RuntimeError("found no decoder of attentions to words and to sound, and a matrix behind them")
    parameters = [
        _place_tokens(decoder, head),
        _hide_words(own),
        _hide_sound(crossing),
        _choose_places(head),
    ]
    decoder.add_parameters(parameters)
    decoder.validate_nodes_and_infer_types()


def add_queries(decoder: ov.Model, heads: Iterable[Sequence[int]]) -> list[tuple[int, tuple[int, ...]]]:
    """Add an output a layer that has alignment heads: what they look for in the sound, [batch, heads, tokens, width].

    Return the layers and which heads each of these outputs holds, in order. The scores are these times the sound's
    keys: computed where times are wanted, they cost nothing elsewhere.
    """
    crossing = [
        node
        for node in decoder.get_ordered_ops()
        if node.get_type_name() == "ScaledDotProductAttention" and _attends_sound(node)
    ]
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)
    outputs = []
    for layer, numbers in sorted(by_layer.items()):
        if layer >= len(crossing):
            raise RuntimeError(f"found alignment heads in layer {layer}, expected one of {len(crossing)}")
        query = crossing[layer].input_value(0)
        chosen = op.gather(query, op.constant(np.array(numbers, np.int64)), op.constant(np.int64(1)))
        outputs.append(op.result(op.multiply(chosen, op.constant(np.float32(_scale(crossing[layer]))))))
    decoder.add_results(outputs)
    decoder.validate_nodes_and_infer_types()
    return [(layer, tuple(numbers)) for layer, numbers in sorted(by_layer.items())]


def _attends_sound(attention: Any) -> bool:
    keys = attention.input_value(1).get_node()
    return bool(keys.get_type_name() == "Parameter" and keys.output(0).get_any_name().startswith("sound."))


def _parameter(name: str, kind: Any, shape: list[int]) -> Any:
    made = op.parameter(ov.PartialShape(shape), kind, name=name)
    made.output(0).set_names({name})
    return made


def _place_tokens(decoder: ov.Model, head: Any) -> Any:
    """Take the positions of tokens from outside."""
    vocabulary = head.output(0).get_partial_shape()[2].get_length()
    width = head.input_value(0).get_partial_shape()[2].get_length()
    positions = _parameter("positions", ov.Type.i64, [-1, -1])
    for node in decoder.get_ordered_ops():
        table = node.input_value(0).get_partial_shape() if node.get_type_name() == "Gather" else None
        if table is None or not table.is_static or len(table.to_shape()) != 2:  # noqa: PLR2004 - a table
            continue
        if table.to_shape()[1] == width and table.to_shape()[0] != vocabulary:
            node.input(1).replace_source_output(positions.output(0))
            return positions
    raise RuntimeError("found no positions of tokens in the decoder")


def _hide_words(attentions: Sequence[Any]) -> Any:
    """Add what a row must not see to the mask of the attention to words."""
    unseen = _parameter("unseen", ov.Type.f32, [-1, 1, 1, -1])
    mask = attentions[0].input_value(3)
    sums = op.add(mask, unseen)
    for attention in attentions:
        if attention.input_value(3) != mask:
            raise RuntimeError("found a mask a layer, expected one")
        attention.input(3).replace_source_output(sums.output(0))
    return unseen


def _hide_sound(attentions: Sequence[Any]) -> Any:
    """Put what lies behind a row's sound in the place of the mask of the attention to it, which hides nothing."""
    beyond = _parameter("beyond", ov.Type.f32, [-1, 1, 1, -1])
    for attention in attentions:
        attention.input(3).replace_source_output(beyond.output(0))
    return beyond


def _choose_places(head: Any) -> Any:
    """Compute the logits of the chosen places only."""
    wanted = _parameter("wanted", ov.Type.i64, [-1])
    hidden = head.input_value(0)
    width = hidden.get_partial_shape()[2].get_length()
    places = op.reshape(hidden, op.constant(np.array([-1, width], np.int64)), special_zero=False)
    head.input(0).replace_source_output(op.gather(places, wanted, op.constant(np.int64(0))).output(0))
    return wanted


def _scale(attention: Any) -> float:
    """Return what the attention multiplies its scores by."""
    if attention.get_input_size() > 4:  # noqa: PLR2004 - query, key, value, mask, scale
        scale = attention.input_value(4).get_node()
        if scale.get_type_name() == "Constant":
            return float(scale.get_data().reshape(-1).item(0))
    width = attention.input_value(0).get_partial_shape()[3].get_length()
    return 1.0 / math.sqrt(width)
