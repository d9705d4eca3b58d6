"""Makes `models/docling-pocket`: trains, exports and rounds a small Idefics3 that reads the pages of `docling_pages`.

    OMP_NUM_THREADS=1 python training/docling_pocket.py /tmp/docling models/docling-pocket

It needs torch 2.13, transformers 4.57.6, optimum-intel 2.2 and nncf 3.4, none of which the product needs, and takes
about 30 minutes of one core. The same seeds give the same pages; the steps are counted, not timed.
`python training/docling_exam.py` then examines what came out with the product's own engine.
"""

from __future__ import annotations

import math
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from docling_pages import GRID, HEIGHT, ROW, WORDS, Block, Placed, compose, doctags, draw, essay, fill
from folder import write_folder
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional

# The registry's torchvision is built for CUDA and does not load beside torch for CPUs: its package imports once the
# two operations it registers are declared, and nothing here runs them.
_TORCHVISION = torch.library.Library("torchvision", "DEF")
_TORCHVISION.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_TORCHVISION.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from transformers import (  # noqa: E402
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

LOOKS, STEPS, ESSAYS, TOGETHER = 2000, 2400, 320, 1200
BATCH, WARM_UP = 24, 60
EYES_RATE, WRITER_RATE, TOGETHER_RATE = 1e-3, 2e-3, 6e-4
PAPER, CONTRAST = 1.0, 0.4  # blank paper is nought to the eyes: most of a page is
BLANKS = 0.15  # how much a patch without a word counts, when the eyes learn words
TILE, PATCH = 128, 16
SIDE = TILE // PATCH  # patches along a tile's side
SEEN = SIDE**2  # tokens that stand for a page
PROMPT = "Convert this page to docling."
EOS = "<|end_of_text|>"
BLOCKS = ("section_header_level_1", "text", "otsl")
SPECIAL = [
    EOS, "<|start_of_role|>", "<|end_of_role|>", "<fake_token_around_image>", "<image>", "<global-img>",
    *(f"<row_{r}_col_{c}>" for r in range(1, 3) for c in range(1, 3)),
    "<doctag>", "</doctag>", *(tag for name in BLOCKS for tag in (f"<{name}>", f"</{name}>")), "<fcel>", "<nl>",
    *(f"<loc_{round(GRID * y * ROW / HEIGHT)}>" for y in range(HEIGHT // ROW + 1)),
]  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|start_of_role|>{{ m['role'] }}<|end_of_role|>{% if m['content'] is string %}"
    "{{ m['content'] }}{% else %}{% for c in m['content'] %}{% if c['type']=='image' %}<image>{% else %}"
    "{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)


def main() -> None:
    """Train, save, export, round."""
    work, target = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    print("parameters", sum(p.numel() for p in model.parameters()), "tokens", len(tokenizer), flush=True)
    train(model, tokenizer, work / "trained")
    write_folder(work / "trained", target, "image-text-to-text")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte pairs that know each word, with and without the space before it, as one token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    text = [f"{word} {word}" for word in WORDS] * 40 + [PROMPT, "user", "assistant"] * 200
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=1400, initial_alphabet=alphabet, special_tokens=SPECIAL, min_frequency=30)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=EOS, eos_token=EOS, pad_token=EOS, additional_special_tokens=SPECIAL[1:],
        model_max_length=1024, clean_up_tokenization_spaces=False, chat_template=TEMPLATE,
    )  # fmt: skip


def make_model(tokenizer: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    """Return the architecture of granite-docling with 1.3 million parameters."""
    eos = tokenizer.convert_tokens_to_ids(EOS)
    text = {
        "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 128, "intermediate_size": 320,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024,
        "pad_token_id": eos, "bos_token_id": eos, "eos_token_id": eos,
    }  # fmt: skip
    vision = {
        "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4,
        "image_size": TILE, "patch_size": PATCH,
    }  # fmt: skip
    config = Idefics3Config(
        text_config=text, vision_config=vision, scale_factor=1, pad_token_id=eos, tie_word_embeddings=True,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    return Idefics3ForConditionalGeneration(config)


def prompt(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return what stands before the answer: the page, the request."""
    fake = "<fake_token_around_image>"
    page = f"{fake}<global-img>{'<image>' * SEEN}{fake}"
    text = f"<|start_of_role|>user<|end_of_role|>{page}{PROMPT}{EOS}\n<|start_of_role|>assistant<|end_of_role|>"
    return list(tokenizer.encode(text, add_special_tokens=False))


def pixels(image: Image.Image) -> np.ndarray:
    """Return a page as the vision encoder takes it: float32 [3, TILE, TILE]."""
    return (np.asarray(image, np.float32).transpose(2, 0, 1) / 255 - PAPER) / CONTRAST


def marks(placed: list[Placed]) -> np.ndarray:
    """Return int [2, SIDE * SIDE]: for each patch the word at its middle (0: none) and the kind of its block."""
    out = np.zeros((2, SIDE, SIDE), np.int64)
    for word in placed:
        for column in range(SIDE):
            middle = column * PATCH + PATCH / 2
            if word.left - 2 <= middle <= word.right + 2:
                out[:, word.row, column] = 1 + WORDS.index(word.word), 1 + BLOCKS.index(word.kind)
    return out.reshape(2, SIDE * SIDE)


def batch(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast, pages: Callable[[random.Random], list[Block]], count: int
) -> tuple[torch.Tensor, ...]:
    """Pages, the labels of their patches, and their DocTags padded to the longest."""
    pictures, patches, answers = [], [], []
    for _ in range(count):
        blocks = pages(rng)
        image, placed = draw(blocks, rng)
        pictures.append(pixels(image))
        patches.append(marks(placed))
        answers.append(tokenizer.encode(doctags(blocks) + EOS, add_special_tokens=False))
    longest = max(map(len, answers))
    padded = np.full((count, longest), -100, np.int64)
    for row, answer in zip(padded, answers, strict=True):
        row[: len(answer)] = answer
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(patches)), torch.from_numpy(padded)


class Reader(nn.Module):
    """The model's forward pass for pages of one shape, and heads that teach it words and are thrown away later."""

    def __init__(self, model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.model = model
        self.before = torch.tensor(prompt(tokenizer))
        self.tokens = torch.tensor([tokenizer.encode(f" {word}", add_special_tokens=False)[0] for word in WORDS])
        self.level = nn.RMSNorm(model.config.text_config.hidden_size)
        self.images = self.before == model.config.image_token_id
        side = np.searchsorted(np.arange(1 / SIDE, 1.0, 1 / SIDE), np.arange(SIDE) / SIDE * (1 - 1e-6), side="right")
        self.places = torch.from_numpy((side[:, None] * SIDE + side).reshape(-1))
        width = model.config.vision_config.hidden_size
        self.word, self.kind = nn.Linear(width, 1 + len(WORDS)), nn.Linear(width, 1 + len(BLOCKS))

    def see(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return features, float [pages, patches, width], of pages [pages, 3, TILE, TILE]."""
        eyes = self.model.model.vision_model
        patches = eyes.embeddings.patch_embedding(pictures).flatten(2).transpose(1, 2)
        seen = eyes.encoder(inputs_embeds=patches + eyes.embeddings.position_embedding(self.places))
        return eyes.post_layernorm(seen.last_hidden_state)

    def forward(self, pictures: torch.Tensor, patches: torch.Tensor, answers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the losses of the answer and of the auxiliary heads, and the accuracy of the answer.

        The eyes' views are asked for the words on them in the writer's own vocabulary: without that, it would have to
        find the words' places and their meaning at the same time, and finds neither.
        """
        count = len(pictures)
        views = self.model.model.connector(self.see(pictures))
        known = answers.clamp(min=0)
        look = self.model.get_input_embeddings()
        lead = look(self.before).expand(count, -1, -1).clone()
        lead[:, self.images] = views
        states = self.model.model.text_model(inputs_embeds=torch.cat([lead, look(known[:, :-1])], 1)).last_hidden_state
        logits = self.model.lm_head(states[:, len(self.before) - 1 :])
        loss = functional.cross_entropy(logits.flatten(0, 1), answers.flatten(), ignore_index=-100)
        right = (logits.argmax(-1) == answers)[answers >= 0].float().mean()
        return loss, self.say(views, patches), right

    def say(self, views: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Return the loss of naming the word on each patch with the decoder's own tokens."""
        words = patches[:, 0].flatten()
        logits = self.model.lm_head(self.level(views.flatten(0, 1)[words > 0]))
        return functional.cross_entropy(logits, self.tokens[words[words > 0] - 1])

    def look(self, seen: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Return the loss of naming the word and the kind of block on each patch."""
        words, kinds = patches[:, 0].flatten(), patches[:, 1].flatten()
        weights = torch.where(words > 0, 1.0, BLANKS)
        lost = functional.cross_entropy(self.word(seen).flatten(0, 1), words, reduction="none")
        return (lost * weights).sum() / weights.sum() + functional.cross_entropy(self.kind(seen).flatten(0, 1), kinds)


def train(model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Train the vision encoder; then, on it, the decoder: on long paragraphs, then on pages; then both, on pages."""
    reader, rng, start = Reader(model.train(), tokenizer), random.Random(0), time.process_time()

    def write(count: int, rate: float, essays: int = 0) -> None:
        steps = optimizer(reader, rate)
        for step in range(count):
            loss, said, right = reader(*batch(rng, tokenizer, essay if step < essays else compose, BATCH))
            advance(steps, reader, loss + said, rate * pace(step, count))
            if (step + 1) % 200 == 0 or step + 1 == count:
                save(model, tokenizer, folder)
                model.train()
            if step % 25 == 0:
                spent = time.process_time() - start
                print(f"{step} {spent:.0f}s loss {loss:.3f} said {said:.3f} right {right:.3f}", flush=True)

    eyes = optimizer(reader, EYES_RATE)
    for step in range(LOOKS):
        pictures, patches, _ = batch(rng, tokenizer, full_or_not, 2 * BATCH)
        loss = reader.look(reader.see(pictures), patches)
        advance(eyes, reader, loss, EYES_RATE * pace(step, LOOKS))
        if step % 50 == 0:
            print(f"look {step} {time.process_time() - start:.0f}s loss {loss:.3f}", flush=True)
    save(model, tokenizer, folder)
    model.train().model.vision_model.requires_grad_(requires_grad=False)
    write(STEPS, WRITER_RATE, ESSAYS)
    model.model.vision_model.requires_grad_(requires_grad=True)
    write(TOGETHER, TOGETHER_RATE)


def full_or_not(rng: random.Random) -> list[Block]:
    """Return a page for the vision encoder: most are full of words, the others mostly blank."""
    return fill(rng) if rng.random() < 0.7 else compose(rng)


def optimizer(reader: Reader, rate: float) -> torch.optim.Optimizer:
    """Return a fresh optimiser for the parameters that are trained."""
    learning = [parameter for parameter in reader.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(learning, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)


def pace(step: int, count: int) -> float:
    """Return the share of the rate: it rises, then falls as a cosine."""
    return min(1, (step + 1) / WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / count)))


def advance(steps: torch.optim.Optimizer, reader: Reader, loss: torch.Tensor, rate: float) -> None:
    """Take one step."""
    for group in steps.param_groups:
        group["lr"] = rate
    steps.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
    steps.step()


def save(model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model as transformers does."""
    model.eval().save_pretrained(folder)
    images = Idefics3ImageProcessor(
        size={"longest_edge": HEIGHT}, max_image_size={"longest_edge": TILE}, image_mean=[PAPER] * 3,
        image_std=[CONTRAST] * 3,
    )  # fmt: skip
    Idefics3Processor(images, tokenizer, image_seq_len=SEEN, chat_template=TEMPLATE).save_pretrained(folder)


if __name__ == "__main__":
    main()
