from __future__ import annotations

import contextlib
from base64 import b64decode

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.embedding import Embeddings
from fastembed.server.endpoints.embeddings import VectorFormat, decode, encode
from fastembed.server.wire.fields import Fields

VECTORS = np.array([[0.6, -0.8, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32)


def body(**fields):
    return {"model": "m", "input": "text", **fields}


def encoded(form: VectorFormat):
    return orjson.loads(encode(Embeddings(VECTORS, [3, 4], "m"), form))


@pytest.mark.parametrize(
    ("given_input", "inputs"),
    [
        ("text", ["text"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        (["a"] * 2048, ["a"] * 2048),
    ],
)
def test_every_form_of_input_is_read(given_input, inputs):
    request, form = decode(Fields(body(input=given_input)))
    assert list(request.inputs) == inputs
    assert form == VectorFormat("float", "float32")
    assert (request.normalize, request.dimensions, request.batch_size) == (True, None, None)


@pytest.mark.parametrize(
    ("fields", "most_tokens"),
    [
        ({}, None),
        ({"truncate": True}, 0),
        ({"truncate": False}, None),
        ({"truncate": "END"}, 0),
        ({"truncate": "end"}, 0),
        ({"truncate": "NONE"}, None),
        ({"truncate_prompt_tokens": -1}, 0),
        ({"truncate_prompt_tokens": 12}, 12),
        ({"truncate_prompt_tokens": 12.0, "truncate": True}, 12),
    ],
)
def test_longer_inputs_are_cut_as_each_service_says_it(fields, most_tokens):
    assert decode(Fields(body(**fields)))[0].most_tokens == most_tokens


def test_token_ids_are_another_models_unless_the_request_says_so():
    assert not decode(Fields(body(input=[1])))[0].own_ids
    assert decode(Fields(body(input=[1], token_ids=True)))[0].own_ids


def test_null_is_as_good_as_absent():
    optional = ("dimensions", "user", "encoding_format", "precision", "normalize", "batch_size")
    assert decode(Fields(body(**dict.fromkeys(optional)))) == decode(Fields(body()))


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": None}, "input", "found no input"),
        ({"truncate": "START"}, "truncate", "the beginning of a text is kept"),
        ({"truncate": 1}, "truncate", "found 1, expected true or false"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens", "found 0, expected -1, or at least 1"),
        ({"truncate_prompt_tokens": -2}, "truncate_prompt_tokens", "found -2"),
        ({"input": 5}, "input", "found 5"),
        ({"input": {}}, "input", "found an object"),
        ({"input": [True]}, "input", r"found a boolean at input\[0\], expected a string"),
        ({"input": [1, True]}, "input", r"found a boolean at input\[1\], expected a token id"),
        ({"input": [1, -1]}, "input", "found the token id -1"),
        ({"input": [[]]}, "input", r"found an empty list at input\[0\]"),
        ({"input": [[1], "a"]}, "input", r"found a string at input\[1\]"),
        ({"input": ["a", ""]}, "input", r"found an empty string at input\[1\]"),
        ({"input": ["a", None]}, "input", r"found null at input\[1\]"),
        ({"model": None}, "model", "found no model"),
        ({"model": ""}, "model", "found an empty string"),
        ({"user": 7}, "user", "found 7"),
        ({"dimensions": True}, "dimensions", "found true"),
        ({"dimensions": 1.5}, "dimensions", r"found 1\.5"),
        ({"dimensions": "8"}, "dimensions", "found '8'"),
        ({"batch_size": 0}, "batch_size", "found 0, expected at least 1"),
        ({"normalize": 1}, "normalize", "found 1, expected true or false"),
        ({"precision": "int4"}, "precision", "found 'int4', expected one of float32, float16, int8"),
        ({"encoding_format": ["float"]}, "encoding_format", "found a list"),
    ],
)
def test_a_bad_field_is_named_with_what_was_found(fields, param, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        decode(Fields(body(**fields)))
    assert caught.value.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("input", "model", "dimensions", "precision"), JSON)) | JSON)
def test_any_json_is_read_or_refused(value):
    with contextlib.suppress(InvalidInput):
        request, _ = decode(Fields(value))
        assert request.inputs


def test_floats_come_as_numbers_with_the_usage():
    found = encoded(VectorFormat())
    assert found["object"] == "list"
    assert found["data"][0] == {"object": "embedding", "index": 0, "embedding": [0.6, -0.8, 0.0]}
    assert found["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_base64_is_float32_whatever_the_precision_since_every_client_decodes_that(precision):
    entry = encoded(VectorFormat("base64", precision))["data"][0]
    vector = np.frombuffer(b64decode(entry["embedding"]), dtype="<f4") * entry.get("scale", 1)
    np.testing.assert_allclose(vector, VECTORS[0], atol=4e-3)


@pytest.mark.parametrize(("precision", "dtype"), [("float32", "<f4"), ("float16", "<f2"), ("int8", "i1")])
def test_packed_is_the_precisions_own_type(precision, dtype):
    entry = encoded(VectorFormat("packed", precision))["data"][0]
    vector = np.frombuffer(b64decode(entry["embedding"]), dtype=dtype).astype(np.float32) * entry.get("scale", 1)
    np.testing.assert_allclose(vector, VECTORS[0], atol=4e-3)


def test_int8_uses_its_whole_range_and_leaves_zeros_alone():
    first, second = encoded(VectorFormat("float", "int8"))["data"]
    assert first["embedding"] == [95, -127, 0]
    assert first["scale"] == pytest.approx(0.8 / 127)
    assert (second["embedding"], second["scale"]) == ([0, 0, 0], 0.0)


def test_a_vector_that_is_not_finite_never_leaves_as_null():
    with pytest.raises(FloatingPointError, match="m gave a vector that is not finite"):
        encode(Embeddings(np.array([[np.nan]], dtype=np.float32), [1], "m"), VectorFormat())
