"""Issued keys: the file, the scopes, the limits, what each has used."""

from __future__ import annotations

import stat

import pytest

from fastembed.pipeline.errors import ConfigError, FastEmbedError, Forbidden, Overloaded, Unauthenticated
from fastembed.server.endpoints.registry import OWN_OPERATIONS, PIPELINE_ENDPOINTS
from fastembed.server.http.auth import EVERYBODY, ApiKeys
from fastembed.server.http.key_ring import KeyRing
from fastembed.server.http.scopes import ADMIN, needed_scope
from fastembed.server.keys.key_file import KeyFile, add_key, read_keys, remove_key, rotate_key
from fastembed.server.keys.meter import RequestBucket
from fastembed.server.keys.record import SCOPES
from fastembed.server.keys.usage import UsageLog
from tests.unit.server.asgi import scope_of


class Clock:
    def __init__(self, now_s=1_700_000_000.0):
        self.now_s = now_s

    def __call__(self):
        return self.now_s


def asking(secret, path="/v1/models", method="GET"):
    return scope_of(method, path, {"authorization": f"Bearer {secret}"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "keys.json"


@pytest.fixture
def usage(tmp_path):
    return UsageLog(tmp_path / "usage.sqlite", clock=Clock())


def test_the_file_holds_no_secret_and_only_its_owner_reads_it(path):
    _, secret = add_key(path, "alice", scopes=("chat",))
    assert secret.encode() not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [key.scopes for key in read_keys(path)] == [("chat",)]


@pytest.mark.parametrize(
    ("name", "scopes"), [("alice", ("chat",)), ("b", ("chatt",)), ("b", ()), (" ", ("sql",)), ("a\nb", ("sql",))]
)
def test_a_key_that_cannot_be_issued_changes_nothing(path, name, scopes):
    add_key(path, "alice", scopes=("chat",))
    before = path.read_bytes()
    with pytest.raises(FastEmbedError, match="found"):
        add_key(path, name, scopes=scopes)
    assert path.read_bytes() == before


def test_without_a_file_no_key_is_asked_for_and_with_its_first_key_one_is(path):
    clock = Clock()
    ring = KeyRing(ApiKeys(), KeyFile(path, clock=clock))
    scope = scope_of("GET", "/v1/models")
    ring.admit(scope)
    assert scope["owner"] == EVERYBODY
    _, secret = add_key(path, "alice", scopes=("chat",))
    clock.now_s += 1
    with pytest.raises(Unauthenticated, match="found no API key"):
        ring.admit(scope_of("GET", "/v1/models"))
    ring.admit(asking(secret))


@pytest.mark.parametrize("harm", ["delete", "empty", "damage", "remove"])
def test_a_file_that_is_harmed_never_opens_the_server(path, harm):
    clock = Clock()
    _, secret = add_key(path, "alice", scopes=("chat",))
    ring = KeyRing(ApiKeys(), KeyFile(path, clock=clock))
    ring.admit(asking(secret))
    if harm == "delete":
        path.unlink()
    elif harm == "remove":
        remove_key(path, "alice")
    else:
        path.write_text("" if harm == "empty" else '{"keys": [{"id": 1}]}')
    clock.now_s += 1
    with pytest.raises(Unauthenticated, match="found no API key"):
        ring.admit(scope_of("GET", "/v1/models"))
    if harm in ("delete", "remove"):
        with pytest.raises(Unauthenticated, match="does not know"):
            ring.admit(asking(secret))
    else:
        ring.admit(asking(secret))  # what was read before holds on


def test_a_rotated_key_has_a_new_secret_and_the_same_owner(path):
    clock = Clock()
    _, old = add_key(path, "alice", scopes=("chat",))
    ring = KeyRing(ApiKeys(), KeyFile(path, clock=clock))
    ring.admit(before := asking(old))
    _, new = rotate_key(path, "alice")
    clock.now_s += 1
    with pytest.raises(Unauthenticated, match="does not know"):
        ring.admit(asking(old))
    ring.admit(after := asking(new))
    assert after["owner"] == before["owner"]
    with pytest.raises(FastEmbedError, match=r"found no key 'bob' in .*, expected one of alice"):
        rotate_key(path, "bob")


def test_a_key_of_the_command_line_may_do_everything_beside_issued_ones(path, usage):
    add_key(path, "alice", scopes=("chat",))
    ring = KeyRing(ApiKeys.of(["root"]), KeyFile(path), usage)
    ring.admit(scope := asking("root", "/v1/sql", "POST"))
    assert "scopes" not in scope


def test_an_expired_key_is_refused(path):
    _, secret = add_key(path, "alice", scopes=("chat",), expires_in_s=60)
    clock = Clock(read_keys(path)[0].created_at + 59)
    ring = KeyRing(ApiKeys(), KeyFile(path), clock=clock)
    ring.admit(asking(secret))
    clock.now_s += 1
    with pytest.raises(Unauthenticated, match="'alice', which has expired"):
        ring.admit(asking(secret))


def test_a_file_that_others_may_write_is_refused(path):
    add_key(path, "alice", scopes=("chat",))
    path.chmod(0o662)
    with pytest.raises(ConfigError, match="run chmod 600"):
        KeyFile(path)


def test_a_missing_scope_is_named(path):
    _, secret = add_key(path, "alice", scopes=("embeddings", "chat"))
    ring = KeyRing(ApiKeys(), KeyFile(path))
    ring.admit(asking(secret, "/v1/chat/completions", "POST"))
    with pytest.raises(Forbidden) as caught:
        ring.admit(asking(secret, "/v1/sql", "POST"))
    assert caught.value.message == "this API key may not use /v1/sql: it needs the scope sql, and has chat, embeddings"
    assert caught.value.code == "missing_scope"
    with pytest.raises(Forbidden, match="needs the scope pipelines"):
        ring.admit(asking(secret, "/shout", "POST"), by_pipeline=True)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/v1/realtime", "audio"),
        ("/realtime", "audio"),
        ("/openai/v1/realtime", "audio"),
        ("/", "audio"),
        ("/v1/status/ws/task-1", "documents"),
        ("/mine", "pipelines"),
    ],
)
def test_a_socket_needs_its_scope_however_its_path_is_written(path, scope):
    assert needed_scope(path, websocket=True) == scope


FREE = (
    "/v1/models",
    "/v1/files",
    "/v1/uploads",
    "/v1/batches",
    "/v1/usage",
    "/v1/route",
    "/v1/moderations",
    "/tokenize",
)
FREE += (
    "/detokenize",
    "/healthz",
    "/readyz",
    "/",
    "/docs",
    "/version",
    "/page/{name}",
    "/v1/catalog",
    "/mcp",
    "/api/tags",
    "/api/show",
    "/api/ps",
    "/api/version",
)
FREE += ("/api/pull",)


@pytest.mark.parametrize("name", [*PIPELINE_ENDPOINTS, *(operation.name for operation in OWN_OPERATIONS)])
def test_every_endpoint_needs_a_scope_or_is_one_that_any_key_may_use(name):
    path = name.split(" ")[1]
    found = needed_scope(path)
    assert (
        found in SCOPES
        or path in FREE
        or path.startswith(("/v1/files/", "/v1/models/", "/v1/uploads/", "/v1/batches/"))
    )


def test_what_changes_the_server_needs_admin():
    for path in (
        "/v1/pipelines/reload",
        "/v1/documents/replay",
        "/v1/documents/forget",
        "/v1/documents/reembed",
        "/metrics",
    ):
        assert needed_scope(path) == ADMIN


def test_a_bucket_gives_a_minutes_requests_at_once_and_then_one_at_a_time():
    bucket = RequestBucket(60.0, 0.0)
    assert [bucket.take(60, 0.0) for _ in range(60)] == [0.0] * 60
    assert bucket.take(60, 0.0) == pytest.approx(1.0)
    assert bucket.take(60, 1.0) == 0.0
    assert bucket.take(60, 1.5) == pytest.approx(0.5)
    assert [bucket.take(60, 1e6) for _ in range(61)].count(0.0) == 60, "a long pause earns no more than a minute's"


def test_the_day_s_tokens_end_and_the_next_day_begins_anew(path, usage):
    _, secret = add_key(path, "alice", scopes=("chat",), tokens_per_day=100)
    ring = KeyRing(ApiKeys(), KeyFile(path), usage)
    ring.admit(scope := asking(secret))
    scope["meter"].add_tokens(60, 40)
    with pytest.raises(Overloaded, match="has used 100 tokens today, expected at most 100 a day") as caught:
        ring.admit(asking(secret))
    assert caught.value.code == "insufficient_quota"
    assert caught.value.retry_after_s == 86_400 - usage.clock() % 86_400
    usage.clock.now_s += caught.value.retry_after_s
    ring.admit(asking(secret))


def test_usage_survives_a_restart_and_is_of_one_key_or_all(usage):
    for key, tokens in (("a", 5), ("b", 7)):
        found = usage.today(key, key.upper())
        found.requests += 1
        found.input_tokens += tokens
    usage.sweep()
    usage.today("a", "A").requests += 1  # counted, not yet written
    assert [(row.key, row.name, row.requests, row.input_tokens) for row in usage.rows()] == [
        ("a", "A", 2, 5),
        ("b", "B", 1, 7),
    ]
    again = UsageLog(usage.path, clock=usage.clock)
    assert (again.today("a", "A").requests, again.today("b", "B").input_tokens) == (2, 7)
    assert [row.key for row in again.rows("b")] == ["b"]
    usage.clock.now_s += 86_400 * 40
    assert again.rows(days=30) == []
