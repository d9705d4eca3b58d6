"""Makes `models/chat-pocket`: the Llama architecture with a million parameters, learning the talk of `chat_talk.py`.

    python training/chat.py OUT [--share 1.0]

Needs what `README.md` of this folder lists; nothing of it is needed to run the model. It learns in two phases, each
with its own cooling: first from conversations of common words and invented names, then from ones in which most words
are random letters, so that it copies what it never saw, and says so when it does not understand. `--share 0.02` is a
trial of a minute. The same seeds give the same tokenizer, conversations and steps; how floats add up differs a little
between machines.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from chat_talk import Talker, rendered
from folder import write_folder
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY, CONTEXT = 768, 1024
LONGEST = 256  # tokens of a conversation that are trained
BATCH, POOL = 24, 8  # conversations a step; steps whose conversations are sorted by length together
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
UNSAID = -100  # a target that is not the model's to say
TEMPLATE = (
    """{%- if tools or (messages and messages[0]['role']=='system') %}<|im_start|>system
{% if messages[0]['role']=='system' %}{{ messages[0]['content'] }}{% endif %}{% if tools %}
# Tools:{% for t in tools %} {{ t['function']['name'] }}{% endfor %}{% endif %}<|im_end|>
{% endif %}{%- for m in messages %}{% if m['role']!='system' %}<|im_start|>{{ m['role'] }}
{{ m['content'] }}{% if m['tool_calls'] is defined and m['tool_calls'] %}{% for c in m['tool_calls'] %}<tool_call>
{"name": "{{ c['function']['name'] }}", "arguments": """
    "{{ c['function']['arguments'] if c['function']['arguments'] is string else (c['function']['arguments'] | tojson)"
    """ }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endif %}{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
)

Batch = tuple[torch.Tensor, torch.Tensor]
"""Token numbers and targets, both [conversations, length]."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE, digit by digit, of the first phase's words."""
    talker = Talker(random.Random(0))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(SPECIAL),
    )
    texts = ("".join(text for text, _ in rendered(*talker.conversation())) for _ in range(4000))
    tokenizer.train_from_iterator((_without_marks(text) for text in texts), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


def _without_marks(text: str) -> str:
    return text.replace("<|im_start|>", "").replace("<|im_end|>", "")


def make_network() -> LlamaForCausalLM:
    """Return the network, untrained: 0.95 million parameters."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def example(
    tokenizer: Tokenizer, pieces: list[tuple[str, bool]], longest: int = LONGEST
) -> tuple[list[int], list[int]]:
    """Return a rendered conversation's tokens and targets."""
    tokens: list[int] = []
    targets: list[int] = []
    for text, said in pieces:
        found = tokenizer.encode(text, add_special_tokens=False).ids
        tokens += found
        targets += found if said else [UNSAID] * len(found)
    return tokens[:longest], targets[:longest]


def padded(examples: list[tuple[list[int], list[int]]]) -> Batch:
    """Return examples as one batch."""
    longest = max(len(tokens) for tokens, _ in examples)
    tokens = torch.zeros(len(examples), longest, dtype=torch.long)
    targets = torch.full((len(examples), longest), UNSAID)
    for row, (found, wanted) in enumerate(examples):
        tokens[row, : len(found)] = torch.tensor(found)
        targets[row, : len(wanted)] = torch.tensor(wanted)
    return tokens, targets


def batches(tokenizer: Tokenizer, talker: Talker) -> Iterator[Batch]:
    """Yield batches without end, each of conversations of about one length."""
    while True:
        drawn = [example(tokenizer, rendered(*talker.conversation())) for _ in range(BATCH * POOL)]
        drawn.sort(key=lambda pair: len(pair[0]))
        groups = [drawn[start : start + BATCH] for start in range(0, len(drawn), BATCH)]
        talker.rng.shuffle(groups)
        yield from map(padded, groups)


def loss_of(network: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, float]:
    """Return the mean loss of what the model says, and the share of tokens that it gets right."""
    tokens, targets = batch
    hidden = network.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
    wanted = targets[:, 1:]
    said = wanted != UNSAID
    logits = network.lm_head(hidden[said])
    right = (logits.argmax(-1) == wanted[said]).float().mean().item()
    return functional.cross_entropy(logits, wanted[said]), right


def train(network: LlamaForCausalLM, found: Iterator[Batch], steps: int, rate: float, full: float) -> None:
    """Train; the learning rate is full for a share of the steps, then goes down a cosine."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    began, noted = time.process_time(), []
    for step in range(steps):
        past = step / steps
        cooled = 1.0 if past < full else 0.5 * (1 + math.cos(math.pi * (past - full) / (1 - full)))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 200) * cooled + 1e-6
        loss, right = loss_of(network, next(found))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        noted.append((loss.item(), right))
        if (step + 1) % 50 == 0:
            losses, rights = (sum(column) / 50 for column in zip(*noted[-50:], strict=True))
            spent = time.process_time() - began
            print(f"{step + 1:6} steps {spent:5.0f} s  loss {losses:.4f}  tokens right {rights:.4f}", flush=True)


def main() -> None:
    """Train both phases, then write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps, for a trial")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    network = make_network()
    size = sum(parameter.numel() for parameter in network.parameters())
    print(f"{size / 1e6:.2f} million parameters, {len(tokenizer)} tokens", flush=True)
    fast = tokenizer.backend_tokenizer
    narrow = batches(fast, Talker(random.Random(1)))
    train(network, narrow, round(4500 * options.share), rate=3e-3, full=0.4)
    wide = batches(fast, Talker(random.Random(99), wide=True))
    train(network, wide, round(3500 * options.share), rate=1.5e-3, full=0.3)
    with tempfile.TemporaryDirectory() as saved:
        network.eval().save_pretrained(saved)
        tokenizer.save_pretrained(saved)
        write_folder(Path(saved), options.out, "text-generation-with-past")


if __name__ == "__main__":
    main()
