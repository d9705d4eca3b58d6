"""Layers whose inputs are quantised at run time take them as they are."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from fastembed.inference.library.index.kokoro import unquantise

RNG = np.random.default_rng(5)


def quantised(given):
    """What OpenVINO makes of ONNX's DynamicQuantizeLinear: the uint8 values, their scale and zero point."""
    axes = ops.constant(np.arange(len(given.output(0).get_partial_shape())))
    least = ops.minimum(ops.reduce_min(given, axes), ops.constant(np.float32(0)))
    most = ops.maximum(ops.reduce_max(given, axes), ops.constant(np.float32(0)))
    span = ops.subtract(most, least)
    scale = ops.divide(span, ops.constant(np.float32(255)))
    zero = ops.convert(ops.clamp(ops.round(ops.divide(ops.negative(least), scale)), 0, 255), "u8")
    rounded = ops.round(ops.divide(ops.multiply(given, ops.constant(np.float32(255))), span))
    values = ops.convert(ops.clamp(ops.add(rounded, ops.convert(zero, "f32")), 0, 255), "u8")
    return ops.subtract(ops.convert(values, "i32"), ops.convert(zero, "i32")), scale


def whole(weights, zero):
    return ops.subtract(ops.convert(ops.constant(weights), "i32"), ops.convert(ops.constant(zero), "i32"))


def product():
    given = ops.parameter([1, -1, 16], np.float32)
    values, scale = quantised(given)
    weights, zero = RNG.integers(-128, 127, (16, 8), np.int8), RNG.integers(-9, 9, 8, np.int8)
    layer = ops.matmul(values, whole(weights, zero), False, False)
    scales = ops.multiply(scale, ops.constant(RNG.random(8, np.float32) / 99))
    return given, ops.multiply(ops.convert(layer, "f32"), scales), (1, 5, 16)


def convolution(*, bias):
    given = ops.parameter([1, 4, -1], np.float32)
    values, scale = quantised(given)
    weights, zero = RNG.integers(0, 255, (6, 4, 3), np.uint8), np.uint8(127)
    layer = ops.convolution(values, whole(weights, zero), [1], [1], [1], [1])
    scales = ops.multiply(scale, ops.constant(np.float32(0.01)))
    if bias:
        steps = ops.floor(ops.divide(ops.constant(RNG.random(6, np.float32)), scales))
        shape = ops.constant(np.array([1, -1, 1], np.int64))
        layer = ops.add(layer, ops.reshape(ops.convert(steps, "i32"), shape, False))
    return given, ops.multiply(ops.convert(layer, "f32"), scales), (1, 4, 30)


@pytest.mark.parametrize("made", [product, lambda: convolution(bias=False), lambda: convolution(bias=True)])
def test_the_layer_of_floats_gives_what_that_of_integers_gave_and_nothing_is_rounded_any_more(made):
    given, result, shape = made()
    model = openvino.Model([ops.result(result)], [given], "layer")
    values = RNG.normal(size=shape).astype(np.float32)
    before = run(model, values)
    assert unquantise(model) == 1
    assert "Round" not in {node.get_type_name() for node in model.get_ops()}
    assert run(model, values) == pytest.approx(before, abs=0.02 * float(np.abs(before).max()))
    assert unquantise(model) == 0


def run(model, values):
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([values])[0].copy()
