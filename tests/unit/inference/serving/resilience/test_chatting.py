"""What breaks before anything was shown is not seen; what breaks later goes on elsewhere, or is told."""

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace

import pytest

from fastembed.inference.engines.chat.resume import CannotGoOn, Produced
from fastembed.inference.engines.sanity import Garbled
from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.resilience.attempts import Attempts
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.resilience.chatting import answer
from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, ChatStarted, Sampling
from fastembed.pipeline.testing import run_virtual
from tests.conversation import text_of

NPU, GPU, CPU = (Candidate("gemma", device) for device in ("NPU", "GPU", "CPU"))
SMALL = Candidate("gemma-small", "CPU")
REQUEST = ChatRequest()
GREEDY = ChatRequest(sampling=Sampling(temperature=0))
END = ChatFinished(0, "stop", 3, 2)
CRASH = Unavailable("the chat process was ended by SIGKILL", retry_after_s=1)
GOOD = (ChatDelta(text="It is"), ChatDelta(text=" so."), END)


class Engines:
    """Candidates that do as their scripts say: events, exceptions, pauses in seconds. A script an attempt.

    A piece of text is one token; a candidate that goes on leaves out as many as it is told were produced.
    """

    def __init__(self, scripts, *, formed=False):
        self.formed = formed
        self.scripts = {candidate: list(runs) for candidate, runs in scripts.items()}
        self.asked = []
        self.seeds = []
        self.breakers = Breakers(clock=lambda: 0.0)

    async def ask(self, candidate, request, story, progress):
        self.asked.append(candidate)
        self.seeds.append(request.sampling.seed)
        yield ChatStarted(candidate.model, candidate.device, route=story)
        said = len(progress.so_far().produced.get(0, ()))
        for step in self.scripts[candidate].pop(0):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, int):
                await asyncio.sleep(step)
            elif isinstance(step, ChatDelta) and said:
                said -= 1
            else:
                if isinstance(step, ChatDelta):
                    progress.note(Produced(0, (1,), self.formed))
                yield step

    def read(self, **options):
        """Return what came, and the error that ended it."""
        events = []

        async def read():
            async for event in self.answer(**options):
                events.append(event)  # noqa: PERF401 - what came before the error is looked at

        with pytest.raises(Unavailable) as ended:
            run_virtual(read())
        return events, ended.value

    def answer(self, request=REQUEST, **options):
        return answer(request, Attempts(tuple(self.scripts), self.breakers), self.ask, seed=lambda: 7, **options)

    def events(self, request=REQUEST, **options):
        async def read():
            return [event async for event in self.answer(request, **options)]

        return run_virtual(read())


def test_a_good_answer_passes_as_it_comes():
    engines = Engines({NPU: [GOOD]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), *GOOD]


def test_an_engine_that_breaks_before_it_says_anything_is_not_seen():
    engines = Engines({NPU: [[CRASH]], CPU: [[RuntimeError("lost")]], SMALL: [GOOD]})
    events = engines.events()
    route = "gemma on NPU: the chat process was ended by SIGKILL; gemma on CPU: it failed (RuntimeError)"
    assert events == [ChatStarted("gemma-small", "CPU", route=route), *GOOD]


def test_an_answer_that_breaks_off_goes_on_on_the_models_next_device():
    engines = Engines({NPU: [[GOOD[0], CRASH]], GPU: [[RuntimeError("lost")]], CPU: [GOOD]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), *GOOD]
    assert engines.asked == [NPU, GPU, CPU]
    assert [view.failures for view in engines.breakers.views()] == [1, 1, 0]


def test_it_may_break_off_on_each_of_them():
    engines = Engines({NPU: [[GOOD[0], CRASH]], GPU: [[*GOOD[:2], CRASH]], CPU: [GOOD]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), *GOOD]


def test_another_model_never_goes_on_with_its_words_and_the_error_says_what_was_tried():
    engines = Engines({NPU: [[GOOD[0], CRASH]], SMALL: [GOOD], CPU: [[RuntimeError("/home/me")]]})
    events, error = engines.read(alternatives=lambda: ("allow model_fallback",))
    assert text_of(events) == "It is"
    assert engines.asked == [NPU, CPU]
    assert error.message == (
        "no model could go on with this answer: gemma on NPU: the chat process was ended by SIGKILL; "
        "gemma on CPU: it failed (RuntimeError)"
    )
    assert error.retry_after_s == 1


def test_a_device_that_is_left_alone_does_not_go_on():
    engines = Engines({NPU: [[GOOD[0], CRASH]], CPU: [GOOD]})
    broken = engines.breakers.of("gemma", "CPU")
    broken.failed(broken.enter(0.0), 0.0, surely=True)
    _, error = engines.read()
    assert engines.asked == [NPU]
    assert re.search(r"gemma on CPU: breaker open until \d\d:\d\d:\d\d \(in 30 s\)", error.message)


@pytest.mark.parametrize("formed", [False, True], ids=["text", "held to a form"])
def test_with_no_other_device_the_engines_own_words_end_the_stream(formed):
    events, error = Engines({NPU: [[GOOD[0], CRASH]]}, formed=formed).read()
    assert (text_of(events), error) == ("It is", CRASH)


def test_what_an_engine_says_of_its_machine_is_not_told():
    _, error = Engines({NPU: [[GOOD[0], RuntimeError("/home/me")]]}).read()
    assert error.message == ("no model could go on with this answer: gemma on NPU: it failed (RuntimeError)")


def test_an_answer_that_is_held_to_a_form_goes_on_nowhere_and_says_why():
    engines = Engines({NPU: [[GOOD[0], CRASH]], CPU: [GOOD]}, formed=True)
    _, error = engines.read()
    assert engines.asked == [NPU]
    assert error.message.endswith("; an answer held to a form (a JSON schema, a tool call) cannot go on in the middle")


def test_one_that_is_held_to_a_form_and_was_not_shown_begins_again():
    engines = Engines({NPU: [[GOOD[0], CRASH]], CPU: [GOOD]}, formed=True)
    assert text_of(engines.events(replace(REQUEST, whole=True))) == "It is so."


def test_with_no_other_device_it_begins_again_where_it_broke_off_once():
    gone = CannotGoOn("held to a form and broke off")
    engines = Engines({NPU: [[GOOD[0], gone], GOOD]}, formed=True)
    assert text_of(engines.events(replace(REQUEST, whole=True))) == "It is so."
    engines = Engines({NPU: [[GOOD[0], gone], [GOOD[0], gone], GOOD]}, formed=True)
    _, error = engines.read(request=replace(REQUEST, whole=True))
    assert "held to a form and broke off" in error.message
    assert engines.asked == [NPU, NPU]


def test_nobody_goes_on_behind_garble():
    engines = Engines({NPU: [[GOOD[0], Garbled("found garble")]], CPU: [GOOD]})
    _, error = engines.read()
    assert engines.asked == [NPU]
    assert "found garble" in error.message


def test_a_device_that_is_too_small_to_go_on_is_not_blamed_but_one_that_broke_off_is():
    engines = Engines({NPU: [[GOOD[0], CannotGoOn("300 tokens")]], GPU: [[CannotGoOn("300 tokens")]], CPU: [GOOD]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), *GOOD]
    assert [view.failures for view in engines.breakers.views()] == [1, 0, 0]


def test_a_second_answer_that_breaks_off_is_not_taken_for_the_first():
    _, error = Engines({NPU: [[END]], CPU: [[GOOD[0], CRASH]]}).read()
    assert error is CRASH


def test_an_answer_in_one_piece_may_break_anywhere():
    engines = Engines({NPU: [[*GOOD[:2], CRASH]], CPU: [GOOD]})
    events = engines.events(replace(REQUEST, whole=True))
    assert (events[0].device, text_of(events), events[-1]) == ("CPU", "It is so.", END)


def test_what_the_caller_did_wrong_is_raised_and_nobody_else_asked():
    engines = Engines({NPU: [[InvalidInput("found temperature 9")]], CPU: [GOOD]})
    with pytest.raises(InvalidInput, match="found temperature 9"):
        engines.events()
    assert engines.asked == [NPU]


def test_when_nobody_answers_the_error_says_what_else_would_help():
    engines = Engines({NPU: [[CRASH]]})
    with pytest.raises(Unavailable, match=r"SIGKILL; gemma-small on CPU can answer: allow model_fallback$"):
        engines.events(alternatives=lambda: ("gemma-small on CPU can answer: allow model_fallback",))


def test_an_empty_answer_is_asked_of_the_next_one():
    engines = Engines({NPU: [[END]], CPU: [GOOD]})
    events = engines.events()
    assert events == [ChatStarted("gemma", "CPU"), *GOOD]
    assert engines.breakers.views()[0].failures == 0


def test_with_nobody_else_an_empty_answer_is_asked_for_once_more_with_another_seed():
    engines = Engines({NPU: [[END], GOOD]})
    assert text_of(engines.events()) == "It is so."
    assert engines.seeds == [None, 7]


def test_what_is_empty_twice_is_empty():
    engines = Engines({NPU: [[END], [END], GOOD]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), END]
    assert len(engines.asked) == 2


def test_what_would_be_empty_again_is_not_asked_for_again():
    engines = Engines({NPU: [[END], GOOD]})
    assert engines.events(GREEDY) == [ChatStarted("gemma", "NPU"), END]


def test_an_empty_answer_is_better_than_an_error():
    engines = Engines({NPU: [[END]], CPU: [[CRASH]]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), END]


@pytest.mark.parametrize(
    "request_",
    [replace(REQUEST, prompt="x"), replace(REQUEST, sampling=Sampling(stop=("x",)))],
    ids=["a text that is complete", "a stop string"],
)
def test_an_answer_may_be_empty_for_a_reason(request_):
    engines = Engines({NPU: [[END]], CPU: [GOOD]})
    assert engines.events(request_) == [ChatStarted("gemma", "NPU"), END]


def test_a_tool_call_is_not_empty():
    call = ChatDelta(tool_index=0, tool_id="call_1", tool_name="get_time")
    engines = Engines({NPU: [[call, END]]})
    assert engines.events()[1] == call


def test_an_answer_in_one_piece_that_would_not_end_is_asked_of_the_next_one():
    cut = replace(END, reason="length", cut="the same text over and over")
    engines = Engines({NPU: [[ChatDelta(text="ha" * 9000), cut]], CPU: [GOOD]})
    assert text_of(engines.events(replace(REQUEST, whole=True))) == "It is so."


def test_who_answers_is_told_in_time_though_it_thinks_for_long():
    engines = Engines({NPU: [[60, *GOOD]]})

    async def read():
        loop = asyncio.get_running_loop()
        return [(loop.time(), event) async for event in engines.answer()]

    times = [(round(at_s), type(event)) for at_s, event in run_virtual(read())]
    assert times == [(10, ChatStarted), (60, ChatDelta), (60, ChatDelta), (60, ChatFinished)]


def test_a_model_that_was_told_stays_when_it_breaks_and_its_device_may_change():
    engines = Engines({NPU: [[60, CRASH]], SMALL: [GOOD], CPU: [GOOD]})
    assert engines.events() == [ChatStarted("gemma", "NPU"), *GOOD]
    assert engines.asked == [NPU, CPU]


def test_a_caller_who_leaves_is_let_go_and_no_engine_is_blamed():
    engines = Engines({NPU: [[GOOD[0], 60]]})

    async def leave():
        async with aclosing(engines.answer()) as events:
            await anext(events)
        waiting = Engines({NPU: [[60]]})
        task = asyncio.ensure_future(anext(waiting.answer()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return waiting

    waiting = run_virtual(leave())
    for one in (engines, waiting):
        assert one.breakers.views()[0].failures == 0
