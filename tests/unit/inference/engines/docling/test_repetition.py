import random

import pytest

from fastembed.inference.engines.docling.repetition import Repetition


def stopped_after(tokens):
    watch = Repetition()
    return next((count for count, token in enumerate(tokens, 1) if watch.add(token)), None)


@pytest.mark.parametrize(("unit", "expected"), [(1, 192), (7, 192), (48, 192), (60, 240), (96, 384)])
def test_a_stretch_that_repeats_is_a_loop_after_four_rounds_and_192_tokens(unit, expected):
    assert stopped_after(list(range(unit)) * 400) == expected


def test_a_loop_is_found_behind_any_text():
    assert stopped_after([*range(1000, 1500), *([7, 8, 9] * 100)]) == 500 + 192


def test_a_table_of_empty_cells_is_no_loop():
    assert stopped_after(([5] * 8 + [6]) * 20) is None


def test_text_is_no_loop():
    rng = random.Random(1)
    assert stopped_after(rng.choices(range(50), k=20_000)) is None


def test_a_loop_longer_than_96_tokens_is_left_to_the_limit_of_tokens():
    assert stopped_after(list(range(97)) * 20) is None
