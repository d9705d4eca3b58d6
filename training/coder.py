"""Makes `models/code-pocket`: the Phi-3 architecture with a million parameters, which writes small Python functions.

In an environment with torch 2.13, transformers 4.57, tokenizers, optimum-intel 2.2 and nncf 3.4 (running it needs
nothing of that), in about twenty minutes of one core:

    python training/coder.py models/code-pocket

It starts as `models/chat-pocket`, a Llama: Phi-3 is the same network with its projections fused. `snippets.py` makes
what it learns from; `coder_scores.py` runs what it writes. The same seeds give the same data and steps; how floats add
up differs a little between machines.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from chat import UNSAID, Batch, example, padded
from folder import read_tokenizer, read_weights, write_folder
from snippets import Asker, Turn
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import Phi3Config, Phi3ForCausalLM

FROM = Path(__file__).parents[1] / "chat-pocket"
WINDOW = 1024
LONGEST = 448  # tokens of a conversation that are trained
BATCH = 12
STEPS = 3000
RATE = 1.5e-3
WARMING = 40


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
    network.load_state_dict(fused(read_weights(FROM), config.num_hidden_layers), strict=True)
    return network


def fused(weights: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Return a Llama's weights as Phi-3 has them."""
    made = dict(weights)
    for layer in range(layers):
        attention, wide = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
        made[f"{attention}.qkv_proj.weight"] = torch.cat([made.pop(f"{attention}.{n}_proj.weight") for n in "qkv"])
        made[f"{wide}.gate_up_proj.weight"] = torch.cat([made.pop(f"{wide}.{n}_proj.weight") for n in ("gate", "up")])
    return made


def tokens(turns: list[Turn], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return a conversation's ids, and for each the id that is to be learned there: the assistant's, else none."""
    pieces = []
    for role, text in turns:
        pieces += [(f"<|im_start|>{role}\n", False), (f"{text}<|im_end|>", role == "assistant"), ("\n", False)]
    return example(tokenizer, pieces, LONGEST)


def batches(tokenizer: Tokenizer) -> Iterator[Batch]:
    """Yield each step's conversations; those of like length go together."""
    asker, rng = Asker(1), random.Random(2)
    for _ in range(math.ceil(STEPS / 8)):
        pool = sorted(
            (tokens(asker.conversation(), tokenizer) for _ in range(8 * BATCH)), key=lambda pair: len(pair[0])
        )
        parts = [pool[start : start + BATCH] for start in range(0, len(pool), BATCH)]
        rng.shuffle(parts)
        yield from map(padded, parts)


def make_optimizers(network: Phi3ForCausalLM) -> list[torch.optim.Optimizer]:
    """Return Muon (https://arxiv.org/abs/2502.16982) for the layers' matrices, AdamW for the rest."""
    matrices = [weights for name, weights in network.named_parameters() if weights.ndim > 1 and "embed" not in name]
    rest = [weights for name, weights in network.named_parameters() if weights.ndim == 1 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=RATE, betas=(0.9, 0.98), weight_decay=0.05),
    ]


def train(network: Phi3ForCausalLM, tokenizer: Tokenizer) -> None:
    """Train on the assistant's turns."""
    optimizers = make_optimizers(network)
    started, seen = time.process_time(), []
    for step, (ids, learned) in enumerate(batches(tokenizer)):
        past = step / STEPS
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            cooled = 1 if past < 0.2 else 0.5 * (1 + math.cos(math.pi * min(1, (past - 0.2) / 0.8)))
            group["lr"] = RATE * min(1, (step + 1) / WARMING) * cooled + 1e-6
        wanted = learned[:, 1:]
        kept = wanted != UNSAID
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


def main() -> None:
    """Train, then write the folder."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    tokenizer, network = read_tokenizer(FROM, WINDOW), read_network()
    print(f"{sum(weights.numel() for weights in network.parameters()) / 1e6:.2f} million parameters", flush=True)
    train(network, tokenizer.backend_tokenizer)
    with tempfile.TemporaryDirectory() as trained:
        network.eval().save_pretrained(trained)
        tokenizer.save_pretrained(trained)
        write_folder(Path(trained), folder, "text-generation-with-past")


if __name__ == "__main__":
    main()
