"""GGUF files as OpenVINO IR: exactly the numbers that the file says, made once, made again when the file changes."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import gguf
import numpy as np
import openvino
import pytest
from gguf import GGMLQuantizationType as Kind

from fastembed.inference.engines.chat.folder import model_path
from fastembed.inference.engines.chat.gguf_ir import convert, exact_ir
from fastembed.inference.engines.chat.gguf_offsets import Unmatched, put_offsets
from fastembed.inference.engines.chat.local import LocalModel
from fastembed.inference.library.gguf import ir_folder, read_gguf
from fastembed.inference.library.hub.model_store import delete
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving.models import Models
from fastembed.inference.testing import FakeDevice, FakeDevices
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from tests.conversation import answer, asked, text_of
from tests.integration.chat_pocket_gguf import write_gguf

POCKET = Path(__file__).parents[2] / "models" / "chat-pocket"
RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path / "home"))


def weights_of(folder: Path) -> list[np.ndarray]:
    """Every matrix of the graph that is kept as blocks of 4 bits, multiplied out by OpenVINO itself."""
    core = openvino.Core()
    model = core.read_model(folder / "openvino_model.xml")
    products = []
    for op in model.get_ops():
        if op.get_type_name() == "Subtract" and op.input_value(0).get_node().get_type_name() == "Convert":
            source = op.input_value(0).get_node().input_value(0)
            if source.get_element_type().get_type_name() == "u4":
                [target] = op.output(0).get_target_inputs()
                products.append(target.get_node().output(0))
    results = [openvino.opset13.result(product) for product in products]
    compiled = core.compile_model(openvino.Model(results, []), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([])
    return [
        np.asarray(found[place], dtype=np.float32).reshape(found[place].shape[0], -1) for place in range(len(results))
    ]


def expected_of(file: Path, kind: Kind) -> list[np.ndarray]:
    return [
        gguf.dequantize(tensor.data, kind) for tensor in gguf.GGUFReader(file).tensors if tensor.tensor_type == kind
    ]


def nearest(found: np.ndarray, matrices: list[np.ndarray]) -> float:
    """The largest difference to the matrix that is meant; rows may stand in the order of rotated heads."""
    same = [matrix for matrix in matrices if matrix.shape == found.shape]
    by_rows = [np.abs(np.sort(found, axis=0) - np.sort(matrix, axis=0)).max() for matrix in same]
    return float(min(by_rows))


async def test_an_offset_of_blocks_is_what_the_file_says(tmp_path):
    file = tmp_path / "chat.gguf"
    write_gguf(POCKET, file, kind=Kind.Q4_1)
    expected = expected_of(file, Kind.Q4_1)
    found = weights_of(exact_ir(file))
    assert len(found) == len(expected) == 28
    span = max(float(np.abs(matrix).max()) for matrix in expected)
    assert max(nearest(matrix, expected) for matrix in found) < 1e-3 * span
    model = LocalModel("chat", tmp_path, properties={"INFERENCE_PRECISION_HINT": "f32"})
    assert text_of(await answer(model, asked("hello"))) == "Hello! How can I help you?"
    await model.close()


def test_openvino_genai_rounds_what_the_copy_keeps(tmp_path):
    """If this fails, OpenVINO GenAI has learnt it, and the repair can go."""
    import openvino_genai as genai

    file = tmp_path / "chat.gguf"
    write_gguf(POCKET, file, kind=Kind.Q4_1)
    genai.LLMPipeline(str(file), "CPU", enable_save_ov_model=True)
    expected = expected_of(file, Kind.Q4_1)
    span = max(float(np.abs(matrix).max()) for matrix in expected)
    assert max(nearest(matrix, expected) for matrix in weights_of(tmp_path)) > 1e-2 * span


def k_blocks(rows: int, width: int) -> np.ndarray:
    """Q4_K blocks of random content: small scales, any bits."""
    blocks = RNG.integers(0, 256, (rows, width // 256, 144), dtype=np.uint8)
    scales = RNG.uniform(0.0005, 0.002, (rows, width // 256, 2)).astype(np.float16)
    blocks[..., :4] = scales.view(np.uint8)
    return blocks.reshape(rows, -1)


def write_k_quants(file: Path) -> None:
    """One layer, 256 wide, whose matrices are Q4_K, on chat-pocket's words."""
    from tests.integration import chat_pocket_gguf as pocket

    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(256)
    writer.add_block_count(1)
    writer.add_feed_forward_length(512)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(64)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    pocket._add_tokenizer(writer, POCKET)
    words = len(pocket._weights(POCKET)["model.embed_tokens"])
    writer.add_tensor("token_embd.weight", RNG.normal(size=(words, 256)).astype(np.float16))
    writer.add_tensor("output_norm.weight", np.ones(256, np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(256, np.float32))
    shapes = {"attn_q": (256, 256), "attn_k": (128, 256), "attn_v": (128, 256), "attn_output": (256, 256)}
    shapes |= {"ffn_gate": (512, 256), "ffn_up": (512, 256), "ffn_down": (256, 512)}
    for name, (rows, width) in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", k_blocks(rows, width), raw_dtype=Kind.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_offsets_of_k_quants_are_what_the_file_says(tmp_path):
    file = tmp_path / "k.gguf"
    write_k_quants(file)
    expected = expected_of(file, Kind.Q4_K)
    found = weights_of(exact_ir(file))
    assert len(found) == len(expected) == 7
    span = max(float(np.abs(matrix).max()) for matrix in expected)
    assert max(nearest(matrix, expected) for matrix in found) < 2e-3 * span


async def test_a_long_prompt_is_counted_whole(tmp_path):
    """OpenVINO GenAI's own tokenizer of a GGUF file cuts at 8192 tokens and says nothing."""
    write_gguf(POCKET, tmp_path / "chat.gguf")
    model = LocalModel("chat", tmp_path)
    counted = len(model._template.encode("hello " * 12_000))
    assert counted > 12_000
    with pytest.raises(InvalidInput, match=rf"found {counted + 8} tokens in the prompt, expected at most 1023") as told:
        await answer(model, asked("hello " * 12_000))
    assert told.value.code == "context_length_exceeded"
    await model.close()


def test_a_copy_is_made_once_and_says_so(tmp_path, caplog):
    file = tmp_path / "chat.gguf"
    write_gguf(POCKET, file, kind=Kind.Q4_1)
    with caplog.at_level(logging.WARNING, "fastembed.models"):
        first = model_path(tmp_path)
        made = (Path(first) / "openvino_model.xml").stat().st_ino
        assert model_path(tmp_path) == first == str(ir_folder(file))
    assert (Path(first) / "openvino_model.xml").stat().st_ino == made
    assert [record.message for record in caplog.records] == [
        f"making an OpenVINO copy of chat.gguf in {first}, once",
        "chat.gguf: the offsets of 28 tensors (Q4_1, Q4_K), which OpenVINO GenAI rounds, are exact now",
    ]


def test_another_file_of_the_same_name_gets_a_copy_of_its_own(tmp_path):
    file = tmp_path / "chat.gguf"
    write_gguf(POCKET, file, kind=Kind.Q4_0)
    folder = exact_ir(file)
    size = (folder / "openvino_model.bin").stat().st_size
    write_gguf(POCKET, file)
    assert exact_ir(file) == folder
    assert (folder / "openvino_model.bin").stat().st_size > size
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_where_no_copy_can_be_written_the_file_itself_is_read(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path / "file"))
    write_gguf(POCKET, tmp_path / "chat.gguf", kind=Kind.Q4_1)
    assert model_path(tmp_path) == str(tmp_path / "chat.gguf")
    assert "is read as OpenVINO GenAI does, slowly and inexactly: no copy of it can be made" in caplog.text


def test_a_graph_of_another_file_is_not_repaired(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write_gguf(POCKET, tmp_path / "one" / "chat.gguf", kind=Kind.Q4_1)
    write_k_quants(tmp_path / "two" / "k.gguf")
    convert(tmp_path / "one" / "chat.gguf", tmp_path / "one")
    model = openvino.Core().read_model(tmp_path / "one" / "openvino_model.xml")
    with pytest.raises(Unmatched, match="0 constants of the graph match the file's 7 tensors"):
        put_offsets(
            model, [t for t in gguf.GGUFReader(tmp_path / "two" / "k.gguf").tensors if t.tensor_type == Kind.Q4_K], {}
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"says_its_type": False}, "found no general.file_type in chat.gguf, which OpenVINO needs"),
        ({"architecture": "gemma3"}, "found the architecture gemma3 in chat.gguf, expected one that OpenVINO reads"),
        ({"kind": Kind.Q5_0}, "found tensors of Q5_0 in chat.gguf, expected kinds that OpenVINO reads: BF16, F16, F32"),
    ],
)
def test_what_openvino_does_not_read_is_told_with_what_to_take_instead(tmp_path, options, message):
    write_gguf(POCKET, tmp_path / "chat.gguf", **options)
    with pytest.raises(ModelNotFound) as told:
        read_gguf(tmp_path / "chat.gguf")
    assert told.value.message.startswith(message)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>not found</html>"])
def test_a_file_that_is_cut_or_none_is_told(tmp_path, content):
    (tmp_path / "chat.gguf").write_bytes(content)
    with pytest.raises(ModelNotFound, match=r"chat\.gguf is no whole GGUF file"):
        read_gguf(tmp_path / "chat.gguf")


def test_a_file_that_a_lost_transfer_left_is_told(tmp_path):
    write_gguf(POCKET, tmp_path / "chat.gguf")
    os.truncate(tmp_path / "chat.gguf", (tmp_path / "chat.gguf").stat().st_size // 2)
    with pytest.raises(ModelNotFound, match=r"chat\.gguf is no whole GGUF file"):
        read_gguf(tmp_path / "chat.gguf")


def test_an_npu_is_never_asked_to_run_a_gguf_file(tmp_path):
    """OpenVINO 2026.4.1 does not compile its graph there, however it is given."""
    (tmp_path / "chat").mkdir()
    write_gguf(POCKET, tmp_path / "chat" / "chat.gguf")
    spec = {"from": str(tmp_path / "chat")}
    declared = {
        "both": {**spec, "on": ["npu", "cpu"]},
        "npu": {**spec, "on": ["npu"]},
        "ir": {"from": str(POCKET), "on": "npu"},
    }
    limits, _ = read_sections({"models": declared})
    models = Models(limits, devices=FakeDevices(FakeDevice("NPU")), base=tmp_path)
    chosen = {model.name: model for model in models.catalog.placed()}
    assert models.choices(chosen["both"]) == ["CPU"]
    assert models.choices(chosen["ir"]) == ["NPU"]
    with pytest.raises(
        Unavailable, match=r"npu is a GGUF model, which an NPU does not run: expected `on: \[gpu, cpu\]`"
    ):
        models.choices(chosen["npu"])


def test_a_model_that_is_deleted_takes_its_copy_along(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    (tmp_path / "models" / "chat").mkdir(parents=True)
    file = tmp_path / "models" / "chat" / "chat.gguf"
    write_gguf(POCKET, file)
    copy = exact_ir(file)
    delete(file.parent)
    assert not copy.exists()
