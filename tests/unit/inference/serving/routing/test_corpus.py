"""Every request of the corpus is answered by whom it says, for the reasons that it says."""

from collections import Counter

import pytest

from tests.unit.inference.serving.routing.corpus import BEGIN, CASES, END, PAGE, tables


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_request_is_answered_as_the_corpus_says(case):
    needs, decision = case.decided()
    places = [f"{candidate.model} on {candidate.device}" for candidate in decision.candidates]
    then = dict(case.then)
    if "refused" in then:
        assert places == []
        assert (decision.refusal.code, then.pop("says") in str(decision.refusal)) == (then.pop("refused"), True)
        assert decision.refusal.retry_after_s == then.pop("retry_after_s", decision.refusal.retry_after_s)
    else:
        assert decision.refusal is None
        assert places[0] == then.pop("first"), decision
        assert then.pop("why", "") in "; ".join(decision.reasons)
        after = then.pop("next", None)
        assert after is None or places[1 : 1 + len(after)] == after
        assert after != [] or len(places) == 1
    assert needs.reasoning == then.pop("difficulty", needs.reasoning)
    assert decision.transcriber == then.pop("transcriber", decision.transcriber)
    assert list(decision.left_out) == then.pop("left_out", [])
    assert then == {}, "every word of the corpus is checked"


def test_the_corpus_is_large_and_says_nothing_twice():
    assert len(CASES) >= 60
    assert [title for title, count in Counter(case.title for case in CASES).items() if count > 1] == []


def test_the_page_shows_the_corpus_as_it_is_decided():
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert shown == tables(), "python -m tests.unit.inference.serving.routing.corpus writes it anew"
