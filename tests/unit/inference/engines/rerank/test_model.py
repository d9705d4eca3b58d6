"""Checks, scores and order, and the last layer of made graphs."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from fastembed.inference.engines.rerank.engine import RerankEngine
from fastembed.inference.engines.rerank.model import best, scores_of
from fastembed.inference.engines.rerank.pairs import PairTokenizer, check
from fastembed.inference.library.devices import Devices
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.payload.rerank import Ranked


@pytest.mark.parametrize(
    ("query", "documents", "message"),
    [
        ("", ["a"], "found an empty text as the query, expected some words"),
        (" \n", ["a"], "found an empty text as the query"),
        (5, ["a"], "found int as the query"),
        ("q", [], "found an empty list, expected a list of texts"),
        ("q", "abc", "found a text, expected a list of texts"),
        ("q", ["a"] * 1001, "found 1001 documents, expected at most 1000"),
        ("q", ["a", ""], r"found an empty text in documents\[1\], expected text"),
        ("q", ["a", None], r"found NoneType in documents\[1\], expected text"),
    ],
)
def test_what_is_wrong_is_named(query, documents, message):
    with pytest.raises(InvalidInput, match=message):
        check(query, documents)


def test_one_logit_becomes_its_sigmoid_and_two_the_share_of_the_second():
    assert scores_of(np.array([[0], [2], [-800], [800]], np.float32)) == pytest.approx([0.5, 0.8808, 0, 1], abs=1e-4)
    assert scores_of(np.array([[1, 1], [0, 2], [3, -3]], np.float32)) == pytest.approx([0.5, 0.8808, 0.0025], abs=1e-4)


def test_the_best_come_first_and_equal_ones_in_their_order():
    assert best([0.2, 0.9, 0.2, 0.5], None) == (Ranked(1, 0.9), Ranked(3, 0.5), Ranked(0, 0.2), Ranked(2, 0.2))
    assert best([0.2, 0.9], 1) == (Ranked(1, 0.9),)
    assert len(best([0.2, 0.9], 7)) == 2


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(ModelNotFound, match=r"found no tokenizer\.json in .*: a reranker reads pairs of texts"):
        PairTokenizer(tmp_path, 512)


INPUTS = ("input_ids", "attention_mask")


def save(folder, head, *, packed=False, name="logits"):
    """Save a graph: of each row the mean of its ids times 64, multiplied by the head [labels, 64]."""
    ids, mask = (ops.parameter([-1, -1], np.int64, name=name) for name in INPUTS)
    for parameter in (ids, mask):
        parameter.output(0).get_tensor().set_names({parameter.get_friendly_name()})
    kept = ops.multiply(ops.convert(ids, "f32"), ops.convert(mask, "f32"))
    mean = ops.reduce_mean(kept, ops.constant(np.array([1])), keep_dims=True)
    wide = ops.multiply(mean, ops.constant(np.ones((1, 64), np.float32)))
    weights = ops.constant(np.asarray(head, np.float32))
    if packed:
        values = ops.constant(np.full((len(head), 64), 138, np.uint8))
        steps = ops.constant(np.asarray(head, np.float16)[:, :1] / 10)
        centred = ops.subtract(ops.convert(values, "f16"), ops.constant(np.full((len(head), 1), 128, np.float16)))
        weights = ops.convert(ops.multiply(centred, steps), "f32")
    logits = ops.add(ops.matmul(wide, weights, False, True), ops.constant(np.zeros((1, len(head)), np.float32)))
    logits.output(0).get_tensor().set_names({name})
    openvino.save_model(openvino.Model([ops.result(logits)], [ids, mask], "made"), folder / "openvino_model.xml")
    return folder


def logits_of(folder, **properties):
    engine = RerankEngine(folder, Devices(), **properties)
    try:
        return engine.infer([[1, 3], [2, 2]])
    finally:
        engine.close()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_the_last_layer_is_right_whatever_its_weights_are_packed_in(tmp_path, packed, precision):
    """One row of int8 weights is wrong in bfloat16 on several streams with OpenVINO 2026.4, see `unpack_head`."""
    save(tmp_path, np.full((1, 64), 0.0625), packed=packed)
    found = logits_of(tmp_path, INFERENCE_PRECISION_HINT=precision)
    assert found == pytest.approx(np.array([[8], [8]]), rel=0.02)


def test_two_labels_are_taken_and_three_are_no_reranker(tmp_path):
    save(tmp_path, np.stack([np.full(64, 0.0625), np.full(64, 0.125)]))
    assert logits_of(tmp_path) == pytest.approx(np.array([[8, 16], [8, 16]]), rel=0.02)
    save(tmp_path, np.ones((3, 64)))
    with pytest.raises(ModelNotFound, match=r"found 3 labels in .*, expected 1 or 2: a classifier is no reranker"):
        logits_of(tmp_path)
