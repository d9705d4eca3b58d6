"""Images become PDFs of a page each, so that a photographed page gets a scanned page's reading order."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from fastembed.documents.limits import DocumentLimits, check_pixels
from fastembed.pipeline.errors import Unprocessable, UnsupportedMedia

_PAGE_INCHES: Final = 11.7
"""An image without a credible resolution is taken for a page as long as A4."""
_CREDIBLE_DPI: Final = range(90, 1201)
_LONGEST_INCHES: Final = 20.0
_LOWEST_DPI: Final = 96.0
_QUALITY: Final = 95
_HEIC: Final = re.compile(rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)(?!.{4}(?:.{4})*avi[fs])", re.DOTALL)
_MOST_PAGES: Final = 1000


def page_of(path: Path, name: str, limits: DocumentLimits) -> bytes:
    """Return the image as a PDF of a page, of all its pages if it is a TIFF, upright (by EXIF orientation), on white.

    Raises: TooLarge by its pixels; Unprocessable if it is damaged.
    """
    pages = opened(path, name, limits)
    image, dpi = next(pages)
    return _pdf(image, dpi, (page for page, _ in pages))


def page_with(image: Image.Image, name: str, limits: DocumentLimits) -> bytes:
    """Return a picture that a document holds as a PDF of one page. TooLarge by its pixels."""
    check_pixels(*image.size, name, limits)
    return _pdf(_on_white(image), _resolution(image))


def opened(path: Path, name: str, limits: DocumentLimits) -> Iterator[tuple[Image.Image, float]]:
    """Yield the image's pages, upright and on white, grey or RGB, and their dots per inch. Raises as `page_of` does.

    Only a TIFF has several: what a GIF or WebP holds more of is an animation.
    """
    _enable_heic(path, name)
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked first, and says what was expected
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            for number in range(min(count, _MOST_PAGES)):
                image.seek(number)
                check_pixels(*image.size, name, limits)
                dpi = _resolution(image)
                page = _on_white(ImageOps.exif_transpose(image))
                page.load()
                yield page, dpi
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # Pillow raises each for damaged files
        raise Unprocessable(
            f"{name}: found a damaged image ({error}), expected a complete one", code="corrupt"
        ) from error


def _enable_heic(path: Path, name: str) -> None:
    """Let Pillow read HEIC where its user has installed the reader. UnsupportedMedia says what is missing.

    The wheels of pillow-heif hold libx265, which is GPL: this project does not bring them.
    """
    with path.open("rb") as file:
        if not _HEIC.match(file.read(32)):
            return
    try:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore] # the user's own
    except ImportError as error:
        raise UnsupportedMedia(
            f"{name}: found a HEIC image and no reader for it: run `pip install pillow-heif` where fastembed is "
            "installed (its wheels are under the GPL), or save the image as JPG",
            code="reader_missing",
        ) from error
    pillow_heif.register_heif_opener()


def _pdf(image: Image.Image, dpi: float, more: Iterable[Image.Image] = ()) -> bytes:
    out = io.BytesIO()
    image.save(out, "PDF", resolution=dpi, quality=_QUALITY, save_all=True, append_images=more)
    return out.getvalue()


def _resolution(image: Image.Image) -> float:
    """Return the image's dots per inch, as it says or, where that cannot be, as a page of that many pixels has them."""
    declared_dpi = image.info.get("dpi", (0, 0))[0]
    longest = max(image.size)
    if declared_dpi and round(declared_dpi) in _CREDIBLE_DPI and longest / declared_dpi <= _LONGEST_INCHES:
        return float(declared_dpi)
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
