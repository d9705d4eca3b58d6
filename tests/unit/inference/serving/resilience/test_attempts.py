"""Candidates are asked in order; whose fault a failure is decides what comes next."""

import asyncio
from datetime import UTC, datetime

import pytest

from fastembed.inference.library.policies import BreakerPolicy
from fastembed.inference.serving.candidate import Candidate
from fastembed.inference.serving.resilience.attempts import Attempts, call
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.pipeline.errors import Expired, InvalidInput, ModelNotFound, Overloaded, Unavailable

NPU, CPU, SMALL = Candidate("gemma", "NPU"), Candidate("gemma", "CPU"), Candidate("gemma-small", "CPU")
ALL = (NPU, CPU, SMALL)


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def breakers():
    return Breakers(
        BreakerPolicy(failures=2, recovery="30s"),
        clock=Clock(),
        wall=lambda: datetime(2026, 7, 1, 12, 2, 40, tzinfo=UTC),
    )


async def answer(breakers, outcomes, candidates=ALL):
    """Ask; outcomes: what each candidate does, an exception or nothing. Return who answered, and who was asked."""
    asked = []

    async def ask(candidate):
        asked.append(candidate)
        if error := outcomes.get(candidate):
            raise error
        return candidate

    attempts = Attempts(candidates, breakers)
    return await call(attempts, ask), asked, attempts.story


async def test_the_best_candidate_answers(breakers):
    assert await answer(breakers, {}) == (NPU, [NPU], "")


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the engine failed"),
        RuntimeError("[CPU] out of paper"),
        Overloaded("found 64 answers under way"),
        InvalidInput("too long", code="context_length_exceeded"),
        InvalidInput("no logprobs here", code="unsupported_parameter"),
        ModelNotFound("found no files"),
    ],
    ids=lambda error: type(error).__name__ + str(getattr(error, "code", "") or ""),
)
async def test_what_another_may_be_able_to_do_is_asked_of_the_next(breakers, error):
    who, asked, story = await answer(breakers, {NPU: error})
    assert (who, asked) == (CPU, [NPU, CPU])
    assert story.startswith("gemma on NPU: ")


LESSER = Candidate("pocket", "CPU", pocket=True, lesser=True)


async def test_a_model_that_was_not_made_for_the_request_does_not_answer_because_another_is_busy(breakers):
    busy = {NPU: Overloaded("full", retry_after_s=3), CPU: Unavailable("failed")}
    with pytest.raises(Overloaded, match="not made for this: pocket") as told:
        await answer(breakers, busy, (NPU, CPU, LESSER))
    assert told.value.retry_after_s == 3
    assert await answer(breakers, {NPU: Overloaded("full")}, (NPU, CPU, LESSER)) == (
        CPU,
        [NPU, CPU],
        "gemma on NPU: full",
    )


async def test_it_answers_where_the_others_fail(breakers):
    who, asked, _ = await answer(breakers, {NPU: Unavailable("failed")}, (NPU, LESSER))
    assert (who, asked) == (LESSER, [NPU, LESSER])
    other = Candidate("tiny", "CPU", pocket=True, lesser=True)
    assert (await answer(breakers, {LESSER: Overloaded("full")}, (LESSER, other)))[0] == other


@pytest.mark.parametrize("error", [InvalidInput("found temperature 9"), Expired("too late")])
async def test_what_the_caller_did_wrong_is_raised_at_once(breakers, error):
    with pytest.raises(type(error)):
        await answer(breakers, {NPU: error})
    assert breakers.degraded() == []


async def test_only_failures_of_the_engine_open_its_breaker(breakers):
    for error in (Overloaded("full"), InvalidInput("long", code="context_length_exceeded"), ModelNotFound("none")) * 3:
        await answer(breakers, {NPU: error})
    assert breakers.of("gemma", "NPU").state(0) == "closed"
    for error in (Unavailable("failed"), RuntimeError("failed")):
        await answer(breakers, {NPU: error})
    assert breakers.of("gemma", "NPU").state(0) == "open"


async def test_an_open_breaker_is_passed_over_until_its_probe_succeeds(breakers):
    for _ in range(2):
        await answer(breakers, {NPU: Unavailable("failed")})
    assert await answer(breakers, {}) == (CPU, [CPU], "gemma on NPU: breaker open until 12:03:10 (in 30 s)")
    breakers.clock.now_s = 30
    assert (await answer(breakers, {}))[0] == NPU
    assert breakers.degraded() == []


async def test_a_caller_who_leaves_gives_the_probe_back(breakers):
    for _ in range(2):
        await answer(breakers, {NPU: Unavailable("failed")})
    breakers.clock.now_s = 30

    async def ask(_):
        await asyncio.Event().wait()

    leaving = asyncio.create_task(call(Attempts(ALL, breakers), ask))
    await asyncio.sleep(0)
    assert (await answer(breakers, {}))[0] == CPU
    leaving.cancel()
    await asyncio.wait([leaving])
    assert (await answer(breakers, {}))[0] == NPU


async def test_with_nobody_left_the_error_says_what_was_tried_and_when_to_come_back(breakers):
    errors = {
        NPU: Unavailable("the engine failed", retry_after_s=4),
        CPU: RuntimeError("/home/me/secret"),
        SMALL: Unavailable("too", retry_after_s=9),
    }
    with pytest.raises(Unavailable) as told:
        await answer(breakers, errors)
    assert told.value.message == (
        "no model could answer: gemma on NPU: the engine failed; gemma on CPU: it failed (RuntimeError); "
        "gemma-small on CPU: too"
    )
    assert told.value.retry_after_s == 4


async def test_where_a_queue_is_full_the_error_is_overloaded_with_its_eta(breakers):
    errors = {NPU: Overloaded("full", retry_after_s=7), CPU: Unavailable("failed", retry_after_s=60)}
    with pytest.raises(Overloaded) as told:
        await answer(breakers, errors, (NPU, CPU))
    assert told.value.retry_after_s == 7


async def test_where_all_breakers_are_open_the_error_says_when_one_lets_a_request_try(breakers):
    for _ in range(2):
        with pytest.raises(Unavailable):
            await answer(breakers, {CPU: Unavailable("failed")}, (CPU,))
    breakers.clock.now_s = 12
    with pytest.raises(Unavailable, match=r"gemma on CPU: breaker open until 12:02:58 \(in 18 s\)") as told:
        await answer(breakers, {}, (CPU,))
    assert told.value.retry_after_s == 18


async def test_what_no_engine_can_do_is_told_as_the_first_one_told_it(breakers):
    first = InvalidInput("found 900 tokens, expected at most 256", code="context_length_exceeded")
    second = InvalidInput("found 900 tokens, expected at most 512", code="context_length_exceeded")
    with pytest.raises(InvalidInput, match="at most 256"):
        await answer(breakers, {NPU: first, CPU: second}, (NPU, CPU))


async def test_attempts_are_counted_by_how_they_ended(breakers):
    await answer(breakers, {NPU: Overloaded("full"), CPU: Unavailable("failed")})
    samples = [sample for family in breakers.collect() for sample in family.samples]
    counts = {
        (sample.labels["model"], sample.labels["device"], sample.labels["outcome"]): sample.value
        for sample in samples
        if sample.name == "fastembed_attempts_total"
    }
    assert counts == {
        ("gemma", "NPU", "busy"): 1,
        ("gemma", "CPU", "failed"): 1,
        ("gemma-small", "CPU", "answered"): 1,
    }
