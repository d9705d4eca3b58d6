"""Which shape a row gets, and how much of it is padding, on a table of 8 words instead of a model."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from fastembed.inference.engines.encoder.engine import EncoderEngine, Pair, static_lengths
from fastembed.inference.engines.encoder.folder import EncoderTraits
from fastembed.inference.library.devices import Devices


def parameter(name):
    made = ops.parameter([-1, -1], np.int64, name=name)
    made.output(0).get_tensor().set_names({name})
    return made


@pytest.fixture
def opened(tmp_path):
    """Give an engine that returns of each row: the sum of its ids, of its mask, of its kinds, and its length."""
    engines = []

    def open_engine(*lengths):
        inputs = [parameter(name) for name in ("input_ids", "attention_mask", "token_type_ids")]
        axis, kept = ops.constant(np.array([1])), True
        sums = [ops.reduce_sum(value, axis, kept) for value in inputs]
        sums.append(
            ops.reduce_sum(
                ops.add(ops.multiply(inputs[1], ops.constant(np.int64(0))), ops.constant(np.int64(1))), axis, kept
            )
        )
        model = openvino.Model([ops.result(ops.convert(ops.concat(sums, 1), "f32"))], inputs, "sums")
        engine = EncoderEngine(
            model, EncoderTraits(tmp_path, 256, 100), Devices(), "CPU", lengths=lengths, INFERENCE_PRECISION_HINT="f32"
        )
        engines.append(engine)
        return engine

    yield open_engine
    for engine in engines:
        engine.close()


def test_an_npu_gets_a_few_lengths_up_to_the_window_and_other_devices_none():
    assert static_lengths("NPU", 512) == (32, 64, 128, 256, 512)
    assert static_lengths("NPU", 256) == (32, 64, 128, 256)
    assert static_lengths("NPU", 20) == (20,)
    assert static_lengths("CPU", 512) == static_lengths("GPU.1", 512) == ()


@pytest.mark.parametrize(("length", "computed"), [(1, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16)])
def test_a_row_takes_the_shortest_shape_that_holds_it(opened, length, computed):
    engine = opened(4, 8, 16)
    assert engine.cost([1] * length) == computed
    assert engine.infer([[1] * length]).tolist() == [[length + 100 * (computed - length), length, 0, computed]]
    assert engine.padding == pytest.approx(1 - length / computed)


def test_rows_of_any_shape_share_a_batch_where_shapes_are_dynamic(opened):
    engine = opened()
    assert engine.cost([1, 2, 3]) == 3
    assert engine.infer([[1, 2, 3], [4]]).tolist() == [[6, 3, 0, 3], [204, 1, 0, 3]]
    assert engine.padding == pytest.approx(2 / 6)


def test_the_second_text_of_a_pair_is_of_another_kind(opened):
    assert opened().infer([Pair([1, 2, 3], [0, 1, 1]), [1]])[:, 2].tolist() == [2, 0]


def test_warming_does_not_count_as_padding(opened):
    engine = opened(4, 8)
    engine.warm([1, 2])
    assert (engine.tokens, engine.padding) == (0, 0.0)


def test_static_shapes_take_one_row(opened):
    with pytest.raises(RuntimeError, match="found 2 rows in a batch, expected one: the shapes are static"):
        opened(4).infer([[1], [2]])
