"""How questions and sentences are compared."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed.operators.asking.confidence import BIAS, FEATURES, WEIGHTS, baseline, probability, scaled
from fastembed.operators.asking.kinds import fits
from fastembed.operators.asking.ranking import Candidates, Scale, rank, soft_coverage, words_to_compare
from fastembed.operators.asking.terms import content_words, coverage, has_word, numbers, stems
from fastembed.operators.asking.units import units
from fastembed.pipeline.payload.asking import Passage

TABLE = """Prices as of May.

| Item | Price |
| --- | --- |
| Pump | 100.00 |
| Hose \\| red | 3.10 |"""


def test_a_passage_is_cut_into_sentences_and_rows_that_name_their_columns() -> None:
    assert units(f"## Head\n\n- **First** item is long.\n1. Second one. And Dr. Lee came.\n\n{TABLE}") == [
        "First item is long.",
        "Second one.",
        "And Dr. Lee came.",
        "Prices as of May.",
        "Item: Pump; Price: 100.00",
        "Item: Hose \\| red; Price: 3.10",
    ]


def test_words_that_only_ask_say_nothing() -> None:
    assert content_words("How long does the guarantee on the pump last?") == ["long", "guarantee", "pump", "last"]
    assert content_words("What is it?") == ["what", "is", "it"]


@pytest.mark.parametrize(
    ("word", "text", "has"),
    [
        ("calibrated", "The calibration is done.", True),
        ("bats", "One bat left.", True),
        ("1964", "Built in 1964.", True),
        ("1964", "Built in 1965.", False),
        ("rent", "The renter left.", True),
        ("mill", "The military came.", False),
        ("Straße", "In der STRASSE.", True),
    ],
)
def test_forms_of_a_word_are_one_word(word, text, has) -> None:
    assert has_word(content_words(word)[0], stems(text)) is has


@pytest.mark.parametrize(
    ("question", "sentence", "fit"),
    [
        ("How many came?", "Forty people came.", True),
        ("How many came?", "Many people came.", False),
        ("When was it built?", "It was built in 1964.", True),
        ("When was it built?", "It was built of granite.", False),
        ("Who designed it?", "It was designed by Ingrid Solberg.", True),
        ("Who designed it?", "It was designed in December.", False),
        ("What does it cost?", "Admission is four euros.", True),
        ("What does it cost?", "It weighs 3 kilograms.", False),
        ("What is the phone number?", "Call the assistance line.", False),
        ("What is the phone number?", "Call 0800 555 019.", True),
        ("How heavy is it?", "It weighs 3 kilograms.", True),
        ("How heavy is it?", "It is 3 metres long.", False),
        ("How long does it take?", "It takes two hours.", True),
        ("How often must it be cleaned?", "Clean it every week.", True),
        ("What colour is it?", "It is 3 metres long.", False),
        ("What is it?", "It is here.", None),
    ],
)
def test_a_sentence_has_what_is_asked_for_or_not(question, sentence, fit) -> None:
    assert fits(question, sentence) is fit


def test_numbers_are_compared_as_they_are_written() -> None:
    assert numbers("From 1,842.5 to 3, in 2026.") == {"1,842.5", "3", "2026"}


def test_rare_words_weigh_more() -> None:
    assert coverage(["salary", "keeper"], {"salary": 3.0, "keeper": 1.0}, stems("The keeper left.")) == 0.25
    assert coverage([], {}, frozenset()) == 0.0


def test_words_that_are_missing_count_as_their_nearest_one() -> None:
    passage = Passage(1, "The keeper left the tower.", "a.md")
    missing, known = words_to_compare("What is the salary of the keeper?", passage)
    assert (missing, known) == (["salary"], ["keeper", "left", "tower"])
    assert soft_coverage("What is the salary of the keeper?", {}, missing, [0.2]) == pytest.approx(0.6)


def test_the_sentence_that_is_near_and_has_the_words_comes_first_with_its_passage() -> None:
    passages = [
        Passage(1, "The choir sings. Music is nice.", "a.md", similarity=0.1),
        Passage(2, "The rent is 2,450. Dogs bark.", "b.md", similarity=0.5),
    ]
    candidates = Candidates.of(passages)
    assert candidates.texts == ["The choir sings.", "Music is nice.", "The rent is 2,450.", "Dogs bark."]
    cosines = np.array([0.1, 0.0, 0.6, 0.0], np.float32)
    ranked, evidence = rank("How much is the rent?", passages, candidates, cosines, rarity={}, scale=Scale())
    assert [passage.file for passage in ranked] == ["b.md", "a.md"]
    assert (evidence[0].passage, evidence[0].text) == (0, "The rent is 2,450.")


def test_cosines_of_all_models_are_put_on_one_scale() -> None:
    alike = np.array([[1.0, 0.0], [0.8, 0.6]], np.float32)
    assert baseline(alike) == pytest.approx(0.8)
    assert scaled(0.9, 0.8) == pytest.approx(0.5)
    assert scaled(0.5, 0.8) == 0.0


def test_confidence_is_a_probability_that_grows_with_what_speaks_for_an_answer() -> None:
    assert len(FEATURES) == len(WEIGHTS)
    nothing, all_of_it = probability((0.0,) * len(FEATURES)), probability((1.0, 1.0, 0.5, 1.0, 0.0, 1.0))
    assert nothing == pytest.approx(1 / (1 + np.exp(-BIAS)))
    assert nothing < 0.05
    assert all_of_it > 0.95
