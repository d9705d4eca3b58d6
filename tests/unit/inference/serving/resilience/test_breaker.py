"""The circuit breaker, on a clock that the test holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed.inference.library.policies import BreakerPolicy
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving.resilience.breaker import Breaker
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.pipeline.errors import ConfigError

POLICY = BreakerPolicy(failures=3, window="10s", recovery="30s")


def fail(breaker, *times_s):
    for now_s in times_s:
        breaker.failed(breaker.enter(now_s), now_s)


def test_the_defaults_are_five_failures_and_thirty_seconds():
    breaker = Breaker()
    fail(breaker, 1, 2, 3, 4)
    assert breaker.state(4) == "closed"
    fail(breaker, 5)
    assert [breaker.state(now_s) for now_s in (5, 34.9, 35)] == ["open", "open", "half_open"]


def test_an_open_breaker_lets_nothing_pass_and_says_when_it_will():
    breaker = Breaker(POLICY)
    fail(breaker, 0, 1, 2)
    assert breaker.enter(10) is None
    assert breaker.retry_after_s(10) == 22
    assert breaker.opened == 1


def test_failures_that_are_old_do_not_count():
    breaker = Breaker(POLICY)
    fail(breaker, 0, 1, 12)
    assert (breaker.state(12), breaker.failures(12)) == ("closed", 1)


def test_each_success_takes_one_failure_back():
    breaker = Breaker(POLICY)
    for now_s in range(9):
        fail(breaker, now_s)
        breaker.succeeded(breaker.enter(now_s))
    assert (breaker.state(9), breaker.failures(9)) == ("closed", 0)
    fail(breaker, 9, 9)
    breaker.succeeded(breaker.enter(9))
    fail(breaker, 9, 9)
    assert breaker.state(9) == "open"


def test_half_open_it_lets_one_probe_pass_at_a_time():
    breaker = Breaker(POLICY)
    fail(breaker, 0, 0, 0)
    probe = breaker.enter(30)
    assert probe
    assert breaker.enter(30) is None
    assert breaker.retry_after_s(30) == 1
    breaker.succeeded(probe)
    assert breaker.state(30) == "closed"
    assert breaker.enter(30)


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_eight_times():
    breaker, now_s, waits_s = Breaker(POLICY), 0.0, []
    fail(breaker, 0, 0)
    for _ in range(6):
        fail(breaker, now_s)
        waits_s.append(breaker.retry_after_s(now_s))
        now_s += waits_s[-1]
    assert waits_s == [30, 60, 120, 240, 240, 240]
    breaker.succeeded(breaker.enter(now_s))
    fail(breaker, now_s, now_s, now_s)
    assert (breaker.retry_after_s(now_s), breaker.opened) == (30, 7)


def test_what_would_surely_fail_again_opens_it_at_once():
    breaker = Breaker(POLICY)
    breaker.failed(breaker.enter(0), 0, surely=True)
    assert breaker.state(29) == "open"


def test_a_probe_whose_caller_leaves_gives_its_place_to_the_next():
    breaker = Breaker(POLICY)
    fail(breaker, 0, 0, 0)
    breaker.abandoned(breaker.enter(30))
    assert breaker.enter(31)


def test_what_was_under_way_when_it_opened_changes_nothing():
    breaker = Breaker(POLICY)
    slow, slower = breaker.enter(0), breaker.enter(0)
    fail(breaker, 1, 1, 1)
    breaker.succeeded(slow)
    assert breaker.state(2) == "open"
    probe = breaker.enter(31)
    breaker.abandoned(slower)
    assert breaker.enter(31) is None
    breaker.failed(slower, 31)
    breaker.succeeded(probe)
    assert breaker.state(31) == "closed"


@given(
    st.lists(st.tuples(st.sampled_from(["enter", "succeeded", "failed", "abandoned"]), st.floats(0, 20)), max_size=60)
)
def test_whatever_happens_it_lets_at_most_one_probe_pass_and_recovers(steps):
    breaker, now_s, inside = Breaker(POLICY), 0.0, []
    for what, pause_s in steps:
        now_s += pause_s
        if what == "enter":
            half_open = breaker.state(now_s) == "half_open"
            entered = breaker.enter(now_s)
            if half_open and entered:
                assert breaker.enter(now_s) is None
            inside += [entered] if entered else []
        elif inside:
            now = (now_s,) if what == "failed" else ()
            getattr(breaker, what)(inside.pop(), *now)
    for entered in inside:
        breaker.abandoned(entered)
    probe = breaker.enter(now_s + 241)
    assert probe
    breaker.succeeded(probe)
    assert breaker.state(now_s + 241) == "closed"


def test_each_model_on_each_device_has_a_breaker_of_its_own():
    now_s = [0.0]
    breakers = Breakers(POLICY, clock=lambda: now_s[0])
    fail(breakers.of("gemma", "NPU"), 0, 0, 0)
    assert breakers.of("gemma", "CPU").enter(0)
    assert [(view.model, view.device, view.retry_after_s) for view in breakers.degraded()] == [("gemma", "NPU", 30)]
    values = {
        (sample.name, sample.labels["device"]): sample.value
        for family in breakers.collect()
        for sample in family.samples
    }
    assert values["fastembed_breaker_state", "NPU"] == 2
    assert values["fastembed_breaker_opened_total", "NPU"] == 1
    assert values["fastembed_breaker_state", "CPU"] == 0


def test_the_section_is_read_and_its_mistakes_are_told():
    breakers = Breakers.from_sections({"breaker": {"failures": 1, "recovery": "2m"}})
    fail(breakers.of("m", "CPU"), 0)
    assert breakers.of("m", "CPU").retry_after_s(0) == 120
    with pytest.raises(ConfigError, match=r"breaker\.failures: found 0, .*\n?.*breaker\.recover: found 3"):
        read_sections({"breaker": {"failures": 0, "recover": 3}})
