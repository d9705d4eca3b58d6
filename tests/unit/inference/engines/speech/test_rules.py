"""Which token may come next."""

from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.speech.rules import TokenRules
from tests.unit.inference.engines.speech.vocabularies import END, FIRST, NO_TIMES, SIZE, START, vocabulary


@pytest.fixture
def rules(tmp_path: Path) -> TokenRules:
    return TokenRules(vocabulary(tmp_path), window_s=5.0)


def row(**likely: float) -> np.ndarray:
    """Return logits: of the token `t5` as given, of all others 0."""
    logits = np.zeros(SIZE, np.float32)
    for name, value in likely.items():
        logits[int(name[1:])] = value
    return logits


def choice(rules: TokenRules, said: list[int], **likely: float) -> int:
    return rules.choose(row(**likely), said)[0]


def test_a_text_begins_with_a_time_within_its_first_second(rules: TokenRules) -> None:
    assert choice(rules, [], t0=9.0, **{f"t{FIRST + 60}": 8.0, f"t{FIRST + 10}": 5.0}) == FIRST + 10


def test_words_follow_the_start_of_a_segment_and_never_what_is_suppressed(rules: TokenRules) -> None:
    assert choice(rules, [FIRST], t3=9.0, t1=5.0, **{f"t{FIRST + 9}": 8.0}) == 1
    for special in (START, NO_TIMES):
        assert choice(rules, [FIRST], t1=5.0, **{f"t{special}": 9.0}) == 1


def test_times_never_go_back_nor_beyond_the_window(rules: TokenRules) -> None:
    said = [FIRST + 50, 0, 1]
    assert choice(rules, said, **{f"t{FIRST + 20}": 9.0, f"t{FIRST + 300}": 8.0, f"t{FIRST + 100}": 7.6}) == FIRST + 100


def test_a_segment_that_ends_is_followed_by_another_time_or_the_end(rules: TokenRules) -> None:
    said = [FIRST, 0, FIRST + 50]
    assert choice(rules, said, t1=19.0, **{f"t{END}": 9.0}) == END
    assert choice(rules, said, t1=9.0, **{f"t{FIRST + 55}": 9.0}) == FIRST + 55


def test_times_that_are_likelier_together_than_any_word_are_one(rules: TokenRules) -> None:
    close = {f"t{FIRST + tick}": 4.0 for tick in range(100, 110)}
    assert choice(rules, [FIRST, 0], t1=5.0, **close) >= FIRST + 100


def test_a_drafted_time_near_the_best_stands_and_a_word_does_not(rules: TokenRules) -> None:
    near = row(**{f"t{FIRST + 100}": 9.0})
    assert rules.choose(near.copy(), [FIRST, 0], FIRST + 110, 15)[0] == FIRST + 110
    assert rules.choose(near.copy(), [FIRST, 0], FIRST + 130, 15)[0] == FIRST + 100
    assert rules.choose(near.copy(), [FIRST, 0], 1, 15)[0] == FIRST + 100


def test_the_probability_is_that_among_what_may_come(rules: TokenRules) -> None:
    logits = np.full(SIZE, -np.inf, np.float32)
    logits[[0, 1]] = 0.0
    assert rules.choose(logits, [FIRST])[1] == pytest.approx(np.log(0.5))
