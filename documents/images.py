"""PNG and JPG: the image becomes a one-page PDF, so that a photographed page gets a scanned page's reading order."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from fastembed.documents.limits import DocumentLimits, check_pixels
from fastembed.pipeline.errors import Unprocessable

_PAGE_INCHES: Final = 11.7
"""An image without a credible resolution is taken for a page as long as A4."""
_CREDIBLE_DPI: Final = range(90, 1201)
_LONGEST_INCHES: Final = 20.0
_LOWEST_DPI: Final = 96.0
_QUALITY: Final = 95


def page_of(path: Path, name: str, limits: DocumentLimits) -> bytes:
    """Return the image as a PDF of one page, upright (by its EXIF orientation), on white.

    Raises: TooLarge by its pixels; Unprocessable if it is damaged.
    """
    return _page(*opened(path, name, limits))


def page_with(image: Image.Image, name: str, limits: DocumentLimits) -> bytes:
    """Return a picture that a document holds as a PDF of one page. TooLarge by its pixels."""
    check_pixels(*image.size, name, limits)
    return _page(_on_white(image), _resolution(image))


def opened(path: Path, name: str, limits: DocumentLimits) -> tuple[Image.Image, float]:
    """Return the image, upright and on white, grey or RGB, and its dots per inch. Raises as `page_of` does."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked first, and says what was expected
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            check_pixels(*image.size, name, limits)
            dpi = _resolution(image)
            page = _on_white(ImageOps.exif_transpose(image))
            page.load()
            return page, dpi
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # Pillow raises each for damaged files
        raise Unprocessable(
            f"{name}: found a damaged image ({error}), expected a complete one", code="corrupt"
        ) from error


def _page(image: Image.Image, dpi: float) -> bytes:
    out = io.BytesIO()
    image.save(out, "PDF", resolution=dpi, quality=_QUALITY)
    return out.getvalue()


def _resolution(image: Image.Image) -> float:
    """Return the image's dots per inch, as it says or, where that cannot be, as a page of that many pixels has them."""
    said = image.info.get("dpi", (0, 0))[0]
    longest = max(image.size)
    if said and round(said) in _CREDIBLE_DPI and longest / said <= _LONGEST_INCHES:
        return float(said)
    return max(longest / _PAGE_INCHES, _LOWEST_DPI)


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image as RGB or grey; what is transparent becomes white."""
    if image.mode in ("L", "RGB", "1"):
        return image.convert("L") if image.mode == "1" else image
    if image.mode in ("I", "I;16", "F"):
        return image.point(lambda value: value / 256).convert("L")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
