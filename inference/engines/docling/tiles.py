"""A page as an Idefics3 model sees it: tiles in rows and columns, then the whole page shrunk to one tile.

The arithmetic is that of transformers 4.57 (`Idefics3ImageProcessor`, `Idefics3VisionEmbeddings`), roundings included:
a model answers differently to pictures that are a pixel wider.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastembed.inference.engines.docling.folder import ImageSettings


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """pixels: float32 [tiles, 3, side, side], row by row, the whole page last; rows and columns are 0 for one tile."""

    pixels: NDArray[np.float32]
    rows: int
    columns: int


def cut(image: Image.Image, settings: ImageSettings) -> Tiles:
    """Scale a picture and cut it into tiles; one that fits a single tile is not cut."""
    method = Image.Resampling(settings.resample)
    image = image.convert("RGB")
    image = image.resize(_scaled(image.size, settings.longest), method)
    width, height = _whole_tiles(image.size, settings.tile)
    image = image.resize((width, height), method)
    side = settings.tile
    rows, columns = height // side, width // side
    if rows == columns == 1:
        return Tiles(_numbers([image], settings), 0, 0)
    boxes = [(c * side, r * side, (c + 1) * side, (r + 1) * side) for r in range(rows) for c in range(columns)]
    parts = [image.crop(box) for box in boxes]
    return Tiles(_numbers([*parts, image.resize((side, side), method)], settings), rows, columns)


def positions(settings: ImageSettings, count: int) -> NDArray[np.int64]:
    """Return int64 [count, patches]: where each tile's patches lie in the grid that the vision encoder learnt.

    transformers sorts i / n, a millionth less, into buckets that begin at k / side: where n is side, every patch but
    the first lands one place early. Models are run with that there, so they are here.
    """
    patches = settings.tile // settings.patch
    bounds = np.arange(1 / settings.side, 1.0, 1 / settings.side, dtype=np.float32)
    places = np.arange(patches, dtype=np.float32) / np.float32(patches) * np.float32(1 - 1e-6)
    bucket = np.searchsorted(bounds, places, side="right").astype(np.int64)
    return np.tile((bucket[:, None] * settings.side + bucket).reshape(1, -1), (count, 1))


def image_tokens(tiles: Tiles, settings: ImageSettings) -> str:
    """Return what stands for a picture in the prompt: `<image>` for each of its tokens, and where the tiles belong."""
    fake, seen = "<fake_token_around_image>", "<image>" * settings.tokens
    if not tiles.rows:
        return f"{fake}<global-img>{seen}{fake}"
    lines = [
        "".join(f"{fake}<row_{row}_col_{column}>{seen}" for column in range(1, tiles.columns + 1)) + "\n"
        for row in range(1, tiles.rows + 1)
    ]
    return "".join(lines) + f"\n{fake}<global-img>{seen}{fake}"


def _scaled(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the size whose longer side is `longest`, the other one even."""
    width, height = size
    ratio = width / height
    if width >= height:
        other = int(longest / ratio)
        return longest, max(1, other + other % 2)
    other = int(longest * ratio)
    return max(1, other + other % 2), longest


def _whole_tiles(size: tuple[int, int], tile: int) -> tuple[int, int]:
    """Return the next larger size of whole tiles, the longer side first rounded up."""
    width, height = size
    ratio = width / height
    if width >= height:
        whole = math.ceil(width / tile) * tile
        return whole, math.ceil(int(whole / ratio) / tile) * tile
    whole = math.ceil(height / tile) * tile
    return math.ceil(int(whole * ratio) / tile) * tile, whole


def _numbers(parts: list[Image.Image], settings: ImageSettings) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = np.stack([np.asarray(part, np.float32) for part in parts]) * np.float32(
        settings.scale
    )
    mean, std = np.array(settings.mean, np.float32), np.array(settings.std, np.float32)
    return np.ascontiguousarray(((pixels - mean) / std).transpose(0, 3, 1, 2), np.float32)
