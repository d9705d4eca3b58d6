"""The wire of POST /v1/rerank."""

import orjson
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.rerank import Ranked, Ranking, RerankRequest
from fastembed.server.endpoints.rerank import decode, encode
from tests.unit.server.strict import strict


def body(**fields):
    return {"model": "m", "query": "q", "documents": ["a", "b"], **fields}


def test_documents_are_strings_or_objects_with_a_text():
    request, return_documents = decode(strict(body(documents=["a", {"text": "b", "title": "c"}], top_n=1)))
    assert request == RerankRequest("q", ["a", "b"], "m", 1)
    assert not return_documents


def test_only_query_and_documents_are_needed():
    request, return_documents = decode(
        strict({"query": "q", "documents": ["a"], "return_documents": True, "model": None})
    )
    assert request == RerankRequest("q", ["a"])
    assert return_documents


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query": None}, "query: found no query"),
        ({"query": ""}, "query: found an empty string"),
        ({"query": 5}, "query: found 5"),
        ({"documents": None}, "documents: found no documents, expected a list"),
        ({"documents": "a"}, "documents: found 'a', expected a list of strings or of objects with a text"),
        ({"documents": []}, "documents: found an empty list"),
        ({"documents": ["a"] * 1001}, "documents: found 1001 entries, expected at most 1000"),
        ({"documents": ["a", ""]}, r"documents\[1\]: found an empty string, expected a string or an object"),
        ({"documents": ["a", 5]}, r"documents\[1\]: found 5, expected a string or an object with a text"),
        ({"documents": [{"title": "a"}]}, r"documents\[0\].text: found no text, expected the document's text"),
        ({"top_n": 0}, "top_n: found 0, expected at least 1"),
        ({"top_n": "2"}, "top_n: found '2', expected a whole number"),
        ({"return_documents": "yes"}, "return_documents: found 'yes', expected true or false"),
        ({"model": 5}, "model: found 5, expected a string"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(fields, message):
    with pytest.raises(InvalidInput, match=message):
        decode(strict(body(**fields)))


def test_a_body_that_is_no_object_is_refused():
    with pytest.raises(InvalidInput, match="found a list, expected an object"):
        decode(strict([]))


RANKING = Ranking((Ranked(1, 0.75), Ranked(0, 0.25)), "m", "CPU", 12)


def answer(ranking=RANKING, **options):
    request = RerankRequest("q", ["a", "b"])
    return orjson.loads(encode(ranking, request, request_id="req_1", **{"return_documents": False, **options}))


def test_an_answer_has_the_best_first():
    assert answer() == {
        "id": "req_1",
        "model": "m",
        "results": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.25}],
        "usage": {"prompt_tokens": 12, "total_tokens": 12},
        "meta": {"tokens": {"input_tokens": 12}},
    }


def test_documents_are_repeated_for_who_asks():
    assert [found["document"] for found in answer(return_documents=True)["results"]] == [{"text": "b"}, {"text": "a"}]


def test_documents_that_were_cut_are_told():
    found = answer(Ranking(RANKING.results, "m", "CPU", 12, truncated=2))
    assert found["meta"]["warnings"] == ["2 documents are longer than the model's window and were cut there"]
