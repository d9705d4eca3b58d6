"""Makes `models/rerank-pocket`: a BERT cross-encoder of a million parameters that looks for a query's words.

In an environment with torch 2.13, transformers 4.57, tokenizers, optimum-intel 2.2 and nncf 3.4 (running it needs
nothing of that), in about a quarter of an hour of one core:

    python training/rerank.py models/rerank-pocket

`overlap.py` makes what it learns from; `rerank_scores.py` tells how well it does. The same seeds give the same data and
the same steps; how floats add up differs a little between machines.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from folder import write_folder
from overlap import Maker, join, sentences, vocabulary
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

VOCABULARY = 3072
WIDTH, LAYERS, HEADS, WIDE = 128, 3, 4, 384
WINDOW = 512
STEPS = 2400
GROUPS = 8  # queries a step
RATE = 1.5e-3
SHARPNESS = 6.0  # how strongly the best document is preferred over the next


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train a WordPiece tokenizer, lower case, on Python's documentation and the word list."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = vocabulary()
    texts = [join(found) for found in sentences()]
    texts += [" ".join(words[:count]) for count in range(500, len(words), 700)]  # the most used ones count more
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=WINDOW,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def make_network(size: int) -> BertForSequenceClassification:
    """Return a network whose first layers already look for equal tokens: training that alone takes hours."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=WIDE,
        max_position_embeddings=WINDOW,
        num_labels=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    network = BertForSequenceClassification(config)
    with torch.no_grad():
        network.bert.embeddings.word_embeddings.weight.normal_(0, 0.1)
        network.bert.embeddings.position_embeddings.weight.normal_(0, 0.01)
        network.bert.embeddings.token_type_embeddings.weight.normal_(0, 0.05)
        for layer in network.bert.encoder.layer[:2]:
            attention = layer.attention.self
            attention.query.weight.copy_(torch.eye(WIDTH))
            attention.key.weight.copy_(torch.eye(WIDTH))
    return network


Batch = tuple[dict[str, torch.Tensor], torch.Tensor]


def batches(tokenizer: PreTrainedTokenizerFast) -> Iterator[Batch]:
    """Yield a step's pairs as tensors, and their shares [groups, documents]; passages grow over the first half."""
    maker, rng = Maker(held_out=False, seed=1), random.Random(2)
    for step in range(STEPS):
        longest = 24 if step < STEPS // 4 else 60 if step < STEPS // 2 else rng.choice((24, 60, 60, 120, 220))
        groups = [maker.group(longest) for _ in range(GROUPS if longest < 200 else GROUPS // 2)]
        pairs = [(group.query, document) for group in groups for document in group.documents]
        inputs = dict(tokenizer(pairs, padding=True, truncation="only_second", max_length=WINDOW, return_tensors="pt"))
        length = inputs["input_ids"].shape[1]
        start = rng.choice((0, rng.randint(0, WINDOW - length)))  # so that every position is trained
        inputs["position_ids"] = torch.arange(start, start + length)[None]
        yield inputs, torch.tensor([group.shares for group in groups])


def train(network: BertForSequenceClassification, tokenizer: PreTrainedTokenizerFast) -> None:
    """Train on each document's share as a probability, and on the order of each query's documents."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    started, losses = time.process_time(), []
    for step, (inputs, shares) in enumerate(batches(tokenizer)):
        past = step / STEPS
        for group in optimizer.param_groups:
            cooled = 1 if past < 0.3 else 0.5 * (1 + math.cos(math.pi * (past - 0.3) / 0.7))
            group["lr"] = RATE * min(1, (step + 1) / 100) * cooled + 1e-6
        logits = network(**inputs).logits.view(shares.shape)
        order = -(functional.softmax(shares * SHARPNESS, 1) * functional.log_softmax(logits, 1)).sum(1).mean()
        loss = order + functional.binary_cross_entropy_with_logits(logits, shares) * 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append((loss.item(), (logits.sigmoid() - shares).abs().mean().item()))
        if (step + 1) % 100 == 0:
            loss_mean, off = (sum(column) / 100 for column in zip(*losses[-100:], strict=True))
            spent = time.process_time() - started
            print(f"{step + 1} loss {loss_mean:.4f} off by {off:.4f} cpu {spent:.0f} s", flush=True)


def main() -> None:
    """Train, then write the folder."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    tokenizer = make_tokenizer()
    network = make_network(len(tokenizer))
    print(f"{sum(weights.numel() for weights in network.parameters()) / 1e6:.2f} million parameters", flush=True)
    train(network, tokenizer)
    with tempfile.TemporaryDirectory() as trained:
        network.eval().save_pretrained(trained)
        tokenizer.save_pretrained(trained)
        write_folder(Path(trained), folder, "text-classification")


if __name__ == "__main__":
    main()
