from __future__ import annotations

import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.embedding import Embeddings
from fastembed.pipeline.payload.rerank import Ranking
from fastembed.server.app import create_app
from fastembed.server.endpoints import chat, completions, embeddings
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.server.wire.fields import Fields
from fastembed.server.wire.unknown_fields import UnknownFields, typo_of
from fastembed.sources.http import HttpRoutes
from tests.unit.server.asgi import call, serving
from tests.unit.server.chatting import CHAT, COMPLETIONS, chatting
from tests.unit.server.strict import strict

KNOWN = frozenset(("model", "dimensions", "top_p", "max_tokens", "input", "user", "n"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("dimension", "dimensions"),
        ("dimensoins", "dimensions"),
        ("dimensionss", "dimensions"),
        ("Dimensions", "dimensions"),
        ("modle", "model"),
        ("model_", "model"),
        ("inputs", "input"),
        ("maxTokens", "max_tokens"),
        ("max-tokens", "max_tokens"),
        ("max_token", "max_tokens"),
        ("mx_tokns", "max_tokens"),
        ("uesr", "user"),
        # names that other servers know, and that are not typos
        ("top_k", None),
        ("min_p", None),
        ("min_tokens", None),
        ("input_type", None),
        ("max_new_tokens", None),
        ("truncate", None),
        ("ser", None),
        ("m", None),
        ("", None),
    ],
)
def test_a_typo_is_told_from_another_servers_field(name, meant):
    assert typo_of(name, KNOWN) == meant


def test_of_two_known_names_the_nearer_one_was_meant():
    assert typo_of("prompts", ["prompt_ids", "prompt"]) == "prompt"


def read(body: dict, *, reject: bool = False) -> UnknownFields:
    unknown = UnknownFields(reject=reject)
    Fields(body, unknown=unknown).known(KNOWN)
    return unknown


def test_unknown_fields_are_ignored_and_named_in_the_header():
    assert read({"model": "m", "top_k": 3, "min_p": 0.1}).header() == (
        b"x-fastembed-warning",
        b"ignored unknown fields: top_k, min_p",
    )


def test_a_typo_is_refused_where_other_unknown_fields_are_ignored():
    with pytest.raises(
        InvalidInput, match=r"^dimension: found the unknown field 'dimension'; did you mean dimensions\?"
    ):
        read({"top_k": 3, "dimension": 256})


def test_a_name_like_a_known_one_that_is_there_too_is_no_typo_of_it():
    assert read({"model": "m", "mode": "instruct"}).ignored == ["mode"]


def test_where_they_are_rejected_every_unknown_field_is_refused():
    with pytest.raises(InvalidInput, match="found the unknown field 'top_k'") as caught:
        read({"top_k": 3}, reject=True)
    assert (caught.value.param, caught.value.code) == ("top_k", "unknown_parameter")


def test_a_header_cannot_be_broken_by_a_fields_name():
    names = ["a\r\nset-cookie: b", "ü" * 500, *map(str, range(30))]
    _, value = read(dict.fromkeys(names, 1)).header()
    assert value.startswith(b"ignored unknown fields: a  set-cookie: b, ")
    assert value.endswith(b"and 16 more")
    assert len(value) <= 1024


def test_a_request_of_nothing_but_unknown_fields_is_refused_soon():
    assert len(read({f"field {number}": 1 for number in range(64)}).ignored) == 64
    with pytest.raises(InvalidInput, match="found more than 64 unknown fields, expected fewer"):
        read({f"field {number}": 1 for number in range(500_000)})


def test_a_nested_field_is_named_with_its_place():
    unknown = UnknownFields()
    options = Fields({"stream_options": {"include_usage": True, "continuous": True}}, unknown=unknown)
    options.required("stream_options").known({"include_usage"})
    assert unknown.ignored == ["stream_options.continuous"]


DECODERS = {
    "embeddings": (embeddings.decode, {"model": "m", "input": "a"}),
    "completions": (completions.decode, {"model": "m", "prompt": "a"}),
}


@pytest.mark.parametrize("name", DECODERS)
def test_every_endpoint_speaks_of_unknown_fields_alike(name):
    decode, body = DECODERS[name]
    with pytest.raises(InvalidInput, match=r"found the unknown field 'modell'; did you mean model\?"):
        decode(Fields({**{k: v for k, v in body.items() if k != "model"}, "modell": "m"}))
    with pytest.raises(InvalidInput, match="found the unknown field 'colour'"):
        decode(strict({**body, "colour": "red"}))
    decode(Fields({**body, "colour": "red"}))


async def test_chat_speaks_of_unknown_fields_as_the_others_do():
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temprature": 1}
    with pytest.raises(InvalidInput, match=r"did you mean temperature\?"):
        await chat.decode(Fields(body))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_an_answer_says_what_was_ignored(path, stream):
    async with chatting(path=path) as served:
        reply = await served.post(path, mirostat=2, keep_alive="5m", stream=stream)
        plain = await served.post(path, stream=stream)
    assert reply.status == 200
    assert reply.headers["x-fastembed-warning"] == "ignored unknown fields: mirostat, keep_alive"
    assert "x-fastembed-warning" not in plain.headers


async def embed(item: Item):
    await item.reply.send(Embeddings([[0.5]] * len(item.value.inputs), [1], "m"))


async def rank(item: Item):
    await item.reply.send(Ranking((), "m", "CPU", 1))


POSTS = {
    "/v1/embeddings": (embed, {"model": "m", "input": "a"}),
    "/v1/rerank": (rank, {"query": "q", "documents": ["a"]}),
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(("rule", "status"), [("ignore", 200), ("reject", 400)])
async def test_the_server_has_one_rule_for_all_its_endpoints(path, rule, status):
    work, body = POSTS[path]
    routes, lifecycle = HttpRoutes(), Lifecycle()
    lifecycle.serve()
    app = create_app(ServerSettings(unknown_fields=rule), routes=routes, lifecycle=lifecycle, stats=HttpMetrics())
    async with serving(routes, f"POST {path}", work):
        reply = await call(app, "POST", path, body={**body, "prompt_name": "query"})
    assert reply.status == status
    if rule == "ignore":
        assert reply.headers["x-fastembed-warning"] == "ignored unknown fields: prompt_name"
    else:
        assert (reply.error["param"], reply.error["code"]) == ("prompt_name", "unknown_parameter")
