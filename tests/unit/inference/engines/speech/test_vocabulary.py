"""What tokens mean."""

from pathlib import Path

from tests.unit.inference.engines.speech.vocabularies import (
    END,
    ENGLISH,
    FIRST,
    NO_TIMES,
    START,
    TRANSCRIBE,
    vocabulary,
)


def test_the_opening_names_language_and_task_where_the_model_has_them(tmp_path: Path) -> None:
    assert vocabulary(tmp_path).opening("en", "transcribe") == [ENGLISH, TRANSCRIBE]
    assert vocabulary(tmp_path).opening("fr", "transcribe") == []
    assert vocabulary(tmp_path, lang_to_id={}).opening(None, "transcribe") == []


def test_special_tokens_say_nothing(tmp_path: Path) -> None:
    words = vocabulary(tmp_path)
    assert words.text([FIRST, 0, 1, 2, FIRST + 50, START, END]) == "the cat sat"
    assert words.raw_text([0, 1]) == " the cat"


def test_words_stand_between_spaces_and_keep_what_belongs_to_them(tmp_path: Path) -> None:
    words = vocabulary(tmp_path)
    assert words.words([0, 1, 4, 5, 3]) == [("the", 0, 1), ("cat", 1, 2), ("can't.", 2, 5)]
    assert words.words([8, 9, 1]) == [("naïve", 0, 2), ("cat", 2, 3)]


def test_scripts_without_spaces_have_a_word_a_character_even_of_two_tokens(tmp_path: Path) -> None:
    found = vocabulary(tmp_path).words([6, 7, 10, 11])
    assert found == [("\u4f60", 0, 1), ("\u597d", 1, 2), ("\u732b", 2, 4)]


def test_a_long_prompt_keeps_its_end(tmp_path: Path) -> None:
    words = vocabulary(tmp_path)
    assert words.prompt("  ") == []
    found = words.prompt("the cat " * 30 + "sat")
    assert found[0] == words.previous == NO_TIMES - 2
    assert len(found) == 20
    assert found[-1] == 2
