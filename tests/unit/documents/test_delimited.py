import pytest

from fastembed.documents.delimited import table_of


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("Name;Preis\nA;1,50\nB;2,75\n", [["Name", "Preis"], ["A", "1,50"], ["B", "2,75"]]),
        ("a\tb, c\n1\t2, 3\n", [["a", "b, c"], ["1", "2, 3"]]),
        ("a|b\r\n1|2\r\n", [["a", "b"], ["1", "2"]]),
        ("sep=;\na;b,c\n1;2,3\n", [["a", "b,c"], ["1", "2,3"]]),
        ('a;b\n"x;y";"two\nlines"\n', [["a", "b"], ["x;y", "two\nlines"]]),
        ('size,note\n5,"5"" pipe"\n6,ok\n', [["size", "note"], ["5", '5" pipe'], ["6", "ok"]]),
        ('size,note\n5,5" pipe\n6,ok\n', [["size", "note"], ["5", '5" pipe'], ["6", "ok"]]),
        ("a,b\n\n,\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("x\ny\nz\n", [["x"], ["y"], ["z"]]),
        ("", []),
    ],
)
def test_columns_are_parted_by_the_mark_that_the_rows_agree_on(text, rows):
    found = table_of(text)
    assert (found.preamble, found.rows, found.ragged) == ([], rows, None)


def test_what_stands_before_the_header_is_apart():
    text = "# Statement\nAccount;12\n\nDate;Text;Sum\n1;a, b;2\n2;c, d;3\n3;e;4\n4;f;5\n"
    found = table_of(text)
    assert found.preamble == ["# Statement", "Account 12"]
    assert found.rows[0] == ["Date", "Text", "Sum"]


def test_a_preamble_with_commas_does_not_choose_the_mark():
    text = "Sales, by region, 2026\nDate;Item\n1;Pump\n2;Hose\n"
    assert table_of(text).rows == [["Date", "Item"], ["1", "Pump"], ["2", "Hose"]]


def test_rows_of_different_lengths_lose_nothing():
    found = table_of("a,b\n1,2,3\n4\n")
    assert (found.preamble, found.rows, found.ragged) == ([], [["a", "b"], ["1", "2", "3"], ["4"]], (1, 3))
