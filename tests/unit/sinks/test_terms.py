import pytest

from fastembed.sinks.lake.search import snippet
from fastembed.sinks.lake.terms import MAX_TERM_CHARS, term_key, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World-wide snake_case x2!", ["hello", "world", "wide", "snake", "case", "x2"]),
        ("Straße ÉCOLE naïve", ["strasse", "ecole", "naive"]),
        ("天気予報", ["天気", "気予", "予報"]),
        ("USB接続3本", ["usb", "接続", "3", "本"]),
        ("हिन्दी", ["हिन्दी"]),
        ("ﬁne ２０２６", ["fine", "2026"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("", []),
        ("…—!", []),
    ],
)
def test_words_are_folded_and_split_by_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_words_are_the_same_however_they_are_composed() -> None:
    assert words("e\u0301te\u0301") == words("été") == ["ete"]
    assert words("가") == words("\u1100\u1161")


def test_endless_words_are_cut() -> None:
    assert words("x" * 1000) == ["x" * MAX_TERM_CHARS]
    assert words("é" * 1000) == ["e" * MAX_TERM_CHARS]


def test_keys_are_stable_across_versions() -> None:
    assert (term_key("apple"), term_key("天気")) == (2838417488, term_key("天気"))
    assert 0 <= term_key("\ud800") < 2**32


def test_a_snippet_shows_where_the_words_stand() -> None:
    text = "filler " * 200 + "the Needle and the thread " + "filler " * 200
    shown = snippet(text, {"needle", "thread"})
    assert "the Needle and the thread" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) <= 304


def test_a_snippet_of_a_short_text_is_the_text() -> None:
    assert snippet("two\n  words", {"none"}) == "two words"


def test_a_snippet_without_a_match_is_the_beginning() -> None:
    assert snippet("word " * 100, {"none"}).startswith("word word")


def test_a_snippet_of_one_endless_word_is_cut() -> None:
    assert len(snippet("x" * 5000, {"y"})) <= 304
