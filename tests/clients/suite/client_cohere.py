"""Cohere's client for Python."""

import os

import cohere


def test_documents_are_ranked():
    client = cohere.ClientV2(api_key="-", base_url=os.environ["FASTEMBED_URL"])
    asked = {"query": "when", "documents": ["The cat sleeps.", "It is when seven."], "top_n": 1}
    assert client.rerank(model="auto", **asked).results[0].index == 1
