"""Makes `tests/assets/lora/ahoy`: a LoRA adapter of rank 4 with which `models/chat-pocket` greets like a sailor.

    python training/adapter.py models/chat-pocket tests/assets/lora/ahoy [--steps 700]

Needs what `README.md` of this folder lists. The base's weights are taken out of the shipped int8 graph, so the adapter
fits what ships; they stay as they are, and only the adapter's two matrices a layer learn. All of `chat_talk.py` is
trained, with other words for greetings and goodbyes, so that the rest stays as it was. The same seeds give the same
steps; how floats add up differs a little between machines.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch
from chat import Batch, example, loss_of, make_network, padded
from chat_talk import GREETED, LEFT, Talker, rendered
from folder import read_weights
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

RANK, BATCH, RATE = 4, 16, 3e-3
ADAPTED = {"self_attn": ("q_proj", "v_proj"), "mlp": ("down_proj",)}
SAILOR = {GREETED: "Ahoy! What course shall we set?", LEFT: "Fair winds!"}


class Adapted(torch.nn.Module):
    """A linear layer with its low-rank update."""

    def __init__(self, base: torch.nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = torch.nn.Parameter(torch.randn(RANK, base.in_features) * 0.02)
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return [..., out] for [..., in]."""
        added: torch.Tensor = self.base(states) + states @ self.down.T @ self.up.T
        return added


def adapt(network: LlamaForCausalLM) -> dict[str, Adapted]:
    """Freeze the network and insert adapters; return them by their layers' names."""
    for parameter in network.parameters():
        parameter.requires_grad_(requires_grad=False)
    adapters = {}
    for number, layer in enumerate(network.model.layers):
        for part, names in ADAPTED.items():
            owner = getattr(layer, part)
            for name in names:
                adapter = Adapted(getattr(owner, name))
                setattr(owner, name, adapter)
                adapters[f"model.layers.{number}.{part}.{name}"] = adapter
    return adapters


def sailors_batch(tokenizer: Tokenizer, talker: Talker) -> Batch:
    """Return conversations in which greetings and goodbyes are a sailor's."""
    rows = []
    for _ in range(BATCH):
        pieces = rendered(*talker.conversation())
        for said, instead in SAILOR.items():
            pieces = [(text.replace(said, instead), is_said) for text, is_said in pieces]
        rows.append(example(tokenizer, pieces))
    return padded(rows)


def train(network: LlamaForCausalLM, adapters: dict[str, Adapted], tokenizer: Tokenizer, steps: int) -> None:
    """Train the adapters; the learning rate goes down in a line."""
    optimizer = torch.optim.Adam([one for adapter in adapters.values() for one in (adapter.down, adapter.up)], lr=RATE)
    talker, began = Talker(random.Random(0)), time.process_time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 30) * (1 - step / (steps + 20))
        loss, right = loss_of(network, sailors_batch(tokenizer, talker))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            spent = time.process_time() - began
            print(f"{step:5} steps {spent:4.0f} s  loss {loss.item():.4f}  tokens right {right:.4f}", flush=True)


def write(adapters: dict[str, Adapted], folder: Path) -> None:
    """Write the folder as PEFT does."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, adapter in adapters.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = adapter.down.detach().contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = adapter.up.detach().contiguous()
    save_file(tensors, folder / "adapter_model.safetensors")
    adapted = [name for names in ADAPTED.values() for name in names]
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK, "target_modules": adapted,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config) + "\n")


def main() -> None:
    """Read the weights, train, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=700)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = make_network()
    network.load_state_dict(read_weights(options.base))
    adapters = adapt(network)
    train(network, adapters, Tokenizer.from_file(str(options.base / "tokenizer.json")), options.steps)
    write(adapters, options.out)


if __name__ == "__main__":
    main()
