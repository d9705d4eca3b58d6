"""Every option that a request may have makes a configuration that genai takes, or is refused as the caller's fault."""

from __future__ import annotations

import contextlib
import math

import openvino_genai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastembed.inference.engines.chat.sampling import check_sampling, configure
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import Sampling

TINY = 5e-324  # the least float64: 0 as float32
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def configured(max_tokens: int = 8, **options):
    return configure(openvino_genai.GenerationConfig(), Sampling(**options), max_tokens, 0)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "frequency_penalty": st.floats(-2, 2),
        "presence_penalty": st.floats(-2, 2),
        "min_p": st.floats(0, 1),
        "repetition_penalty": st.floats(0.01, 100),
        "top_k": st.integers(0, 2**31 - 1),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "ignore_eos": st.booleans(),
    },
)


@given(OPTIONS)
@example({"temperature": TINY})
@example({"top_p": TINY, "frequency_penalty": TINY, "presence_penalty": -TINY, "min_p": TINY, "seed": -(2**63)})
@example({"temperature": 1e-40, "min_p": 1, "top_k": 0, "seed": 2**63 - 1, "ignore_eos": True})
@example({"min_p": 1 - 2**-53, "repetition_penalty": 0.01, "top_k": 2**31 - 1, "ignore_eos": True})
def test_every_option_within_its_range_is_taken(options):
    check_sampling(Sampling(**options), 1)
    configured(**options).validate()


@pytest.mark.parametrize(
    "name", ["temperature", "top_p", "frequency_penalty", "presence_penalty", "min_p", "repetition_penalty"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39, -3])
def test_what_is_out_of_range_is_the_callers_fault(name, value):
    with pytest.raises(InvalidInput, match=f"found {name}"):
        check_sampling(Sampling(**{name: value}), 1)


@given(name=st.sampled_from(["temperature", "top_p", "presence_penalty", "repetition_penalty", "min_p"]), value=FINITE)
def test_what_genai_refuses_is_the_callers_fault_even_unchecked(name, value):
    with contextlib.suppress(InvalidInput):
        configured(**{name: value}).validate()


def test_a_refusal_of_genais_says_what_it_says():
    with pytest.raises(InvalidInput, match=r"the engine refuses these options of sampling: .*presence_penalty"):
        configured(presence_penalty=3)


@pytest.mark.parametrize("options", [{"temperature": TINY}, {"top_p": 1e-30}, {"min_p": 1}, {"top_k": 1}])
def test_where_one_token_is_left_the_likeliest_is_taken(options):
    assert not configured(**options).do_sample


def test_local_servers_options_reach_genai():
    config = configured(top_k=7, min_p=0.25, repetition_penalty=1.5, ignore_eos=True)
    assert (config.top_k, config.min_p, config.repetition_penalty, config.ignore_eos) == (7, 0.25, 1.5, True)


def test_what_a_request_does_not_say_stays_as_the_models_files_have_it():
    config = openvino_genai.GenerationConfig(top_k=20, repetition_penalty=1.25)
    configure(config, Sampling(), 8, 0)
    assert (config.top_k, config.repetition_penalty) == (20, 1.25)
