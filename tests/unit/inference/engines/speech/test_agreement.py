import itertools

import pytest

from fastembed.inference.engines.speech.agreement import Agreement, split_units


def test_a_word_is_published_when_two_passes_agree_and_another_word_follows_it() -> None:
    agreement = Agreement()
    assert agreement.revise("good mourning") == ""
    assert agreement.revise("good morning the") == "good"
    assert agreement.revise("good morning the quick") == " morning the"
    assert agreement.text == "good morning the"


def test_the_last_word_waits_even_if_two_passes_agree_on_it() -> None:
    agreement = Agreement()
    agreement.revise("good")
    assert agreement.revise("good") == ""


def test_unsettled_words_wait_longer() -> None:
    agreement = Agreement()
    agreement.revise("one two three four")
    assert agreement.revise("one two three four", unsettled=3) == "one"


def test_the_rest_comes_at_the_end() -> None:
    agreement = Agreement()
    agreement.revise("one two")
    agreement.revise("one two")
    assert agreement.finish("one two three") == " two three"
    assert agreement.text == "one two three"


def test_a_final_pass_that_contradicts_goes_on_behind_what_was_published() -> None:
    agreement = Agreement()
    agreement.revise("the cap sat on")
    agreement.revise("the cap sat on")
    assert agreement.text == "the cap sat"
    assert agreement.finish("the cat sat on the mat") == " on the mat"
    assert agreement.text == "the cap sat on the mat"


def test_a_final_pass_with_a_word_less_repeats_nothing() -> None:
    agreement = Agreement()
    agreement.revise("good morning at the quick")
    agreement.revise("good morning at the quick")
    assert agreement.finish("good morning the quick brown fox") == " quick brown fox"


def test_a_pass_that_contradicts_what_was_published_publishes_nothing() -> None:
    agreement = Agreement()
    agreement.revise("red light now please")
    agreement.revise("red light now please")
    assert agreement.revise("bread light now please go") == ""


def test_case_and_punctuation_do_not_count_as_disagreement() -> None:
    agreement = Agreement()
    agreement.revise("hello world this")
    assert agreement.revise("Hello, world. This is") == "Hello, world. This"


def test_scripts_without_spaces_are_published_by_the_character() -> None:
    agreement = Agreement()
    agreement.revise("你好世")
    assert agreement.revise("你好世界") == "你好世"
    assert agreement.finish("你好世界。") == "界。"
    assert agreement.text == "你好世界。"


def test_units_concatenate_to_the_text() -> None:
    assert split_units(" a b,  c ") == ["a", " b,", "  c"]
    assert split_units("") == []


def test_nothing_said_is_an_empty_transcript() -> None:
    agreement = Agreement()
    assert agreement.finish("  ") == ""
    assert agreement.text == ""


def test_two_passes_that_contradict_what_was_published_go_on_behind_it() -> None:
    agreement = Agreement()
    agreement.revise("he was not an ill-sposed young man")
    agreement.revise("he was not an ill-sposed young man")
    assert agreement.revise("he was not an ill-disposed young man unless to") == ""
    assert agreement.revise("he was not an ill-disposed young man unless to be") == " man unless to"
    assert agreement.text == "he was not an ill-sposed young man unless to"


@pytest.mark.parametrize(
    ("passes", "final"),
    [
        (("please send the signed contract to",) * 2, "please send the signed a contract to the london office"),
        (("a b c d", "a b c d e"), "a x b c d e"),
        (("i am here now", "i am here now ok"), "i am right here now ok"),
        (("the cat sat", "the cat sat on"), "the big cat sat on the mat"),
        (("the cat sat on", "the cat sat on the"), "the cat is sat on the mat"),
        (("go to the", "go to the"), "go to a the bank"),
    ],
)
def test_no_word_is_said_twice_and_the_end_is_never_lost(passes: tuple[str, ...], final: str) -> None:
    agreement = Agreement()
    for said in passes:
        agreement.revise(said)
    agreement.finish(final)
    words = agreement.text.split()
    assert all(a != b for a, b in itertools.pairwise(words))
    assert words[-1] == final.rsplit(maxsplit=1)[-1]


@pytest.mark.parametrize(
    ("published", "final", "text"),
    [
        (
            "unless to be rather cold and",
            "unless to be rather cold-hearted and",
            "unless to be rather cold-hearted and",
        ),
        ("we can do", "we can't do it", "we can't do it"),
        ("it is the team so", "it is the team's so", "it is the team's so"),
        ("she said yes so", "she said yes, so", "she said yes, so"),
    ],
)
def test_the_rest_of_a_word_that_has_grown_is_published(published: str, final: str, text: str) -> None:
    agreement = Agreement()
    agreement.revise(published)
    agreement.revise(published)
    agreement.finish(final)
    assert agreement.text == text
