"""Calls that a model was made to write, and writes again."""

from fastembed.inference.engines.chat.answer import AnswerSplitter
from fastembed.inference.engines.chat.calling import HERMES
from fastembed.inference.engines.chat.generation import Token

PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
ROME = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def said(text: str, *, ended="stop", forced=True, size=3):
    """The calls and the text of an answer that comes in small pieces, why it ends, and whether it was stopped."""
    splitter = AnswerSplitter(0, style=HERMES, forced=forced)
    deltas = []
    for start in range(0, len(text), size):
        if splitter.stopped:
            break
        deltas += splitter.feed([Token(1, text[start : start + size], 0.0)])
    last, reason = splitter.end(ended)
    deltas += last
    calls = {}
    for delta in deltas:
        if delta.tool_index is not None:
            calls[delta.tool_index] = calls.get(delta.tool_index, "") + (delta.tool_name or "") + delta.tool_arguments
    return list(calls.values()), "".join(delta.text for delta in deltas), reason, splitter.stopped


def test_a_call_that_was_made_already_ends_the_answer():
    again = PARIS.replace('{"city": "Paris"}', '{\n  "city":"Paris"\n}')
    assert said(f"{PARIS}\n{again}\n{PARIS}", ended="length") == (['weather{"city": "Paris"}'], "", "tool_calls", True)


def test_another_call_is_shown_and_a_repetition_of_either_ends_it():
    calls, text, reason, stopped = said(f"{PARIS}\n{ROME}\n{PARIS}\n{ROME}", ended="length")
    assert calls == ['weather{"city": "Paris"}', 'weather{"city": "Rome"}']
    assert (text, reason, stopped) == ("", "tool_calls", True)


def test_the_same_tool_with_other_arguments_is_no_repetition():
    assert said(f"{PARIS}\n{ROME}")[0] == ['weather{"city": "Paris"}', 'weather{"city": "Rome"}']


def test_a_free_answer_may_repeat_a_call():
    roll = '<tool_call>\n{"name": "roll", "arguments": {}}\n</tool_call>'
    assert said(f"{roll}\n{roll}", forced=False)[0] == ["roll{}", "roll{}"]


def test_a_call_that_is_cut_keeps_what_came_of_it():
    calls, text, reason, _ = said(f"{PARIS}\n{ROME[:50]}", ended="length")
    assert calls[1].startswith('weather{"ci')
    assert (text, reason) == ("", "length")


def test_marks_of_a_call_that_never_came_are_no_text():
    for cut in range(len('<tool_call>\n{"name": "we')):
        for forced in (True, False):
            assert said(PARIS + "\n" + ROME[:cut], ended="length", forced=forced)[1] == ""


def test_the_first_call_cut_before_its_name_leaves_no_marks():
    assert said('<tool_call>\n{"name": "we', ended="length", forced=False)[:3] == ([], "", "length")


def test_a_bracket_at_the_end_of_a_text_stays():
    assert said("a <", ended="length", forced=False)[1] == "a <"
    assert said("use <tool", ended="stop", forced=False)[1] == "use <tool"
