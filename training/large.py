"""Makes a chat model of 57 million random weights, for `bench/chat.py --model FOLDER`: it says nonsense.

    python training/large.py FOLDER

A step of it costs what a step of a real small model costs, so the bench tells what the way around the engine takes. The
tokenizer is chat-pocket's. Needs what this folder's README lists; a minute.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from folder import read_tokenizer, write_folder
from transformers import LlamaConfig, LlamaForCausalLM

POCKET = Path(__file__).parents[1] / "chat-pocket"
WINDOW = 2048


def main() -> None:
    """Write the folder."""
    torch.manual_seed(0)
    tokenizer = read_tokenizer(POCKET, WINDOW)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=640,
            intermediate_size=1792,
            num_hidden_layers=13,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=WINDOW,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    print(f"{sum(weights.numel() for weights in network.parameters()) / 1e6:.0f} million parameters", flush=True)
    with tempfile.TemporaryDirectory() as saved:
        network.save_pretrained(saved)
        tokenizer.save_pretrained(saved)
        write_folder(Path(saved), Path(sys.argv[1]), "text-generation-with-past")


if __name__ == "__main__":
    main()
