"""Makes `tests/assets/hearing`: Qwen3-Omni's thinker, small enough for a test, that names sounds and colours in order.

    python training/hearing.py tests/assets/hearing [--steps 1500]

Needs what `README.md` of this folder lists, with transformers 5.5.4: optimum-intel exports this architecture from
transformers 5 on. Each message shows one to three things between words: a low tone, a high tone, noise (half a second
to two), or a picture of one colour. The answer names them in their order: "low, red, noise". The talker, which would
speak, is not trained and not kept: genai makes text without it.

The network is trained for what genai makes of sound: an eighth of its mel frames, counted over the whole of it. In
transformers it is cut in windows of twice `n_window` frames, of 100 which make 13 tokens each; here no sound is longer
than one window, and the count is genai's.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from folder import write_folder
from torch.nn import functional

RATE_HZ = 16_000
WINDOW = 200
"""Mel frames, of 10 ms, in one of transformers' windows: the longest sound to train on."""
SIDE = 64
COLOURS = {"red": (215, 35, 35), "green": (30, 150, 50), "blue": (35, 70, 210)}
SOUNDS = ("low", "high", "noise")
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio_start|>", "<|audio_pad|>", "<|audio_end|>",
    "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ASKED = ("What do you hear?", "what is this?", "Listen:", "and then", "Name them.", "list them", "hello", "", "", "")
PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor", "feature_extractor_type": "WhisperFeatureExtractor",
    "patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "min_pixels": SIDE**2, "max_pixels": SIDE**2,
    "size": {"shortest_edge": SIDE**2, "longest_edge": SIDE**2}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    "feature_size": 128, "sampling_rate": RATE_HZ, "hop_length": 160, "n_fft": 400,
}  # fmt: skip


def sound(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return one of `SOUNDS` at any loudness, half a second to two long, over a little noise."""
    time_s = np.arange(int(rng.uniform(0.5, 2.0) * RATE_HZ)) / RATE_HZ
    if name == "noise":
        made = rng.normal(0, 0.5, len(time_s))
    else:
        pitch = rng.uniform(150, 400) if name == "low" else rng.uniform(1500, 3000)
        made = np.sin(2 * np.pi * pitch * time_s + rng.uniform(0, 6))
    return (made * rng.uniform(0.2, 0.8) + rng.normal(0, 0.002, len(time_s))).astype(np.float32)


def make_tokenizer() -> Any:
    """Return a byte-level BPE of 300 tokens with the architecture's marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=list(SPECIAL)
    )
    words = ["user\n", "assistant\n", *(f"{first}, {second}" for first in NAMES for second in NAMES), "nothing", *ASKED]
    tokenizer.train_from_iterator(words * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=2048,
        additional_special_tokens=[*SPECIAL[1:2], *SPECIAL[3:]], clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.chat_template = TEMPLATE
    return fast


NAMES = (*SOUNDS, *COLOURS)


def make_model(tokenizer: Any) -> Any:
    """Return the network, untrained: a thinker of 0.3 million parameters, and the least talker that can be exported."""
    from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration
    from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as architecture

    architecture._get_feat_extract_output_lengths = lambda frames: (frames + 7) // 8  # noqa: SLF001 - see above
    number = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [3, 3, 2], "mrope_interleaved": True}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "moe_intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "num_experts": 2,
        "num_experts_per_tok": 1, "max_position_embeddings": 2048, "rope_parameters": rope, "rope_scaling": rope,
        "eos_token_id": number("<|im_end|>"), "pad_token_id": 0,
    }  # fmt: skip
    audio = {
        "num_mel_bins": 128, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 128, "d_model": 64,
        "output_dim": 64, "n_window": WINDOW // 2, "n_window_infer": 2 * WINDOW, "downsample_hidden_size": 16,
        "max_source_positions": 100,
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0], "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }  # fmt: skip
    marks = {
        "audio_token_id": number("<|audio_pad|>"), "image_token_id": number("<|image_pad|>"),
        "video_token_id": number("<|video_pad|>"), "audio_start_token_id": number("<|audio_start|>"),
        "vision_start_token_id": number("<|vision_start|>"),
    }  # fmt: skip
    ends = {"audio_end_token_id": number("<|audio_end|>"), "vision_end_token_id": number("<|vision_end|>")}
    codes = {
        "vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
        "num_key_value_heads": 1, "head_dim": 16, "num_code_groups": 2,
    }  # fmt: skip
    talker = {
        **marks, "text_config": {**text, "shared_expert_intermediate_size": 16}, "thinker_hidden_size": 64,
        "accept_hidden_layer": 1, "num_code_groups": 2, "code_predictor_config": codes, "spatial_merge_size": 2,
    }  # fmt: skip
    waves = {
        "codebook_size": 64, "hidden_size": 16, "num_attention_heads": 1, "num_key_value_heads": 1,
        "intermediate_size": 16, "num_hidden_layers": 1, "num_quantizers": 2, "decoder_dim": 16,
        "upsample_rates": [2, 2], "upsampling_ratios": [2],
    }  # fmt: skip
    thinker = {**marks, **ends, "text_config": text, "audio_config": audio, "vision_config": vision}
    config = Qwen3OmniMoeConfig(
        thinker_config=thinker, talker_config=talker, code2wav_config=waves, enable_audio_output=True,
        im_start_token_id=number("<|im_start|>"), im_end_token_id=number("<|im_end|>"),
    )  # fmt: skip
    model = Qwen3OmniMoeForConditionalGeneration(config)
    model.generation_config.eos_token_id = number("<|im_end|>")
    return model.eval()


class Maker:
    """Makes batches: sounds come from a pool, since their spectra take longer to compute than a step of training."""

    def __init__(self, tokenizer: Any, seed: int, pool: int) -> None:
        from transformers import Qwen2VLImageProcessor, WhisperFeatureExtractor

        self._tokenizer = tokenizer
        self._rng = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        listens = WhisperFeatureExtractor(feature_size=128)
        self._heard: dict[str, list[torch.Tensor]] = {name: [] for name in SOUNDS}
        for _ in range(pool):
            for name, spectra in self._heard.items():
                samples = sound(name, self._noise)
                found = listens(samples, sampling_rate=RATE_HZ, padding=False, return_tensors="pt").input_features[0]
                spectra.append(found[:, :WINDOW])
        self._looks = Qwen2VLImageProcessor(**{key: PREPROCESSOR[key] for key in (
            "patch_size", "temporal_patch_size", "merge_size", "min_pixels", "max_pixels", "image_mean", "image_std",
        )})  # fmt: skip

    def batch(self, size: int) -> dict[str, Any]:
        """Return what the thinker's forward takes, and `targets` (-100: not the model's words)."""
        rows: list[tuple[list[int], list[int]]] = []
        spectra: list[torch.Tensor] = []
        pictures: list[np.ndarray] = []
        for _ in range(size):
            shown = [self._rng.choice(NAMES) for _ in range(self._rng.choices((0, 1, 2, 3), (1, 6, 6, 6))[0])]
            text = "<|im_start|>user\n"
            for name in shown:
                text += self._rng.choice(ASKED) + self._show(name, spectra, pictures)
            text += self._rng.choice(ASKED) + "<|im_end|>\n<|im_start|>assistant\n"
            asked = self._tokenizer.encode(text, add_special_tokens=False)
            answer = self._tokenizer.encode((", ".join(shown) or "nothing") + "<|im_end|>", add_special_tokens=False)
            rows.append((asked + answer, [-100] * len(asked) + answer))
        longest = max(len(ids) for ids, _ in rows)
        picture = self._tokenizer.convert_tokens_to_ids("<|image_pad|>")
        places = [positions([*ids, *[0] * (longest - len(ids))], picture) for ids, _ in rows]
        made: dict[str, Any] = {
            "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
            "position_ids": torch.tensor(places).permute(1, 0, 2),
            "targets": torch.tensor([targets + [-100] * (longest - len(targets)) for _, targets in rows]),
        }
        if spectra:
            frames = max(one.shape[1] for one in spectra)
            made["input_features"] = torch.stack([functional.pad(one, (0, frames - one.shape[1])) for one in spectra])
            made["feature_attention_mask"] = torch.tensor(
                [[1] * one.shape[1] + [0] * (frames - one.shape[1]) for one in spectra]
            )
        if pictures:
            seen = self._looks(pictures, return_tensors="pt")
            made |= {"pixel_values": seen["pixel_values"], "image_grid_thw": seen["image_grid_thw"]}
        return made

    def _show(self, name: str, spectra: list[torch.Tensor], pictures: list[np.ndarray]) -> str:
        """Add an input; return its placeholder in the prompt."""
        if name in SOUNDS:
            spectra.append(self._rng.choice(self._heard[name]))
            return f"<|audio_start|>{'<|audio_pad|>' * math.ceil(spectra[-1].shape[1] / 8)}<|audio_end|>"
        colour = np.array(COLOURS[name]) + self._noise.normal(0, 15, 3)
        grain = self._noise.normal(0, 6, (SIDE, SIDE, 3))
        pictures.append(np.clip(colour + grain, 0, 255).astype(np.uint8))
        return f"<|vision_start|>{'<|image_pad|>' * (SIDE // 32) ** 2}<|vision_end|>"


def positions(ids: list[int], picture: int) -> list[list[int]]:
    """Return time, row and column of each token (M-RoPE): a picture's four lie side by side, others in a line."""
    rows: list[list[int]] = [[], [], []]
    after, corner = 0, 0
    for id_ in ids:
        if id_ == picture:
            for row, step in zip(rows, (0, corner // 2, corner % 2), strict=True):
                row.append(after + step)
            corner += 1
            if corner == (SIDE // 32) ** 2:
                after, corner = after + SIDE // 32, 0
            continue
        for row in rows:
            row.append(after)
        after += 1
    return rows


def train(model: Any, maker: Maker, steps: int, size: int = 24) -> None:
    """Train the thinker."""
    parameters = list(model.thinker.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.02)
    right, lost, began = 0.0, 0.0, time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps)) + 1e-6
        batch = maker.batch(size)
        wanted = batch.pop("targets")[:, 1:]
        said = wanted != -100
        logits = model.thinker(**batch, use_cache=False).logits[:, :-1][said]
        loss = functional.cross_entropy(logits, wanted[said])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        right += (logits.argmax(-1) == wanted[said]).float().mean().item() / 50
        lost += loss.item() / 50
        if step % 50 == 49:
            print(f"{step + 1:5} {time.monotonic() - began:5.0f} s  {lost:.4f}  tokens right {right:.4f}", flush=True)
            right = lost = 0.0


def export(model: Any, tokenizer: Any, out: Path) -> None:
    """Write the folder, without the talker."""
    with tempfile.TemporaryDirectory() as saved:
        source = Path(saved)
        model.save_pretrained(source)
        tokenizer.save_pretrained(source)
        (source / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
        write_folder(source, out, "image-text-to-text")
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        (out / name).write_text(json.dumps(PREPROCESSOR))
    for file in out.glob("openvino_*"):
        if file.name.startswith(("openvino_talker", "openvino_code")):
            file.unlink()
    config = json.loads((out / "config.json").read_text())
    config["enable_audio_output"] = False
    (out / "config.json").write_text(json.dumps(config, indent=1))


def main() -> None:
    """Train, export and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pool", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    size = sum(parameter.numel() for parameter in model.thinker.parameters())
    print(f"{size / 1e6:.2f} million parameters, {len(tokenizer)} tokens", flush=True)
    train(model, Maker(tokenizer, 0, options.pool), options.steps)
    shutil.rmtree(options.out, ignore_errors=True)
    export(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
