"""Pictures of anybody's as pixels: four formats, no more, and no more pixels than a request may have."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fastembed.pipeline.errors import InvalidInput

_log: Final = logging.getLogger("fastembed.http")

MAX_IMAGE_BYTES: Final = 20 * 2**20
MAX_PIXELS: Final = 32_000_000
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
_FORMAT_WORDS: Final = "a PNG, JPEG, WebP or still GIF"


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """Return a picture as uint8 [height, width, 3], RGB, upright, on white where it is transparent. It blocks.

    Pillow reads it with only four decoders, after the size that its header states has been checked. InvalidInput: none
    of them, broken, too large, animated.
    """
    if len(data) > MAX_IMAGE_BYTES:
        _refuse(f"found a picture of more than {MAX_IMAGE_BYTES:,} bytes, expected at most that", "image_too_large")
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                _too_many(f"{width} x {height}")
            if getattr(image, "n_frames", 1) > 1:
                _refuse("found an animated picture, expected a still one", "invalid_image_format")
            return np.asarray(_upright(image), np.uint8)
    except InvalidInput:
        raise
    except UnidentifiedImageError:
        begins = f"bytes that begin with {data[:8].hex()}" if data else "nothing"
        _refuse(f"found {begins}, expected {_FORMAT_WORDS}", "invalid_image")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _too_many("far too many")
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise a dozen types over broken files
        if not isinstance(error, OSError | SyntaxError | ValueError):  # those that its documentation names
            _log.warning("a picture broke its decoder", exc_info=error)
        _refuse(f"not a readable picture ({error}), expected {_FORMAT_WORDS}", "invalid_image")


def _refuse(message: str, code: str) -> NoReturn:
    raise InvalidInput(message, code=code)


def _too_many(found: str) -> NoReturn:
    _refuse(f"found {found} pixels, expected at most {MAX_PIXELS} in all", "image_too_large")


def _upright(image: Any) -> Any:
    """Return the picture in RGB, turned as its EXIF orientation says."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
