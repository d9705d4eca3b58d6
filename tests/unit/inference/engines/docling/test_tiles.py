"""The expected figures are those of transformers 4.57.6: Idefics3ImageProcessor on the same picture."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fastembed.inference.engines.docling.folder import ImageSettings
from fastembed.inference.engines.docling.tiles import cut, image_tokens, positions

SIGHT = ImageSettings(tile=128, longest=256, patch=16, side=8, tokens=2)
WHOLE = replace(SIGHT, longest=128)
SEEN = "<image><image>"


def picture(width, height):
    y, x = np.mgrid[:height, :width]
    bands = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), ((x // 7 + y // 5) % 2) * 255]
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8))


WIDE = {
    "grid": (1, 2),
    "means": [-0.1697, 0.1647, -0.0025],
    "deviations": [0.6516, 0.6588, 0.6488],
    "corners": (-0.9294, 1.0),
}
HIGH = {
    "grid": (2, 1),
    "means": [-0.1687, 0.166, -0.0029],
    "deviations": [0.7272, 0.7279, 0.6747],
    "corners": (-0.9608, -0.8588),
}
SQUARE = {
    "grid": (2, 2),
    "means": [-0.3407, -0.0017, -0.0033, 0.3357, -0.0029],
    "deviations": [0.6156, 0.7024, 0.6986, 0.6113, 0.6966],
    "corners": (-0.9686, -0.9922),
}
THIN = {
    "grid": (2, 1),
    "means": [-0.1692, 0.1655, -0.0033],
    "deviations": [0.6973, 0.6982, 0.6583],
    "corners": (-0.9608, -0.8588),
}


@pytest.mark.parametrize(
    ("size", "expected"), [((128, 256), HIGH), ((300, 100), WIDE), ((61, 79), SQUARE), ((37, 256), THIN)]
)
def test_a_page_is_cut_as_transformers_cuts_it(size, expected):
    tiles = cut(picture(*size), SIGHT)
    assert (tiles.rows, tiles.columns) == expected["grid"]
    assert tiles.pixels.shape == (len(expected["means"]), 3, 128, 128)
    assert tiles.pixels.mean((1, 2, 3)) == pytest.approx(expected["means"], abs=1e-4)
    assert tiles.pixels.std((1, 2, 3)) == pytest.approx(expected["deviations"], abs=1e-4)
    corners = (tiles.pixels[0, 1, 5, 9], tiles.pixels[-1, 2, 100, 60])
    assert corners == pytest.approx(expected["corners"], abs=1e-4)


def test_a_page_that_fits_one_tile_is_not_cut():
    tiles = cut(picture(300, 100), WHOLE)
    assert (tiles.rows, tiles.columns) == (0, 0)
    assert tiles.pixels.mean() == pytest.approx(-0.0025, abs=1e-4)
    assert tiles.pixels.std() == pytest.approx(0.6189, abs=1e-4)


def test_a_picture_becomes_a_place_a_tile_and_the_whole_page_in_the_prompt():
    fake = "<fake_token_around_image>"
    rows = f"{fake}<row_1_col_1>{SEEN}\n{fake}<row_2_col_1>{SEEN}\n"
    assert image_tokens(cut(picture(128, 256), SIGHT), SIGHT) == f"{rows}\n{fake}<global-img>{SEEN}{fake}"


def test_a_single_tile_is_the_whole_page():
    fake = "<fake_token_around_image>"
    assert image_tokens(cut(picture(128, 128), WHOLE), WHOLE) == f"{fake}<global-img>{SEEN}{fake}"


def test_patches_take_the_places_that_transformers_gives_them():
    found = positions(replace(SIGHT, tile=64), 2)
    assert found.tolist() == [[row * 8 + column for row in (0, 1, 3, 5) for column in (0, 1, 3, 5)]] * 2


def test_of_a_full_grid_every_patch_but_the_first_lands_one_place_early():
    assert positions(SIGHT, 1)[0, :9].tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 0]


def test_thin_pictures_have_at_least_a_pixel():
    assert cut(picture(1, 4000), SIGHT).pixels.shape[1:] == (3, 128, 128)
