import pytest

from fastembed.inference.engines.embedding.tokens import Analyzed, Tokens, check_ids, check_inputs
from fastembed.pipeline.errors import InvalidInput


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("text", "found one text as the list of inputs, expected a list of texts"),
        ([], "found an empty list of inputs, expected at least one"),
        (["a"] * 2049, "found 2049 inputs, expected at most 2048"),
        (["a", ""], r"found an empty text in input\[1\]"),
        ([[]], r"found an empty list of token ids in input\[0\]"),
        (["a", 7], r"found int in input\[1\], expected a text or a list of token ids"),
        ([b"bytes"], r"found bytes in input\[0\]"),
        ([None], r"found NoneType in input\[0\]"),
    ],
)
def test_inputs_that_cannot_be_right_are_refused_with_their_place(inputs, message):
    with pytest.raises(InvalidInput, match=message) as refused:
        check_inputs(inputs)
    assert refused.value.param == "input"


@pytest.mark.parametrize("ids", [[3, 100], [-1], [3, True], [2.0], ["3"], [float("nan")]])
def test_token_ids_out_of_the_vocabulary_are_refused(ids):
    with pytest.raises(InvalidInput, match=r"in input\[4\], expected whole numbers of 0 to 99, the vocabulary of m"):
        check_ids(ids, 4, 100, "m")


def test_a_model_of_unknown_vocabulary_takes_no_ids():
    with pytest.raises(InvalidInput, match=r"found token ids in input\[0\], expected a text: m takes no ids"):
        check_ids([1], 0, 0, "m")


def test_token_ids_of_the_vocabulary_pass():
    check_ids([0, 99], 0, 100, "m")


def test_analyzed_inputs_give_their_ids_to_their_own_model_only():
    tokens = [Tokens([101, 7, 102], "m")]
    analyzed = Analyzed(["hello"], tokens, "m")
    assert analyzed.for_model("m") is tokens
    assert analyzed.for_model("other") == ["hello"]
    assert analyzed.exact
    assert analyzed.estimated_tokens == 3
    assert list(analyzed) == tokens


def test_inputs_that_were_not_tokenised_are_estimated():
    analyzed = Analyzed(["x" * 400, [1, 2, 3]], None, "m")
    assert not analyzed.exact
    assert analyzed.estimated_tokens == 103
    assert analyzed[0] == "x" * 400
    assert len(analyzed) == 2
