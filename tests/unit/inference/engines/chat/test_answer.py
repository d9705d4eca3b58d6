"""From tokens to deltas: counts, probabilities, reasoning, calls, and why an answer ends."""

import pytest

from fastembed.inference.engines.chat.answer import AnswerSplitter
from fastembed.inference.engines.chat.calling import HERMES
from fastembed.inference.engines.chat.generation import GeneratedPiece, Token
from fastembed.inference.engines.chat.local import last_events
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, TokenLogprob

CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'


def tokens(*texts):
    return [Token(place, text, -0.5) for place, text in enumerate(texts)]


def shown(answer, *texts, ended="stop"):
    deltas = [delta for text in texts for delta in answer.feed(tokens(text))]
    rest, reason = answer.end(ended)
    return [*deltas, *rest], reason


def test_text_passes_with_its_end():
    deltas, reason = shown(AnswerSplitter(2), "a", "b", ended="length")
    assert deltas == [ChatDelta(2, text="a"), ChatDelta(2, text="b")]
    assert reason == "length"


def test_tokens_that_came_together_are_one_delta():
    assert AnswerSplitter(0).feed(tokens("a", "", "b"), "c") == [ChatDelta(0, text="abc")]


def test_a_stop_string_ends_the_answer_and_later_tokens_do_not_count():
    answer = AnswerSplitter(0, stops=("END",))
    assert answer.feed(tokens("one E", "ND", "more", "more")) == [ChatDelta(0, text="one ")]
    assert answer.stopped
    assert answer.tokens == 2
    assert answer.end("length") == ([], "stop")


def test_what_a_stop_string_held_back_comes_at_the_end():
    deltas, reason = shown(AnswerSplitter(0, stops=("END",)), "one EN", ended="length")
    assert "".join(delta.text for delta in deltas) == "one EN"
    assert reason == "length"


def test_reasoning_is_shown_and_counted_apart():
    answer = AnswerSplitter(0, thinks=True)
    deltas, _ = shown(answer, "<think>", "\nhm", "m", "</think>", "\n\n", "42")
    assert "".join(delta.reasoning for delta in deltas) == "hmm"
    assert "".join(delta.text for delta in deltas) == "42"
    assert (answer.tokens, answer.reasoning_tokens) == (6, 3)


@pytest.mark.parametrize("end", range(1, 8))
def test_half_a_tag_of_reasoning_is_no_text_when_the_answer_is_cut(end):
    opening, closing = "<think>"[:end], "</think>"[:end]
    assert shown(AnswerSplitter(0, thinks=True), opening, ended="length")[0] == []
    deltas, _ = shown(AnswerSplitter(0, thinks=True), "<think>hm", closing, ended="length")
    assert [(delta.reasoning, delta.text) for delta in deltas] == [("hm", "")]


def test_a_stop_string_in_a_call_leaves_nothing_of_it():
    deltas, reason = shown(AnswerSplitter(0, style=HERMES, stops=("STOP",)), '<tool_call>\n{"na', "STOP")
    assert (deltas, reason) == ([], "stop")


def test_a_prompt_may_open_the_reasoning():
    deltas, _ = shown(AnswerSplitter(0, thinks=True, opened=True), "hm", "</think>42")
    assert [(delta.reasoning, delta.text) for delta in deltas] == [("hm", ""), ("", "42")]


def test_a_call_has_an_id_and_is_the_reason():
    deltas, reason = shown(AnswerSplitter(0, style=HERMES), *CALL)
    assert [(delta.tool_index, delta.tool_name, delta.tool_arguments) for delta in deltas] == [
        (0, "f", ""),
        (0, None, "{"),
        (0, None, "}"),
    ]
    assert deltas[0].tool_id.startswith("call_")
    assert len(deltas[0].tool_id) == 29
    assert reason == "tool_calls"


def test_a_call_cut_off_by_the_limit_ends_with_length():
    assert shown(AnswerSplitter(0, style=HERMES), CALL[:40], ended="length")[1] == "length"


@pytest.mark.parametrize(("one_call", "count"), [(True, 1), (False, 2)])
def test_only_one_call_where_only_one_is_wanted(one_call, count):
    answer = AnswerSplitter(0, style=HERMES, one_call=one_call)
    deltas, reason = shown(answer, CALL + "\n", CALL)
    assert len([delta for delta in deltas if delta.tool_name]) == count
    assert answer.stopped is one_call
    assert reason == "tool_calls"


def test_calls_are_text_where_there_are_no_tools():
    deltas, reason = shown(AnswerSplitter(0), CALL)
    assert deltas == [ChatDelta(0, text=CALL)]
    assert reason == "stop"


def test_every_token_has_its_probability_also_one_without_text():
    (delta,) = AnswerSplitter(0, logprobs=True).feed(tokens("a", "", "b"))
    assert delta.text == "ab"
    assert delta.logprobs == (TokenLogprob("a", -0.5), TokenLogprob("", -0.5), TokenLogprob("b", -0.5))


def test_garble_that_an_answer_begins_with_is_held_back_until_it_is_none():
    answer = AnswerSplitter(0)
    assert answer.feed([Token(1, "\ufffd")]) == []
    assert answer.garbled
    assert answer.feed([Token(2, "clair")]) == [ChatDelta(0, text="\ufffd"), ChatDelta(0, text="clair")]
    assert not answer.garbled


@pytest.mark.parametrize("thinking", [False, True])
def test_an_answer_that_would_not_end_is_ended_as_if_it_were_as_long_as_allowed(thinking):
    answer = AnswerSplitter(0, thinks=thinking, opened=thinking)
    while not answer.fault:
        answer.feed([Token(1, "wait, ")])
    assert answer.tokens < 1200
    assert last_events(answer, GeneratedPiece(0), 3, [answer]) == [
        ChatFinished(0, "length", 3, answer.tokens, 0, answer.reasoning_tokens, "the same text over and over")
    ]


def test_garble_is_the_engines_failure():
    answer = AnswerSplitter(0)
    answer.feed([Token(1, "\ufffd\ufffd")])
    with pytest.raises(Unavailable, match="found garble in the model's answer, expected text"):
        last_events(answer, GeneratedPiece(0, ended="stop"), 3, [answer])
