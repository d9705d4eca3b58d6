"""What is read aloud of a written text."""

import pytest

from fastembed.operators.speaking.reading import spoken


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("# Weather\n\nIt **rains**, `really`.", "Weather\n\nIt rains, really."),
        ("- one\n- two\n* three", "one\ntwo\nthree"),
        ("See [the page](https://example.org/a_(b)) and ![a cat](cat.png).", "See the page and a cat."),
        ("[Misaki](/misˈɑki/)", "Misaki"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b\n\n1, 2"),
        ("<b>bold</b> and 1 < 2", "bold and 1 < 2"),
        ("Hello 😀 world 👍🏽", "Hello world"),
        ("a\x00b\x07c\u200bd", "a b c d"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("A line that is\nwrapped here.", "A line that is wrapped here."),
        ("A heading\nA sentence.", "A heading\nA sentence."),
        ("“Don’t”", '"Don\'t"'),
        (
            "Ask me@example.org or https://www.example.org/a-b?x=1.",
            "Ask me at example dot org or example dot org slash a dash b.",
        ),
        ("20 °C, 5 €", "20 °C, 5 €"),
        ("***very* loud**", "very loud"),
        ("日本語", "日本語"),
        ("", ""),
    ],
)
def test_marks_are_left_out_and_words_stay(written, read):
    assert " ".join(spoken(written).split(" ")).strip() == read


def test_a_long_text_is_read_in_a_moment():
    for nasty in (
        "[" * 50_000,
        "*" * 50_000,
        "<" * 50_000,
        "_a" * 25_000,
        "![](" * 12_000,
        "`" * 50_000,
        "@." * 25_000,
    ):
        spoken(nasty)
