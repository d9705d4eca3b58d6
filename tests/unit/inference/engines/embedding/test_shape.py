import numpy as np
import pytest

from fastembed.inference.engines.embedding.shape import cut, normalized
from fastembed.pipeline.errors import InvalidInput

VECTORS = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 0.0]], np.float32)


def test_normalized_rows_have_length_one_and_zero_rows_stay_zero():
    rows = normalized(VECTORS)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1.0, 0.0])


def test_a_cut_keeps_the_first_dimensions():
    assert cut(VECTORS, 2, "m").tolist() == [[3.0, 4.0], [0.0, 0.0]]


def test_no_cut_is_asked_for_with_none():
    assert cut(VECTORS, None, "m") is VECTORS


@pytest.mark.parametrize("dimensions", [0, -1, 4, True])
def test_dimensions_that_the_model_does_not_have_are_refused(dimensions):
    with pytest.raises(InvalidInput, match="expected 1 to 3, what m gives") as refused:
        cut(VECTORS, dimensions, "m")
    assert refused.value.param == "dimensions"
