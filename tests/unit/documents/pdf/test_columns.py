from fastembed.documents.pdf.columns import LayoutPiece, reading_order
from fastembed.documents.pdf.geometry import Box


def column(left, width, count, *, top=100.0, step=12.0, words=8):
    return [LayoutPiece(Box(left, top + k * step, left + width, top + k * step + 10), words) for k in range(count)]


def test_one_column_is_read_from_top_to_bottom():
    pieces = column(72, 400, 6)[::-1]

    assert reading_order(pieces) == [[5, 4, 3, 2, 1, 0]]


def test_two_columns_are_read_left_then_right():
    pieces = column(72, 220, 10) + column(310, 220, 10, top=103)

    assert reading_order(pieces) == [list(range(10)), list(range(10, 20))]


def test_four_columns_are_read_in_turn():
    pieces = [p for k in range(4) for p in column(50 + 130 * k, 118, 12, top=100 + k)]

    assert reading_order(pieces) == [list(range(12 * k, 12 * k + 12)) for k in range(4)]


def test_what_stands_across_splits_the_page_into_bands():
    above = column(72, 220, 8) + column(310, 220, 8)
    across = [LayoutPiece(Box(72, 200, 530, 300), solid=True)]
    below = column(72, 220, 8, top=310) + column(310, 220, 8, top=310)

    order = reading_order(above + across + below)

    assert [i for region in order for i in region] == list(range(len(above) + 1 + len(below)))


def test_terms_beside_descriptions_are_no_column():
    pieces = column(72, 40, 6, step=36, words=1) + column(150, 380, 18)

    assert len(reading_order(pieces)) == 1


def test_page_numbers_at_the_right_are_no_column():
    pieces = column(72, 250, 12, words=4) + column(520, 12, 12, words=1)

    assert len(reading_order(pieces)) == 1


def test_no_pieces_have_no_order():
    assert reading_order([]) == []


def test_three_narrow_columns_on_the_same_lines_are_read_in_turn():
    pieces = [p for k in range(3) for p in column(60 + 165 * k, 150, 9, words=5)]

    assert reading_order(pieces) == [list(range(9 * k, 9 * k + 9)) for k in range(3)]


def test_three_columns_of_short_cells_are_rows():
    pieces = [p for k in range(3) for p in column(60 + 165 * k, 60, 9, words=2)]

    assert len(reading_order(pieces)) == 1
