from __future__ import annotations

import pytest

from fastembed.pipeline.errors import ConfigError, Forbidden, Unauthenticated
from fastembed.server.http.auth import EVERYBODY, ApiKeys, BrowserGuard, is_loopback
from fastembed.server.http.key_ring import KeyRing
from fastembed.server.settings import ServerSettings
from tests.unit.server.asgi import scope_of


class Ring(KeyRing):
    def check(self, scope):
        self.admit(scope)
        return scope["owner"]


KEYS = Ring(ApiKeys.of([" first ", "second", ""]))


def websocket(protocols, **headers):
    return {**scope_of("GET", "/v1/realtime", headers), "type": "websocket", "subprotocols": protocols}


def test_without_keys_everybody_may_pass():
    assert not ApiKeys.of(["", " "])
    Ring(ApiKeys()).check(scope_of("GET", "/v1/models"))


@pytest.mark.parametrize("key", ["first", "second"])
def test_each_key_opens(key):
    KEYS.check(scope_of("GET", "/v1/models", {"authorization": f"Bearer {key}"}))
    KEYS.check(scope_of("GET", "/v1/models", {"authorization": f"bearer  {key}"}))


def test_each_key_stands_for_its_holder_and_does_not_show():
    first, second = (
        Ring(ApiKeys.of(["first", "second"])).check(scope_of("GET", "/v1/files", {"authorization": f"Bearer {key}"}))
        for key in ("first", "second")
    )
    assert first != second
    assert "first" not in first
    assert KEYS.check(scope_of("GET", "/v1/files", {"authorization": "Bearer first"})) == first
    assert Ring(ApiKeys()).check(scope_of("GET", "/v1/files", {"authorization": "Bearer first"})) == EVERYBODY


@pytest.mark.parametrize("value", ["Bearer third", "Bearer ", "Bearer firsts", "Basic first", "first", "Bearer \xff"])
def test_anything_else_does_not(value):
    with pytest.raises(Unauthenticated) as caught:
        KEYS.check(scope_of("GET", "/v1/models", {"authorization": value}))
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_health_needs_no_key(path):
    KEYS.check(scope_of("GET", path))


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
def test_a_key_may_stand_in_the_headers_of_other_clients(name):
    first = KEYS.check(scope_of("GET", "/v1/models", {"authorization": "Bearer first"}))
    assert KEYS.check(scope_of("GET", "/v1/models", {name: " first "})) == first
    KEYS.check(websocket(["realtime"], **{name: "second"}))
    with pytest.raises(Unauthenticated, match="found an API key that this server does not know"):
        KEYS.check(scope_of("GET", "/v1/models", {name: "third"}))


def test_one_right_key_of_several_is_enough():
    sent = {"authorization": "Bearer unused", "x-api-key": "first"}
    assert KEYS.check(scope_of("GET", "/v1/models", sent)) == KEYS.check(
        scope_of("GET", "/v1/models", {"api-key": "first", "authorization": "Basic YTpi"})
    )
    with pytest.raises(Unauthenticated):
        KEYS.check(scope_of("GET", "/v1/models", {"authorization": "Bearer a", "x-api-key": "b", "api-key": "c"}))


def test_metrics_need_a_key():
    with pytest.raises(Unauthenticated, match="expected the header `Authorization: Bearer KEY`"):
        KEYS.check(scope_of("GET", "/metrics"))


def test_a_browser_sends_its_key_as_a_subprotocol_which_nobody_echoes():
    scope = websocket(["realtime", "openai-insecure-api-key.second"])
    KEYS.check(scope)
    assert scope["subprotocols"] == ["realtime"]
    with pytest.raises(Unauthenticated):
        KEYS.check(websocket(["realtime", "openai-insecure-api-key.wrong"]))
    KEYS.check(websocket(["realtime"], authorization="Bearer first"))


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.7", "app.localhost:1", "LOCALHOST", ""],
)
def test_the_servers_own_names_pass(host):
    BrowserGuard().check(scope_of("GET", "/", {"host": host}))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_foreign_name_that_resolves_here_does_not(host):
    with pytest.raises(Forbidden, match="--allow-host"):
        BrowserGuard().check(scope_of("GET", "/", {"host": host}))


def test_an_allowed_name_passes_and_a_key_makes_the_name_indifferent():
    scope = scope_of("GET", "/", {"host": "ai.example:8000"})
    BrowserGuard(allowed_hosts=frozenset({"ai.example"})).check(scope)
    ServerSettings(api_keys=("k",)).guard.check(scope)


def test_pages_of_this_server_may_use_it_and_others_may_not():
    guard = BrowserGuard()
    guard.check(scope_of("POST", "/v1/embeddings", {"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:8000"}))
    for origin in ("http://evil.example", "null", "http://127.0.0.1:3000", "http://127.0.0.1:8000.evil.example"):
        with pytest.raises(Forbidden, match="--allow-origin"):
            guard.check(scope_of("POST", "/v1/embeddings", {"host": "127.0.0.1:8000", "origin": origin}))


def test_an_allowed_origin_may():
    ServerSettings(allow_origins=("https://App.example/",)).guard.check(
        scope_of("GET", "/", {"origin": "https://app.example"})
    )
    ServerSettings(allow_origins=("*",)).guard.check(scope_of("GET", "/", {"origin": "null"}))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("192.168.1.7", False),
        ("pi", False),
    ],
)
def test_only_loopback_addresses_need_no_key(host, loopback):
    assert is_loopback(host) is loopback
    if loopback:
        ServerSettings(host=host)
    else:
        with pytest.raises(ConfigError, match=f"found the address {host} and no API key, expected a key"):
            ServerSettings(host=host)
    ServerSettings(host=host, api_keys=("k",))
    ServerSettings(host=host, insecure=True)
