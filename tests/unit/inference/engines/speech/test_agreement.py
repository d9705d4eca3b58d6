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
