"""What a model's config.json says, in whatever nesting its architecture has it."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Final

_PICTURE_TOKENS: Final = 256
_HEARING: Final = frozenset({"qwen3_omni", "qwen3_omni_moe"})
"""The architectures that genai's VLMPipeline gives sound to. Others take `audios=` and ignore it silently."""
_AUDIO_ENCODER: Final = "openvino_audio_encoder_model.xml"


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON file's object; an empty one where there is no such file."""
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a configuration says of the part that reads and writes text."""
    within: Mapping[str, Any] = config.get("thinker_config", config)
    found: Mapping[str, Any] = within.get("text_config", within)
    return found


def hears(config: Mapping[str, Any], files: Container[str]) -> bool:
    """Whether a folder of these files, with this configuration, is of a model that takes sound as it is."""
    return config.get("model_type") in _HEARING and _AUDIO_ENCODER in files


def picture_tokens(config: Mapping[str, Any], folder: Path) -> int:
    """Return what a picture takes, with the marks around it, as Gemma 3, 3n and 4 say it; elsewhere 256 is a guess."""
    processor = read_json(folder / "preprocessor_config.json")
    said = (
        config.get("mm_tokens_per_image"),
        config.get("vision_soft_tokens_per_image"),
        processor.get("max_soft_tokens"),
        processor.get("image_seq_length"),
    )
    return int(next((number for number in said if number), _PICTURE_TOKENS)) + 2
