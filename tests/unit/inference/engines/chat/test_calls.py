"""Tool calls in a model's answer, fed whole, by characters, and at random cuts."""

import json
import random

import pytest

from fastembed.inference.engines.chat.calling import HERMES, STYLES, style_of
from fastembed.inference.engines.chat.calls import CallArguments, CallBegun, CallParser

BY_NAME = {style.name: style for style in STYLES}
WEATHER = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def parse(pieces, style=HERMES, **options):
    parser = CallParser(style, **options)
    found = [one for piece in pieces for one in parser.feed(piece)]
    found += parser.close()
    text = "".join(one for one in found if isinstance(one, str))
    names = [(one.index, one.name) for one in found if isinstance(one, CallBegun)]
    arguments = ["" for _ in names]
    for one in found:
        if isinstance(one, CallArguments):
            arguments[one.index] += one.text
    return text, [(name, text) for (_, name), text in zip(names, arguments, strict=True)]


def cuts(text, seed):
    pick = random.Random(seed)
    places = sorted(pick.sample(range(1, len(text)), min(len(text) - 1, pick.randint(1, 9))))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


CASES = {
    "a call alone": (HERMES, WEATHER, "", [("get_weather", '{"city": "Paris"}')]),
    "text before a call": (HERMES, "Let me see.\n" + WEATHER, "Let me see.\n", [("get_weather", '{"city": "Paris"}')]),
    "two calls": (
        HERMES,
        WEATHER + "\n" + WEATHER.replace("Paris", "Rome"),
        "",
        [("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Rome"}')],
    ),
    "text after a call": (HERMES, WEATHER + "\nDone.", "\nDone.", [("get_weather", '{"city": "Paris"}')]),
    "no call": (HERMES, "a < b and <tool", "a < b and <tool", []),
    "arguments first": (
        HERMES,
        '<tool_call>{"arguments": {"a": [1, {"b": "}"}]}, "name": "f"}</tool_call>',
        "",
        [("f", '{"a": [1, {"b": "}"}]}')],
    ),
    "braces, quotes and marks in strings": (
        HERMES,
        '<tool_call>{"name": "f", "arguments": {"a": "\\"}</tool_call>{"}}</tool_call>',
        "",
        [("f", '{"a": "\\"}</tool_call>{"}')],
    ),
    "no arguments": (HERMES, '<tool_call>{"name": "f"}</tool_call>', "", [("f", "{}")]),
    "other keys are left out": (
        HERMES,
        '<tool_call>{"id": 7, "name": "f", "arguments": {}, "type": "function"}</tool_call>',
        "",
        [("f", "{}")],
    ),
    "arguments as a string of JSON": (
        HERMES,
        '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
        "",
        [("f", '{"a": 1}')],
    ),
    "broken JSON is text": (HERMES, "<tool_call>{oops}</tool_call>", "<tool_call>{oops}</tool_call>", []),
    "an object without a name is text": (
        HERMES,
        '<tool_call>{"a": 1}</tool_call>!',
        '<tool_call>{"a": 1}</tool_call>!',
        [],
    ),
    "marks without a call are text": (HERMES, "<tool_call></tool_call>", "<tool_call></tool_call>", []),
    "a list of calls between control tokens": (
        BY_NAME["phi"],
        '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]<|/tool_call|>',
        "",
        [("f", '{"a": 1}'), ("g", "{}")],
    ),
    "a mark without an end": (
        BY_NAME["mistral"],
        '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]',
        "",
        [("f", '{"a": 1}')],
    ),
    "bare JSON": (BY_NAME["llama"], ' {"name": "f", "parameters": {"a": 1}}', "", [("f", '{"a": 1}')]),
    "bare JSON, two calls": (
        BY_NAME["llama"],
        '{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}',
        "",
        [("f", "{}"), ("g", "{}")],
    ),
    "bare text": (BY_NAME["llama"], 'Well, {"name": "f"}', 'Well, {"name": "f"}', []),
    "a bare list": (BY_NAME["llama"], "[1, 2]", "[1, 2]", []),
    "a bare list of calls": (BY_NAME["llama"], '[{"name": "f", "parameters": {}}]', "", [("f", "{}")]),
    "bare JSON that is no call": (BY_NAME["llama"], '{"answer": 42} is it', '{"answer": 42} is it', []),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_gives_the_same_calls_and_text_however_it_is_cut(case):
    style, answer, text, calls = CASES[case]
    assert parse([answer], style) == (text, calls)
    assert parse(list(answer), style) == (text, calls)
    for seed in range(50):
        assert parse(cuts(answer, seed), style) == (text, calls)


def test_the_name_comes_before_the_arguments_and_those_as_they_are_written():
    parser = CallParser(HERMES)
    assert parser.feed('<tool_call>\n{"name": "f"') == [CallBegun(0, "f")]
    assert parser.feed(', "arguments": {"ci') == [CallArguments(0, '{"ci')]
    assert parser.feed('ty": "Oslo"}') == [CallArguments(0, 'ty": "Oslo"}')]
    assert parser.feed("}\n</tool_call>") == []
    assert parser.close() == []


def test_text_that_cannot_become_a_mark_is_not_held_back():
    parser = CallParser(HERMES)
    assert parser.feed("hello <") == ["hello "]
    assert parser.feed("b") == ["<b"]


def test_an_answer_cut_off_before_the_name_is_text():
    assert parse(['<tool_call>\n{"na']) == ('<tool_call>\n{"na', [])


CALLING = {
    "hermes": WEATHER + "\n" + WEATHER.replace("Paris", "Rome"),
    "phi": '<|tool_call|>[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]<|/tool_call|>',
    "mistral": '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]',
    "llama": ' {"name": "f", "parameters": {"a": 1}}; {"parameters": {}, "name": "g"}',
}


@pytest.mark.parametrize("before", ["", "I look. "])
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("name", CALLING)
def test_wherever_an_answer_is_cut_nothing_of_a_call_or_a_mark_is_text(name, forced, before):
    style = BY_NAME[name]
    before = "" if forced or not style.begin else before
    answer = before + (CALLING[name].removeprefix(style.begin) if forced and style.special else CALLING[name])
    for end in range(len(answer) + 1):
        parser = CallParser(style, forced=forced)
        found = [one for char in answer[:end] for one in parser.feed(char)] + parser.close(cut=True)
        text = "".join(one for one in found if isinstance(one, str)).strip()
        assert text.removesuffix(style.begin[:1] if before else "").strip() == answer[: min(end, len(before))].strip()


@pytest.mark.parametrize("text", ["a < b", "[1, 2", '{"answer": 4', '{"names": ["a"', "{}"])
def test_what_resembles_a_call_and_is_none_is_not_lost_by_a_cut(text):
    for style in BY_NAME.values():
        parser = CallParser(style)
        assert "".join([*parser.feed(text), *parser.close(cut=True)]) == text


def test_an_answer_cut_off_in_the_arguments_keeps_what_there_is():
    assert parse(['<tool_call>\n{"name": "f", "arguments": {"a": "b']) == ("", [("f", '{"a": "b')])


def test_a_forced_call_comes_without_control_tokens():
    style = BY_NAME["phi"]
    forced = style.opening("f") + "{}" + style.closing
    assert forced == '{"name": "f", "arguments": {}}'
    assert parse([forced], style, forced=True) == ("", [("f", "{}")])


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_what_is_forced_is_what_is_parsed(style):
    forced = style.opening("f") + '{"a": 1}' + style.closing
    assert parse([forced], style, forced=True) == ("", [("f", '{"a": 1}')])
    json.loads(forced.removeprefix(style.begin).removesuffix(style.end or "\0"))


def test_the_template_tells_the_style():
    assert style_of("... <tool_call>\n ...") is HERMES
    assert style_of("{{ '<|tool_call|>' }}").name == "phi"
    assert style_of("[TOOL_CALLS]").name == "mistral"
    assert style_of('{"name": function name, "parameters": dictionary of ...}').name == "llama"
    assert style_of("says nothing") is HERMES
