"""The shipped chat model as a GGUF file: weights of the IR, halved to float16, under llama.cpp's names."""

import json
from pathlib import Path

import gguf
import numpy as np
import openvino

LAYERS, HEADS = 4, 4
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def write_gguf(
    folder: Path,
    file: Path,
    *,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F16,
    architecture: str = "llama",
    says_its_type: bool = True,
) -> None:
    """Write chat-pocket's `folder` as one GGUF `file`, its layers' matrices as blocks of a kind."""
    weights = _weights(folder)
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(1024)
    writer.add_embedding_length(128)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(384)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(32)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if says_its_type:
        writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.name}"])
    _add_tokenizer(writer, folder)
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens"].astype(np.float16))
    writer.add_tensor("output_norm.weight", weights["model.norm"])
    for layer in range(LAYERS):
        for ours, theirs in NAMES.items():
            found = weights[f"model.layers.{layer}.{theirs}"]
            if ours in ("attn_q", "attn_k"):
                found = _interleaved(found)
            name = f"blk.{layer}.{ours}.weight"
            if ours.endswith("norm"):
                writer.add_tensor(name, found.astype(np.float32))
            else:
                writer.add_tensor(name, gguf.quantize(found.astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ids = {**tokenizer["model"]["vocab"], **special}
    tokens = sorted(ids, key=ids.__getitem__)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _weights(folder: Path) -> dict[str, np.ndarray]:
    """Weights by module, float32: the int8 matrices multiplied out, the scales of the norms."""
    model = openvino.Core().read_model(folder / "openvino_model.xml")
    constants = {op.get_friendly_name(): op for op in model.get_ops() if op.get_type_name() == "Constant"}
    found = {}
    for name, constant in constants.items():
        if name.startswith("self.") and name.endswith(".weight"):
            scale, zero = (constants[f"{name}/{part}"].data.astype(np.float32) for part in ("scale", "zero_point"))
            found[name.removeprefix("self.").removesuffix(".weight")] = (constant.data - zero) * scale
    for op in model.get_ops():
        if op.get_type_name() == "Multiply" and "norm" in op.get_friendly_name():
            for node in (source.get_source_output().get_node() for source in op.inputs()):
                if node.get_type_name() == "Constant" and node.data.size == 128:
                    module = op.get_friendly_name().removeprefix("__module.").partition("/")[0]
                    found[module] = node.data.reshape(128).astype(np.float32)
    return found


def _interleaved(matrix: np.ndarray) -> np.ndarray:
    """Reorder rows from halves, as transformers rotates them, to pairs, as llama.cpp does."""
    rows = matrix.shape[0]
    return matrix.reshape(HEADS, 2, rows // HEADS // 2, -1).swapaxes(1, 2).reshape(rows, -1)
