"""Graph surgery on small made graphs: a table of 8 words of 2 values, and what BERT-like exports put around one."""

import json

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from fastembed.inference.engines.embedding.engine import EmbeddingEngine
from fastembed.inference.engines.embedding.graph import read_pooling
from fastembed.inference.engines.encoder.graph import tame_masks
from fastembed.inference.library.devices import Devices
from fastembed.pipeline.errors import ModelNotFound

TABLE = np.arange(16, dtype=np.float32).reshape(8, 2) + 1
LOWEST = float(np.finfo(np.float32).min)


def parameter(name, kind=np.int64):
    made = ops.parameter([-1, -1], kind, name=name)
    made.output(0).get_tensor().set_names({name})
    return made


def words(ids):
    return ops.gather(ops.constant(TABLE), ids, ops.constant(np.int64(0)))


def save(folder, output, parameters, name="last_hidden_state"):
    output.output(0).get_tensor().set_names({name})
    openvino.save_model(
        openvino.Model([ops.result(output)], parameters, "made"), folder / "openvino_model.xml", compress_to_fp16=False
    )


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def embed(folder, rows):
    engine = EmbeddingEngine(folder, Devices(), INFERENCE_PRECISION_HINT="f32")
    try:
        return engine.infer(rows)
    finally:
        engine.close()


@pytest.fixture
def hidden_folder(tmp_path):
    ids, mask = parameter("input_ids"), parameter("attention_mask")
    save(tmp_path, words(ids), [ids, mask])
    return tmp_path


def test_hidden_states_are_averaged_over_the_tokens_that_are_not_padding(hidden_folder):
    expected = unit([TABLE[[1, 2, 3]].mean(0), TABLE[[4]].mean(0)])
    assert embed(hidden_folder, [[1, 2, 3], [4]]) == pytest.approx(expected, abs=1e-6)


def test_cls_pooling_takes_the_first_token(hidden_folder):
    (hidden_folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 2, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (hidden_folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert embed(hidden_folder, [[1, 2, 3], [4]]) == pytest.approx(unit(TABLE[[1, 4]]), abs=1e-6)


def test_a_graph_that_pools_by_itself_is_used_as_it_is(tmp_path):
    ids, mask = parameter("input_ids"), parameter("attention_mask")
    first = ops.squeeze(ops.slice(words(ids), [0], [1], [1], [1]), ops.constant(np.array([1], np.int64)))
    save(tmp_path, first, [ids, mask], "sentence_embedding")
    assert embed(tmp_path, [[5, 1]]).tolist() == [TABLE[5].tolist()]


def test_position_ids_and_int32_inputs_are_filled(tmp_path):
    ids, mask = parameter("input_ids", np.int32), parameter("attention_mask", np.int32)
    positions = parameter("position_ids", np.int32)
    shifted = ops.gather(ops.constant(TABLE), ops.add(ids, positions), ops.constant(np.int64(0)))
    save(tmp_path, shifted, [ids, mask, positions])
    assert embed(tmp_path, [[1, 1, 1]]) == pytest.approx(unit([TABLE[[1, 2, 3]].mean(0)]), abs=1e-6)


def test_masks_of_the_lowest_float_are_tamed():
    ids, mask = parameter("input_ids"), parameter("attention_mask")
    kept = ops.unsqueeze(ops.convert(mask, "f32"), ops.constant(np.array([2], np.int64)))
    masked = ops.multiply(ops.subtract(ops.constant(np.float32(1)), kept), ops.constant(np.float32(LOWEST)))
    model = openvino.Model([ops.result(ops.add(words(ids), masked))], [ids, mask], "made")
    assert tame_masks(model) == 1
    assert tame_masks(model) == 0
    lows = [
        float(np.min(op.get_data()))
        for op in model.get_ops()
        if op.get_type_name() == "Constant" and op.get_element_type().is_real()
    ]
    assert min(lows) == -1e4


def test_an_input_that_nobody_knows_is_named(tmp_path):
    ids, mask, extra = parameter("input_ids"), parameter("attention_mask"), parameter("pixel_values")
    save(tmp_path, words(ops.add(ids, extra)), [ids, mask, extra])
    with pytest.raises(ModelNotFound, match=r"found the input \['pixel_values'\]"):
        EmbeddingEngine(tmp_path, Devices())


def test_an_output_of_another_shape_is_named(tmp_path):
    ids, mask = parameter("input_ids"), parameter("attention_mask")
    save(tmp_path, ops.convert(ids, "f32"), [ids, mask], "logits")
    with pytest.raises(ModelNotFound, match=r"found outputs \['logits'\].*expected sentence_embedding"):
        EmbeddingEngine(tmp_path, Devices())


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelNotFound, match=r"found no openvino_model.xml or model.xml in .*expected an OpenVINO"):
        EmbeddingEngine(tmp_path, Devices())


def test_pooling_that_this_engine_does_not_do_is_named(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ModelNotFound, match=r"found pooling \['max_tokens'\].*expected mean_tokens or cls_token"):
        read_pooling(tmp_path)
