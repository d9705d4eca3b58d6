import pytest

from fastembed.documents.pdf.hyphens import Vocabulary


@pytest.mark.parametrize(
    ("known", "lines", "text"),
    [
        ([], ["the exam-", "ple"], "the example"),
        (["a long-term view"], ["a long-", "term plan"], "a long-term plan"),
        (["the longterm view"], ["a long-", "term plan"], "a longterm plan"),
        ([], ["X-", "Ray"], "X-Ray"),
        ([], ["2019-", "2020"], "2019-2020"),
        ([], ["self-", "made"], "self-made"),
        ([], ["one", "two"], "one two"),
        ([], ["a dash -", "then"], "a dash - then"),
        ([], ["日本", "語"], "日本語"),
        ([], [], ""),
    ],
)
def test_lines_are_joined_as_their_words_are_written(known, lines, text):
    assert Vocabulary(known).joined(lines) == text
