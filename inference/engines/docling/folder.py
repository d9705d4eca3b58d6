"""What the files of an Idefics3 model say of it: granite-docling and SmolDocling, exported to OpenVINO."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.errors import ModelNotFound

VISION_ENCODER: Final = "openvino_vision_embeddings_model.xml"
EMBEDDINGS: Final = "openvino_text_embeddings_model.xml"
DECODER: Final = "openvino_language_model.xml"
_FILES: Final = (
    "config.json",
    "preprocessor_config.json",
    VISION_ENCODER,
    EMBEDDINGS,
    DECODER,
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)
_LANCZOS: Final = 1


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How pictures are cut up. tile: pixels of a square tile's side. longest: pixels that a picture's longer side gets.

    patch: pixels of a patch's side, side: patches along a tile's side as they were learnt. tokens: that stand for a
    tile. scale, mean, std: how a byte becomes the number that the model sees, the last two by colour.
    """

    tile: int
    longest: int
    patch: int
    side: int
    tokens: int
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    resample: int = _LANCZOS


@dataclass(frozen=True, slots=True)
class DoclingTraits:
    """images: how they are cut up. picture_token: the id that stands for a piece of picture.

    window: tokens of its context. token_bytes: what a token of the context takes in the decoder's memory, at 16 bits.
    """

    images: ImageSettings
    picture_token: int
    window: int
    token_bytes: int

    @property
    def page_bytes(self) -> int:
        """What a page takes that fills the context."""
        return self.window * self.token_bytes


def read_traits(folder: Path) -> DoclingTraits:
    """Read a folder's configuration. ModelNotFound names what it lacks, or says that it is another kind of model."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ModelNotFound(f"found no {', '.join(missing)} in {folder}, expected an Idefics3 model as OpenVINO IR")
    config, pictures = _read(folder / "config.json"), _read(folder / "preprocessor_config.json")
    if config.get("model_type") != "idefics3":
        raise ModelNotFound(f"found a model of type {config.get('model_type')!r} in {folder}, expected idefics3")
    try:
        return _traits(config, pictures)
    except KeyError as error:
        raise ModelNotFound(
            f"found no {error} in the configuration in {folder}, expected an Idefics3 model's"
        ) from error


def _traits(config: Mapping[str, Any], pictures: Mapping[str, Any]) -> DoclingTraits:
    vision, text = config["vision_config"], config["text_config"]
    side = vision["image_size"] // vision["patch_size"]
    images = ImageSettings(
        tile=pictures["max_image_size"]["longest_edge"],
        longest=pictures["size"]["longest_edge"],
        patch=vision["patch_size"],
        side=side,
        tokens=side**2 // config["scale_factor"] ** 2,
        scale=pictures.get("rescale_factor", 1 / 255),
        mean=tuple(pictures["image_mean"]),
        std=tuple(pictures["image_std"]),
        resample=pictures.get("resample", _LANCZOS),
    )
    heads = text.get("num_attention_heads") or 1
    head_size = text.get("head_dim") or (text.get("hidden_size") or 0) // heads
    per_layer = 2 * (text.get("num_key_value_heads") or heads) * head_size * 2
    token_bytes = max(1, per_layer * (text.get("num_hidden_layers") or 1))
    return DoclingTraits(images, config["image_token_id"], text["max_position_embeddings"], token_bytes)


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
