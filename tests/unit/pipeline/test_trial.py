"""The `tests:` of a configuration file."""

from __future__ import annotations

import dataclasses

import pytest

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import ConfigError, InvalidInput
from fastembed.pipeline.plan import PipelineTest
from fastembed.pipeline.testing import Given, plan_of, run_virtual, step
from fastembed.pipeline.trial import run_trial


@dataclasses.dataclass(frozen=True)
class Sentence:
    text: str
    mood: str = "calm"


@operator
def shout(sentence: Sentence) -> Sentence:
    if not sentence.text:
        raise InvalidInput("found no text, expected some")
    return dataclasses.replace(sentence, text=sentence.text.upper())


@operator
async def count(sentence: Sentence) -> dict[str, float]:
    return {"length": len(sentence.text), "half": len(sentence.text) / 2}


PLAN = plan_of(Given, {"values": ()}, step(shout), step(count))


def trial(**test):
    return run_virtual(run_trial(PLAN, PipelineTest("test", **test)))


def test_a_test_passes_when_what_arrives_holds_what_is_expected():
    result = trial(give=({"text": "hail"}, {"text": "fog"}), expect=({"length": 4}, {"half": 1.5000000001}))
    assert (result.passed, result.difference) == (True, "")


def test_a_difference_says_where_what_was_found_and_what_expected():
    result = trial(give=({"text": "hail"},), expect=({"length": 5},))
    assert result.difference == "result[0].length: found 4, expected 5"


def test_a_failed_item_shows_as_its_error():
    assert trial(give=({"text": ""},), expect=({"error": "found no text"},)).passed


def test_a_fake_stands_in_for_a_step():
    result = trial(give=({"text": "hail"},), expect=({"length": 9},), fake={"shout": {"text": "nine char"}})
    assert result.difference == ""


def test_a_fake_for_no_step_is_a_mistake():
    with pytest.raises(ConfigError, match="found fake for 'whisper', expected the id of a step"):
        trial(give=(), expect=(), fake={"whisper": 1})


def test_a_value_that_the_pipeline_cannot_take_is_a_mistake():
    with pytest.raises(ConfigError, match=r"give.0.text: found 7, expected: Input should be a valid string"):
        trial(give=({"text": 7},), expect=())
