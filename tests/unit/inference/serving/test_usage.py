"""What models were used for."""

from __future__ import annotations

from fastembed.inference.serving.usage import AnswerMeter, Usage
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatStarted


def test_a_streamed_answer_counts_its_tokens_its_first_piece_and_its_end():
    usage, now = Usage(), iter([10.0, 10.2, 11.5])
    meter = AnswerMeter(usage.of("small"), clock=lambda: next(now))

    for event in (ChatStarted("small"), ChatDelta(text="a"), ChatDelta(text="b"), ChatFinished(0, "stop", 7, 2)):
        meter.note(event)

    ((name, used),) = usage
    assert (name, used.requests, used.prompt_tokens, used.completion_tokens) == ("small", 1, 7, 2)
    assert (used.first.count, round(used.first.sum_s, 3)) == (1, 0.2)
    assert (used.latency.count, round(used.latency.sum_s, 3)) == (1, 1.5)


def test_an_answer_of_two_choices_is_one_request_whose_prompt_was_read_once():
    usage = Usage()
    meter = AnswerMeter(usage.of("small"))

    for event in (ChatDelta(index=1, text="b"), ChatFinished(1, "stop", 7, 3), ChatFinished(0, "stop", 7, 2)):
        meter.note(event)

    used = usage.of("small")
    assert (used.requests, used.prompt_tokens, used.completion_tokens, used.first.count) == (1, 7, 5, 1)


def test_an_answer_that_broke_off_is_no_request():
    usage = Usage()
    AnswerMeter(usage.of("small")).note(ChatDelta(text="a"))
    assert (usage.of("small").requests, usage.of("small").first.count) == (0, 1)
