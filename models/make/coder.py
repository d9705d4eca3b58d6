"""Makes `models/code-pocket`: the Phi-3 architecture with a million parameters, which writes small Python functions.

In an environment with torch 2.13, transformers 4.57, tokenizers, optimum-intel 2.2 and nncf 3.4 (running it needs
nothing of that), in about twenty minutes of one core:

    python models/make/coder.py models/code-pocket

It starts as `models/chat-pocket`, a Llama: Phi-3 is the same network with its projections fused. `snippets.py` makes
what it learns from; `coder_scores.py` runs what it writes. The same seeds give the same data and steps; how floats add
up differs a little between machines.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import openvino as ov
import torch
from openvino import opset13 as opset
from snippets import Asker, Turn
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast

FROM = Path(__file__).parents[1] / "chat-pocket"
LONGEST = 448
BATCH = 12
STEPS = 3000
RATE = 1.5e-3
WARMING = 40


def read_tokenizer() -> PreTrainedTokenizerFast:
    """Return chat-pocket's tokenizer: byte-level BPE, digits alone, ChatML's marks."""
    made = PreTrainedTokenizerFast(
        tokenizer_file=str(FROM / "tokenizer.json"),
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = (FROM / "chat_template.jinja").read_text()
    return made


def read_network() -> Phi3ForCausalLM:
    """Return chat-pocket as a Phi-3: the same network, its projections fused.

    It can copy names that it never saw, which takes longest to learn.
    """
    llama = json.loads((FROM / "config.json").read_text())
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    kept += ("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "bos_token_id", "eos_token_id")
    kept += ("pad_token_id", "tie_word_embeddings")
    config = Phi3Config(
        **{name: llama[name] for name in kept}, original_max_position_embeddings=llama["max_position_embeddings"]
    )
    network = Phi3ForCausalLM(config)
    network.load_state_dict(fused(read_weights(), config.num_hidden_layers), strict=True)
    return network


def read_weights() -> dict[str, torch.Tensor]:
    """Return chat-pocket's weights by their names in torch, as floats."""
    core = ov.Core()
    found: dict[str, torch.Tensor] = {}
    for node in core.read_model(FROM / "openvino_model.xml").get_ops():
        title = node.get_friendly_name()
        if matrix := re.fullmatch(r"self\.(.+\.weight)/fq_weights_\d", title):
            name, output = matrix.group(1), node.output(0)
        elif norm := re.fullmatch(r"__module\.(.+norm)/aten::mul/Multiply_1", title):
            name, output = f"{norm.group(1)}.weight", node.input_value(0)
        else:
            continue
        alone = ov.Model([opset.result(opset.convert(output, "f32"))], [], name)
        values = core.compile_model(alone, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([])[0]
        found[name] = torch.tensor(values).squeeze()
    return found


def fused(weights: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Return a Llama's weights as Phi-3 has them."""
    made = dict(weights)
    for layer in range(layers):
        attention, wide = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
        made[f"{attention}.qkv_proj.weight"] = torch.cat([made.pop(f"{attention}.{n}_proj.weight") for n in "qkv"])
        made[f"{wide}.gate_up_proj.weight"] = torch.cat([made.pop(f"{wide}.{n}_proj.weight") for n in ("gate", "up")])
    return made | {"lm_head.weight": made["model.embed_tokens.weight"]}


Example = tuple[list[int], list[int]]


def tokens(turns: list[Turn], tokenizer: Tokenizer) -> Example:
    """Return a conversation's ids, and for each the id that is to be learned there: the assistant's, else -100."""
    ids: list[int] = []
    learned: list[int] = []
    for role, text in turns:
        opened = tokenizer.encode(f"<|im_start|>{role}\n", add_special_tokens=False).ids
        said = tokenizer.encode(f"{text}<|im_end|>", add_special_tokens=False).ids
        closed = tokenizer.encode("\n", add_special_tokens=False).ids
        ids += opened + said + closed
        learned += [-100] * len(opened) + (said if role == "assistant" else [-100] * len(said)) + [-100] * len(closed)
    return ids[:LONGEST], learned[:LONGEST]


def batches(tokenizer: Tokenizer) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield each step's ids and what is learned of them, [BATCH, length]; examples of like length go together."""
    asker, rng = Asker(1), random.Random(2)
    for _ in range(math.ceil(STEPS / 8)):
        pool = sorted(
            (tokens(asker.conversation(), tokenizer) for _ in range(8 * BATCH)), key=lambda pair: len(pair[0])
        )
        parts = [pool[start : start + BATCH] for start in range(0, len(pool), BATCH)]
        rng.shuffle(parts)
        for part in parts:
            length = max(len(ids) for ids, _ in part)
            ids, learned = torch.zeros(len(part), length, dtype=torch.long), torch.full((len(part), length), -100)
            for row, (found, wanted) in enumerate(part):
                ids[row, : len(found)], learned[row, : len(wanted)] = torch.tensor(found), torch.tensor(wanted)
            yield ids, learned


def make_optimizers(network: Phi3ForCausalLM) -> list[torch.optim.Optimizer]:
    """Return Muon (https://arxiv.org/abs/2502.16982) for the layers' matrices, AdamW for the rest."""
    matrices = [weights for name, weights in network.named_parameters() if weights.ndim > 1 and "embed" not in name]
    rest = [weights for name, weights in network.named_parameters() if weights.ndim == 1 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=RATE, betas=(0.9, 0.98), weight_decay=0.05),
    ]


def train(network: Phi3ForCausalLM, tokenizer: Tokenizer) -> None:
    """Learn the assistant's turns."""
    optimizers = make_optimizers(network)
    started, seen = time.process_time(), []
    for step, (ids, learned) in enumerate(batches(tokenizer)):
        past = step / STEPS
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            cooled = 1 if past < 0.2 else 0.5 * (1 + math.cos(math.pi * min(1, (past - 0.2) / 0.8)))
            group["lr"] = RATE * min(1, (step + 1) / WARMING) * cooled + 1e-6
        wanted = learned[:, 1:]
        kept = wanted != -100
        with torch.autocast("cpu", torch.bfloat16):
            hidden = network.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            logits = network.lm_head(hidden[kept])
        loss = functional.cross_entropy(logits.float(), wanted[kept])
        network.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen.append((loss.item(), (logits.argmax(-1) == wanted[kept]).float().mean().item()))
        if (step + 1) % 100 == 0:
            loss_mean, right = (sum(column) / 100 for column in zip(*seen[-100:], strict=True))
            spent = time.process_time() - started
            print(f"{step + 1} loss {loss_mean:.4f} tokens right {right:.4f} cpu {spent:.0f} s", flush=True)


def export(trained: Path, folder: Path) -> None:
    """Write the OpenVINO graph with int8 weights, the tokenizers, the template and the configuration."""
    import nncf
    from optimum.exporters.openvino import main_export

    with tempfile.TemporaryDirectory() as made:
        main_export(
            str(trained), made, task="text-generation-with-past", library_name="transformers", convert_tokenizer=True
        )
        folder.mkdir(parents=True, exist_ok=True)
        for found in Path(made).iterdir():
            if found.suffix in (".json", ".xml", ".bin", ".jinja") and not found.stem.startswith("openvino_model"):
                shutil.copyfile(found, folder / found.name)
        graph = ov.Core().read_model(f"{made}/openvino_model.xml")
        graph = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM)
        ov.save_model(graph, folder / "openvino_model.xml", compress_to_fp16=True)


def main() -> None:
    """Train, then write the folder."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    tokenizer, network = read_tokenizer(), read_network()
    print(f"{sum(weights.numel() for weights in network.parameters()) / 1e6:.2f} million parameters", flush=True)
    train(network, tokenizer.backend_tokenizer)
    with tempfile.TemporaryDirectory() as trained:
        network.eval().save_pretrained(trained)
        tokenizer.save_pretrained(trained)
        export(Path(trained), folder)


if __name__ == "__main__":
    main()
