#!/bin/sh
# OpenVINO GenAI builds a graph from a GGUF file. Blocks of the kind Q4_1 are `scale * value + least`; the graph has
# `(value - zero) * scale` with `zero = -least / scale` as a whole number of 0 to 15: half a step of every weight is
# lost on average. Expected: the numbers that the file says, as for Q4_0 and F16.
# Prints the version, and the largest share of a step by which a rounded zero misses the file's; fails if it is exact.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 openvino-genai==2026.4.1.0 openvino-tokenizers==2026.4.1.0 gguf==0.19.0
cd "$folder" && venv/bin/python - <<'PY'
import gguf, numpy as np, openvino, openvino_genai

kind = gguf.GGMLQuantizationType.Q4_1
rng = np.random.default_rng(1)
w = gguf.GGUFWriter("m.gguf", "llama")
w.add_context_length(64); w.add_embedding_length(64); w.add_block_count(1); w.add_feed_forward_length(64)
w.add_head_count(2); w.add_head_count_kv(2); w.add_rope_dimension_count(32); w.add_rope_freq_base(1e4)
w.add_layer_norm_rms_eps(1e-6); w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
words = ["<s>", "</s>"] + [chr(97 + i) for i in range(26)]
w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("default"); w.add_token_list(words)
w.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 26); w.add_token_merges(["a b"])
w.add_bos_token_id(0); w.add_eos_token_id(1)
w.add_tensor("token_embd.weight", rng.normal(size=(28, 64)).astype(np.float16))
w.add_tensor("output_norm.weight", np.ones(64, np.float32))
for name in ("attn_norm", "ffn_norm"):
    w.add_tensor(f"blk.0.{name}.weight", np.ones(64, np.float32))
for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
    values = gguf.quantize(rng.normal(size=(64, 64)).astype(np.float32), kind)
    w.add_tensor(f"blk.0.{name}.weight", values, raw_dtype=kind)
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()

openvino_genai.LLMPipeline("m.gguf", "CPU", enable_save_ov_model=True)
print("openvino_genai", openvino_genai.__version__)
zeros = [op.input_value(1).get_node() for op in openvino.Core().read_model("openvino_model.xml").get_ops()
         if op.get_type_name() == "Subtract" and op.input_value(0).get_node().get_type_name() == "Convert"
         and op.input_value(0).get_node().input_value(0).get_element_type() == openvino.Type.u4]
kinds = {z.input_value(0).get_element_type().get_type_name() if z.get_type_name() == "Convert" else
         z.get_element_type().get_type_name() for z in zeros}
block = next(t for t in gguf.GGUFReader("m.gguf").tensors if t.tensor_type == kind).data.reshape(64, -1, 20)
scale, least = (block[..., at:at + 2].copy().view(np.float16).astype("f4") for at in (0, 2))
zero = -least / scale
print("zeros of the graph are", kinds, "; the file's are up to", f"{np.abs(zero - np.round(zero)).max():.2f}", "of a step away")
assert len(zeros) == 7 and kinds <= {"u4", "u8"}, "the zeros are no longer whole numbers: the repair can go"
PY
