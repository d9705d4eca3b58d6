"""What of a model's words is accepted, and what supports it."""

from __future__ import annotations

import pytest

from fastembed.operators.asking.support import citation, complete_sentences, is_refusal, place_of, quotes, support_of
from fastembed.pipeline.payload.asking import DocumentQuestion, Evidence, Passage, Retrieved

LEASE = "The lease begins on 1 April and runs for five years."
RENT = "The rent is 2,450 a month, payable by the third working day."
OTHER = "The choir rehearses on Wednesdays in the gym."


def retrieved(question: str = "When does the lease begin?") -> Retrieved:
    passages = (
        Passage(7, f"{LEASE} {RENT}", "lease.pdf", pages=(2, 3), headings=("Lease", "Term"), sha256="ab", model="mini"),
        Passage(9, OTHER, "choir.md", seconds=(61.0, 75.0)),
    )
    evidence = (Evidence(0, LEASE, 0.9), Evidence(0, RENT, 0.6), Evidence(1, OTHER, 0.2))
    return Retrieved(DocumentQuestion(question), passages, evidence, 0.9, 0.5)


@pytest.mark.parametrize(
    ("sentence", "supported_by"),
    [
        ("The lease begins on 1 April.", LEASE),
        ("It runs for five years from 1 April.", LEASE),
        ("The monthly rent of 2,450 is payable by the third working day in April 1.", None),
        ("The lease begins on 2 April.", None),
        ("The lease begins on 1 April and ends when Mr Novak sells the harbour.", None),
        ("The lease begins.", None),
        ("Paris is the capital of France.", None),
        ("On 1 April.", LEASE),
    ],
)
def test_a_sentence_is_supported_by_one_that_has_its_words_and_all_its_numbers(sentence, supported_by) -> None:
    found = support_of(sentence, retrieved())
    assert (found and found[0].text) == supported_by


def test_words_of_the_question_alone_are_no_answer() -> None:
    assert support_of("The rent of the lease is the rent.", retrieved("What is the rent of the lease?")) is None


def test_a_models_own_numbers_of_sources_are_dropped_and_sentences_wait_until_they_end() -> None:
    assert complete_sentences("It begins on 1 April [1]. It runs", ended=False) == (
        ["It begins on 1 April."],
        " It runs",
    )
    assert complete_sentences("It runs on [2]", ended=True) == (["It runs on"], "")
    assert complete_sentences("", ended=False) == ([], "")


@pytest.mark.parametrize("mark", ["1. ", "2) ", "- ", "• "])
def test_the_mark_of_a_models_list_is_no_number_that_documents_must_have(mark: str) -> None:
    (sentence,), _ = complete_sentences(f"{mark}{LEASE}", ended=True)
    assert sentence == LEASE
    assert support_of(sentence, retrieved()) is not None


def test_a_day_that_begins_a_sentence_is_no_mark_of_a_list() -> None:
    found, _ = complete_sentences("1. April 2031 ist der Beginn der Miete.", ended=True)
    assert " ".join(found) == "1. April 2031 ist der Beginn der Miete."


def test_a_model_may_say_that_the_passages_do_not_answer() -> None:
    assert is_refusal("Not in your files.")
    assert is_refusal("The rent is not mentioned in the sentences.")
    assert not is_refusal(RENT)


def test_the_best_sentence_is_quoted_and_another_only_if_it_is_nearly_as_good() -> None:
    found = retrieved()
    assert quotes(found) == [found.evidence[0]]


def test_a_citation_names_file_pages_times_and_what_read_it() -> None:
    found = retrieved()
    cited = citation(1, found.evidence[0], found, 0.876543)
    assert (cited.passage_id, cited.sha256, cited.embedding_model, cited.support) == (7, "ab", "mini", 0.877)
    assert place_of(cited) == "lease.pdf, pages 2-3, Lease > Term"
    assert place_of(citation(2, found.evidence[2], found, 1.0)) == "choir.md, 1:01-1:15"
