"""An answer that broke off after any of its tokens goes on as if it had not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fastembed.inference.engines.chat.local import LocalModel
from fastembed.inference.engines.chat.resume import NOTHING, AnswerProgress, CannotGoOn
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, ChatStarted, Sampling, Tool
from tests.conversation import asked

FOLDER = Path(__file__).parent.parent.parent / "models" / "chat-pocket"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (Tool("get_weather", "Get the weather for a city", CITY),)


COUNT = asked("count to 30", sampling=Sampling(temperature=0, stop=("12 13",)))
REQUESTS = {
    "text with a stop string": COUNT,
    "text that is as long as allowed": asked("count to 30", sampling=Sampling(temperature=0, max_tokens=9)),
    "a tool call": asked("weather in Paris", tools=TOOLS),
    "a text that is completed and echoed": ChatRequest(
        prompt="the weather is", echo=True, sampling=Sampling(temperature=0, max_tokens=12)
    ),
}


@pytest.fixture
async def local():
    loaded = LocalModel("chat-pocket", FOLDER, properties={"INFERENCE_PRECISION_HINT": "f32"})
    yield loaded
    await loaded.close()


async def run(local, request, so_far=NOTHING):
    """Return what came: the events, and before those of a token what was produced."""
    came = []
    events = local.generate(request, so_far=so_far, produced=came.append)
    async for event in events:
        came.append(event)  # noqa: PERF401 - what was produced is put between the events
    return came


def so_far(came):
    progress = AnswerProgress()
    for one in came:
        progress.note(one)
    return progress.so_far()


def shown(came, choice=0):
    """Return what a client has of one choice: text, tool calls, its end."""
    deltas = [one for one in came if isinstance(one, ChatDelta) and one.index == choice]
    ends = [one for one in came if isinstance(one, ChatFinished) and one.index == choice]
    called = [one.tool_name for one in deltas if one.tool_name]
    return "".join(d.text for d in deltas), called, "".join(d.tool_arguments for d in deltas), ends


def cuts(came):
    """Return every place where a message may end: before the next token."""
    return [place for place, one in enumerate(came) if isinstance(one, tuple)] + [len(came)]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_after_every_token_the_rest_is_what_was_missing(local, request_):
    whole = await run(local, request_)
    assert len(cuts(whole)) > 6
    for cut in cuts(whole):
        rest = [one for one in await run(local, request_, so_far(whole[:cut])) if not isinstance(one, ChatStarted)]
        assert shown(whole[:cut] + rest) == shown(whole)


async def test_each_choice_goes_on_from_its_own_place(local):
    request = asked("what is 3 + 4?", count=2)
    whole = await run(local, request)
    cut = next(place for place, one in enumerate(whole) if isinstance(one, ChatFinished)) + 1
    before = whole[:cut]
    before = [one for one in before if not (isinstance(one, tuple) and one[0] == 1)]  # choice 1 had not begun
    before = [one for one in before if not (isinstance(one, ChatDelta) and one.index == 1)]
    after = before + await run(local, request, so_far(before))
    for choice in (0, 1):
        text, _, _, ends = shown(after, choice)
        assert text == "3 + 4 = 7"
        assert len(ends) == 1
    assert after[-1].completion_tokens == whole[-1].completion_tokens


async def test_an_end_that_was_not_heard_of_is_told(local):
    whole = await run(local, COUNT)
    lost = whole[:-1]
    rest = await run(local, COUNT, so_far(lost))
    assert shown(lost + rest) == shown(whole)


async def test_an_answer_under_a_grammar_is_refused_in_the_middle_and_runs_from_its_beginning(local):
    request = asked("hello", json={"enum": ["a", "b"]})
    whole = await run(local, request)
    with pytest.raises(CannotGoOn, match="held to a form and broke off"):
        await run(local, request, so_far(whole[:3]))
    assert json.loads(shown(whole)[0]) in ("a", "b")
    assert shown(await run(local, request, so_far(whole[:1]))) == shown(whole)


async def test_with_the_same_seed_and_the_same_break_the_rest_is_the_same(local):
    sampling = Sampling(temperature=2.0, seed=7, max_tokens=40)
    request = asked("count to 30", sampling=sampling)
    whole = await run(local, request)
    before = whole[: cuts(whole)[9]]
    rests = [shown(await run(local, request, so_far(before))) for _ in range(3)]
    assert rests[0] == rests[1] == rests[2]
    other = replace(request, sampling=replace(sampling, seed=8))
    assert shown(await run(local, other, so_far(before))) != rests[0]
