"""What was compiled of a model is used again for exactly these files, and for no others."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from fastembed.inference.engines.chat.kind import CHAT
from fastembed.inference.engines.chat.options import PLAIN
from fastembed.inference.engines.embedding.engine import EmbeddingEngine
from fastembed.inference.library.compiled import compiled_folder
from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.library.tasks import LoadRequest
from tests.conversation import answer, asked, text_of

POCKET = Path(__file__).parents[2] / "models" / "chat-pocket"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def write_encoder(folder: Path, seed: int) -> None:
    """An encoder that only looks words up; its graph is the same for every seed, its weights are not."""
    folder.mkdir(exist_ok=True)
    table = np.random.default_rng(seed).normal(size=(64, 8)).astype(np.float32)
    ids, mask = (ops.parameter([-1, -1], np.int64, name=name) for name in ("input_ids", "attention_mask"))
    for parameter in (ids, mask):
        parameter.output(0).set_names({parameter.get_friendly_name()})
    hidden = ops.gather(ops.constant(table), ids, ops.constant(0, np.int64))
    hidden.output(0).set_names({"last_hidden_state"})
    model = openvino.Model([ops.result(hidden)], [ids, mask], "words")
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    (folder / "config.json").write_text('{"architectures": ["BertModel"], "max_position_embeddings": 32}')


def vector(folder: Path, cache: Path | None) -> np.ndarray:
    import threading

    devices = Devices({"cpu": DeviceLimits(properties=EXACT)}, cache=cache)
    engine = EmbeddingEngine(folder, devices, "CPU")
    found, there = [], threading.Event()

    def done(vectors, error):
        found.append(error or np.array(vectors))
        there.set()

    engine.start([[3, 5, 7]], done)
    assert there.wait(30)
    return found[0]


def blobs(cache: Path) -> set[Path]:
    return set(cache.rglob("*.blob"))


def new_weights(folder: Path, other: Path) -> None:
    """Put other weights of the same size beside the same graph, whose time stays as it is."""
    shutil.copyfile(other / "openvino_model.bin", folder / "openvino_model.bin")


@pytest.fixture
def encoders(tmp_path):
    for seed, name in enumerate(("one", "two")):
        write_encoder(tmp_path / name, seed)
    shutil.copyfile(tmp_path / "one" / "openvino_model.xml", tmp_path / "two" / "openvino_model.xml")
    return tmp_path / "one", tmp_path / "two"


def test_new_weights_beside_an_old_graph_are_computed_with(encoders, tmp_path):
    one, two = encoders
    cache = tmp_path / "compiled"
    first = vector(one, cache)
    assert blobs(cache)
    new_weights(one, two)
    np.testing.assert_array_equal(vector(one, cache), vector(two, None))
    assert np.abs(vector(one, cache) - first).max() > 0.1


def test_new_weights_with_the_old_time_are_computed_with(encoders, tmp_path):
    one, two = encoders
    cache = tmp_path / "compiled"
    vector(one, cache)
    stat = (one / "openvino_model.bin").stat()
    new_weights(one, two)
    os.utime(one / "openvino_model.bin", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    np.testing.assert_array_equal(vector(one, cache), vector(two, None))


def test_unchanged_files_are_not_compiled_again(encoders, tmp_path):
    one, _ = encoders
    cache = tmp_path / "compiled"
    vector(one, cache)
    made = {file: file.stat().st_ino for file in blobs(cache)}
    vector(one, cache)
    assert {file: file.stat().st_ino for file in blobs(cache)} == made


def test_files_that_were_only_touched_keep_what_was_compiled(encoders, tmp_path):
    one, _ = encoders
    folder = compiled_folder(tmp_path / "compiled", [one])
    os.utime(one / "config.json")
    compiled_folder(tmp_path / "compiled", [one])  # from now on the sums are known
    (folder / "1.blob").touch()
    os.utime(one / "openvino_model.bin")
    assert compiled_folder(tmp_path / "compiled", [one]) == folder
    assert (folder / "1.blob").exists()


@pytest.mark.parametrize("change", ["a new file", "a file less", "another configuration", "another part"])
def test_any_change_of_the_files_drops_what_was_compiled(encoders, tmp_path, change):
    one, two = encoders
    cache = tmp_path / "compiled"
    folder = compiled_folder(cache, [one, two])
    (folder / "1.blob").touch()
    if change == "a new file":
        (one / "tokenizer.json").touch()
    elif change == "a file less":
        (one / "config.json").unlink()
    elif change == "another configuration":
        (one / "config.json").write_text("{}")
    else:
        new_weights(two, one)
    assert compiled_folder(cache, [one, two]) == folder
    assert not (folder / "1.blob").exists()


def test_a_list_that_cannot_be_read_counts_as_one_of_other_files(encoders, tmp_path):
    one, _ = encoders
    folder = compiled_folder(tmp_path / "compiled", [one])
    (folder / "1.blob").touch()
    (folder / "files.json").write_text("[1")
    compiled_folder(tmp_path / "compiled", [one])
    assert not (folder / "1.blob").exists()


def test_two_models_never_share_a_folder(encoders, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    twin = shutil.copytree(encoders[0], tmp_path / "elsewhere" / "one")
    assert compiled_folder(tmp_path / "c", [encoders[0]]) != compiled_folder(tmp_path / "c", [twin])


def test_a_cache_that_cannot_be_written_costs_compiling_only(encoders, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert compiled_folder(tmp_path / "file" / "compiled", [encoders[0]]) is None
    assert "one is compiled at every load: nothing is kept in" in caplog.text
    assert vector(encoders[0], tmp_path / "file" / "compiled").shape == (1, 8)


async def test_a_chat_model_with_new_weights_answers_with_them(tmp_path):
    folder = shutil.copytree(POCKET, tmp_path / "chat")
    devices = Devices({"cpu": DeviceLimits(properties=EXACT)}, cache=tmp_path / "compiled")

    async def say() -> str:
        model = CHAT.load(LoadRequest("chat", "chat", folder, "CPU", devices, PLAIN))
        try:
            return text_of(await answer(model, asked("hello")))
        finally:
            await model.close()

    assert await say() == "Hello! How can I help you?"
    content = bytearray((folder / "openvino_model.bin").read_bytes())
    graph = (folder / "openvino_model.xml").read_text()
    size, start = max((int(size), int(start)) for start, size in re.findall(r'offset="(\d+)" size="(\d+)"', graph))
    content[start : start + size] = bytes(size)  # the largest matrix
    (folder / "openvino_model.bin").write_bytes(content)
    assert await say() != "Hello! How can I help you?"
