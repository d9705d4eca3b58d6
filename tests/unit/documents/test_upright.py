import numpy as np
import pytest

from fastembed.documents.upright import UprightReader, is_sideways

LIES, STANDS = (10.0, 10.0, 90.0, 20.0), (10.0, 10.0, 20.0, 90.0)


class Recogniser:
    """Reads a page that is white but for its first row, whichever side that is on; sure only where it is on top."""

    def __init__(self, confidences):
        self.confidences = confidences
        self.turns = []

    def __call__(self, image):
        turn = next(k for k in range(4) if not np.rot90(image, k)[0].any())
        self.turns.append(turn)
        return [("some words", STANDS if turn % 2 else LIES, self.confidences.get(turn, 0.7))] * 5

    def rest(self):
        pass


def striped(turn):
    """A page with lines of text, its top marked by a black row, turned to the left."""
    page = np.full((120, 80, 3), 255, np.uint8)
    page[8::12] = page[9::12] = 0
    page[0] = 0
    return np.ascontiguousarray(np.rot90(page, turn))


@pytest.mark.parametrize("turn", range(4))
def test_a_page_is_turned_until_its_lines_are_read_with_confidence(turn):
    recogniser = Recogniser({0: 0.99})
    reader = UprightReader(recogniser)
    reading = reader(striped(turn))
    assert reading.turn == -turn % 4
    assert reading.confidence == pytest.approx(0.99)
    assert len(recogniser.turns) <= 2
    assert reader.pages == 1


def test_an_upright_page_is_read_once_and_a_poor_one_twice():
    sure, poor = Recogniser({0: 0.99}), Recogniser({0: 0.8})
    UprightReader(sure)(striped(0))
    reading = UprightReader(poor)(striped(0))
    assert (sure.turns, poor.turns) == ([0], [0, 2])
    assert (reading.turn, reading.confidence) == (0, pytest.approx(0.8))


def test_an_empty_page_is_read_once():
    images = []
    assert UprightReader(lambda image: images.append(image) or [])(striped(0)).lines == []
    assert len(images) == 1


def test_lines_from_top_to_bottom_are_sideways():
    assert is_sideways(striped(1))
    assert not is_sideways(striped(0))
