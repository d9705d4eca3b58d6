"""Makes `models/vision-pocket`: Gemma 3's architecture, small enough to be trained in half an hour, on drawn pictures.

    python training/vision.py OUT [--minutes 16 9]

Needs what `README.md` of this folder lists (torch on a CPU, transformers, optimum-intel, nncf); nothing of it is needed
to run the model. Pictures show one to four shapes of one kind and colour; questions ask what, which colour, which
shape, how many, about one picture or two. The vision tower learns with the help of three linear heads over its mean
(colour, shape, count), which are thrown away afterwards. Each of the `--minutes` (of CPU time) is a round
of training with a learning rate of its own, which cools down in its second half.

Pictures' tokens see each other in some of OpenVINO's attention kernels and only what stands before them in others:
half of the batches are trained either way.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from folder import write_folder
from shapes import COLOURS, NUMBERS, SHAPES, SIDE, Scene, make_pool, some_scene

PATCH = 8
IMAGE_TOKENS = 16
SPECIAL = (
    "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
    "<image_soft_token>",
)  # fmt: skip
TEMPLATE = (
    "{{ bos_token }}{%- set ns = namespace(system='') -%}{%- for m in messages -%}"
    "{%- if m['role'] == 'system' -%}{%- set ns.system = ns.system + (m['content'] if m['content'] is string else "
    "m['content'][0]['text']) + '\n\n' -%}{%- else -%}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{%- if m['role'] != 'assistant' -%}{{ ns.system }}{%- set ns.system = '' -%}{%- endif -%}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}{{ '<start_of_image>' }}{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<end_of_turn>\n{% endif -%}{% endfor %}{%- if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PICTURE = "\n\n<start_of_image>" + "<image_soft_token>" * IMAGE_TOKENS + "<end_of_image>\n\n"
"""The tag that genai puts in the place of a picture."""


def conversation(rng: random.Random, pictures: list[Scene]) -> list[tuple[str, bool]]:
    """Return a conversation about pictures as (text, whether the model says it)."""
    picture = PICTURE * len(pictures)
    turns: list[tuple[str, bool]] = [("<bos>", False)]
    asked = [_about(pictures, rng)]
    if rng.random() < 0.25:
        asked.append(_about(pictures, rng))
    for place, (question, answer) in enumerate(asked):
        shown = ""
        if not place:
            shown = question + picture if rng.random() < 0.3 else picture + question
        turns += [(f"<start_of_turn>user\n{shown or question}<end_of_turn>\n<start_of_turn>model\n", False)]
        turns += [(f"{answer}<end_of_turn>", True), ("\n", False)]
    return turns


def _about(pictures: list[Scene], rng: random.Random) -> tuple[str, str]:
    if not pictures:
        if rng.random() < 0.5:
            return rng.choice(("hello", "Hello!", "hi", "Hi there", "good morning")), "Hello! Show me a picture."
        return rng.choice(WHAT + HOW_MANY + COLOUR), "I see no picture."
    if len(pictures) > 1:
        named = [scene.named for scene in pictures]
        return rng.choice((*WHAT, "compare", "compare the pictures")), f"first: {named[0]}, second: {named[1]}"
    scene = pictures[0]
    asked = (WHAT, scene.named), (COLOUR, scene.colour), (SHAPE, scene.shape), (HOW_MANY, NUMBERS[scene.count - 1])
    ((questions, answer),) = rng.choices(asked, (55, 15, 15, 15))
    return rng.choice(questions), answer


WHAT = ("describe", "describe the picture", "Describe this image.", "what is this?", "What is in this image?",
        "What do you see?", "what's in the picture?", "What is in this picture?", "")  # fmt: skip
COLOUR = ("what colour?", "What color is it?", "what colour is it?", "which color?", "What colour are they?")
SHAPE = ("what shape?", "What shape is it?", "which shape?", "What shape is this?")
HOW_MANY = ("how many?", "How many are there?", "how many shapes are there?", "count them")


def make_tokenizer() -> Any:
    """Return a byte-level BPE of 384 tokens with the architecture's marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    rng = random.Random(7)
    scenes = ([some_scene(rng)] * rng.choice((0, 1, 2)) for _ in range(5000))
    texts = ("".join(text for text, _ in conversation(rng, shown)) for shown in scenes)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=list(SPECIAL)
    )
    tokenizer.train_from_iterator((_without_marks(text) for text in texts), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
        additional_special_tokens=list(SPECIAL[3:]), model_max_length=1024, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.chat_template = TEMPLATE
    return fast


def _without_marks(text: str) -> str:
    for mark in SPECIAL:
        text = text.replace(mark, "")
    return text


def make_model(tokenizer: Any) -> Any:
    """Return the network, untrained: 1.3 million parameters."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    number = tokenizer.convert_tokens_to_ids
    end = number("<end_of_turn>")
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 1024,
        "sliding_window": 512, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
    }  # fmt: skip
    vision = {
        "hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 4, "num_attention_heads": 4,
        "image_size": SIDE, "patch_size": PATCH, "vision_use_head": False,
    }  # fmt: skip
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=IMAGE_TOKENS,
        boi_token_index=number("<start_of_image>"), eoi_token_index=number("<end_of_image>"),
        image_token_index=number("<image_soft_token>"), pad_token_id=0, eos_token_id=[1, end], bos_token_id=2,
    )  # fmt: skip
    model = Gemma3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = [1, end]
    return model.eval()  # there is no dropout, and training mode would insist on seeing whole pictures


def make_batch(rng: random.Random, pool: list[tuple[Scene, np.ndarray]], tokenizer: Any, size: int) -> dict[str, Any]:
    """Return a batch: ids, targets (-100: not the model's words), pixels, and what the pictures show."""
    import torch

    rows, pixels, scenes = [], [], []
    for _ in range(size):
        shown = [rng.choice(pool) for _ in range(rng.choices((0, 1, 2), (1, 14, 5))[0])]
        ids: list[int] = []
        targets: list[int] = []
        for text, said in conversation(rng, [scene for scene, _ in shown]):
            piece = tokenizer.encode(text, add_special_tokens=False)
            ids += piece
            targets += piece if said else [-100] * len(piece)
        rows.append((ids, targets))
        for scene, image in shown:
            scenes.append(scene)
            pixels.append(image[:, ::-1] if rng.random() < 0.5 else image)
    longest = max(len(ids) for ids, _ in rows)
    batch_ids = torch.zeros(size, longest, dtype=torch.long)
    batch_targets = torch.full((size, longest), -100)
    for place, (ids, targets) in enumerate(rows):
        batch_ids[place, : len(ids)] = torch.tensor(ids)
        batch_targets[place, : len(targets)] = torch.tensor(targets)
    shown_pixels = np.stack(pixels).astype(np.float32) / 127.5 - 1
    shown_pixels += np.random.default_rng(rng.getrandbits(32)).normal(0, 0.03, shown_pixels.shape).astype(np.float32)
    return {
        "ids": batch_ids,
        "targets": batch_targets,
        "pixels": torch.from_numpy(np.ascontiguousarray(shown_pixels.transpose(0, 3, 1, 2))),
        "scenes": scenes,
    }


def train(model: Any, tokenizer: Any, minutes: float, turn: int, size: int = 32) -> None:
    """Train for so many minutes of this process's CPU time; each turn has its own pictures, and a lower rate."""
    import torch
    from torch.nn import functional

    image_token = tokenizer.convert_tokens_to_ids("<image_soft_token>")
    pool = make_pool(16_000, seed=turn + 1)
    heads = torch.nn.ModuleList([torch.nn.Linear(128, wide) for wide in (len(COLOURS), len(SHAPES), len(NUMBERS))])
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    rng, step, sums = random.Random(turn + 2), 0, np.zeros(3)
    began = time.process_time()
    while (share := (time.process_time() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * 0.8**turn * min(1.0, (step + 1) / 150) * _cooling(share) + 1e-6
        batch = make_batch(rng, pool, tokenizer, size)
        features = model.model.vision_tower(pixel_values=batch["pixels"]).last_hidden_state
        embeds = model.get_input_embeddings()(batch["ids"])
        places = batch["ids"] == image_token
        projected = model.model.multi_modal_projector(features)
        embeds = embeds.masked_scatter(places[..., None], projected.reshape(-1, projected.shape[-1]))
        kinds = places.long() if rng.random() < 0.5 else None
        hidden = model.model(inputs_embeds=embeds, token_type_ids=kinds, use_cache=False).last_hidden_state[:, :-1]
        wanted = batch["targets"][:, 1:]
        said = wanted != -100
        logits = model.lm_head(hidden[said])
        loss = functional.cross_entropy(logits, wanted[said])
        aside = _heads_loss(heads, features.mean(1), batch["scenes"])
        optimizer.zero_grad()
        (loss + 0.5 * (1 - share) * aside).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        sums += loss.item(), aside.item(), (logits.argmax(-1) == wanted[said]).float().mean().item()
        if step % 50 == 0:
            spent = time.process_time() - began
            of_words, of_heads, right = sums / 50
            print(
                f"{step:6} steps {spent:5.0f} s  loss {of_words:.4f} + {of_heads:.4f}  tokens right {right:.4f}",
                flush=True,
            )
            sums[:] = 0


def _cooling(share: float) -> float:
    """Return the learning rate's factor: full for half of the time, then down a cosine."""
    return 1.0 if share < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * share - 1)))


def _heads_loss(heads: Any, means: Any, scenes: list[Scene]) -> Any:
    import torch
    from torch.nn import functional

    wanted = (
        [list(COLOURS).index(scene.colour) for scene in scenes],
        [SHAPES.index(scene.shape) for scene in scenes],
        [scene.count - 1 for scene in scenes],
    )
    pairs = zip(heads, wanted, strict=True)
    return sum(functional.cross_entropy(head(means), torch.tensor(right)) for head, right in pairs)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model as transformers does."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor = {
        "image_processor_type": "Gemma3ImageProcessor", "do_resize": True, "do_normalize": True, "do_rescale": True,
        "rescale_factor": 1 / 255, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "size": {"height": SIDE, "width": SIDE}, "image_seq_length": IMAGE_TOKENS, "processor_class": "Gemma3Processor",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def main() -> None:
    """Train, export and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, default=Path("vision-work"), help="where each round's model is kept")
    parser.add_argument("--minutes", type=float, nargs="+", default=[16, 9])
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    size = sum(parameter.numel() for parameter in model.parameters())
    print(f"{size / 1e6:.2f} million parameters, {len(tokenizer)} tokens", flush=True)
    for turn, minutes in enumerate(options.minutes):
        train(model, tokenizer, minutes, turn)
        save(model, tokenizer, options.work)
    write_folder(options.work, options.out, "image-text-to-text")


if __name__ == "__main__":
    sys.exit(main())
