"""The batches' store, source and bookkeeping, without a server."""

from __future__ import annotations

from collections import Counter

import pytest

from fastembed.operators.request import Request
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import FastEmbedError, Forbidden, Overloaded, Unauthenticated, Unavailable
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.payload.endpoint import EndpointAnswer, EndpointCaller, EndpointRequest
from fastembed.server.http.auth import ApiKeys
from fastembed.server.http.key_ring import INTERNAL, InternalCaller, KeyRing
from fastembed.server.keys.key_file import KeyFile, add_key, remove_key
from fastembed.sources.batches import BatchLines
from fastembed.sources.batching.record import BatchLine, BatchRecord
from fastembed.sources.batching.store import BatchStore
from fastembed.sources.batching.work import BatchWork
from tests.unit.server.asgi import scope_of


def record(name: str, owner: str = "me", **body) -> BatchRecord:
    return BatchRecord(name, owner, "", "validating", 1, {"endpoint": "/v1/embeddings", "expires_at": 2**40, **body})


def lines(batch: str, count: int) -> list[BatchLine]:
    return [BatchLine(batch, number, f"r{number}", b"{}") for number in range(count)]


@pytest.fixture
def store(tmp_path):
    found = BatchStore(tmp_path / "batches.sqlite")
    yield found
    found.close()


def begun(store, name, count):
    store.create(record(name))
    store.advance(name, ["validating"], "in_progress", {}, lines(name, count))


def test_a_line_is_answered_once(store):
    begun(store, "batch_1", 2)
    (first, _) = store.pending("batch_1")
    store.finish(first, 200, b'{"first": true}')
    store.finish(first, 500, b'{"first": false}')
    assert store.counts("batch_1") == (2, 1, 0)
    assert [(found.status, found.answer) for found in store.results("batch_1", after=-1)] == [
        (200, b'{"first": true}'),
        (None, b""),
    ]


def test_a_state_changes_only_from_an_expected_one(store):
    begun(store, "batch_1", 1)
    assert store.advance("batch_1", ["validating"], "failed", {}) is None
    assert store.advance("batch_1", ["in_progress"], "completed", {"a": 1}).body["a"] == 1
    assert store.counts("batch_1") == (0, 0, 0), "a batch that has ended has no lines any more"
    assert store.open_batches() == []


def test_one_process_of_several_works(store):
    begun(store, "batch_1", 1)
    other = BatchStore(store.path)
    assert store.leads()
    assert not other.leads()
    store.close()
    assert other.leads()
    other.close()


def test_what_ended_long_ago_is_forgotten(store):
    begun(store, "batch_1", 1)
    assert store.sweep() == 0
    store.advance("batch_1", ["in_progress"], "completed", {})
    assert store.sweep() == 1


async def opened(work: BatchWork) -> BatchLines:
    source = BatchLines(pause=0.05)
    await source.open(Context("p", "batches", "", work.store.path.parent, Resources(work)))
    return source


async def taken(source: BatchLines, count: int) -> list[Item]:
    items = source.items()
    found = []
    async for item in items:
        item.ack = Ack(item, lambda ack: ack.origin.reply.close(ack.outcome, ack.error))
        found.append(item)
        if len(found) == count:
            break
    await items.aclose()
    return found


async def test_batches_take_turns(store):
    begun(store, "batch_1", 50)
    begun(store, "batch_2", 2)
    work = BatchWork(store, lambda _: None)
    source = await opened(work)
    found = await taken(source, 6)
    assert Counter(item.value.id.split("_")[2] for item in found) == Counter({"1": 4, "2": 2})
    assert {item.priority for item in found} == {-10}
    await source.close()
    await work.close()


async def test_a_cancelled_line_comes_again_and_an_answered_one_does_not(store):
    begun(store, "batch_1", 2)
    work = BatchWork(store, lambda _: None)
    source = await opened(work)
    first, second = await taken(source, 2)
    assert work.under_way("batch_1") == 2
    await first.reply.send(EndpointAnswer(200, b"{}"))
    first.settle(Outcome.DELIVERED)
    second.settle(Outcome.CANCELLED)
    assert work.is_idle("batch_1")
    (again,) = await taken(source, 1)
    assert again.value.id == second.value.id
    await source.close()
    await work.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [(Forbidden("no"), 403), (RuntimeError("a secret"), 500), (FastEmbedError("dropped"), 500)],
)
async def test_a_failed_line_is_written_down_without_internals(store, error, status):
    begun(store, "batch_1", 1)
    work = BatchWork(store, lambda _: None)
    source = await opened(work)
    (item,) = await taken(source, 1)
    item.settle(Outcome.FAILED, error)
    changed = work.watch()
    while not work.is_idle("batch_1"):
        changed.clear()
        await changed.wait()
    (result,) = store.results("batch_1", after=-1)
    assert result.status == status
    assert b"secret" not in result.answer
    await source.close()
    await work.close()


@pytest.mark.parametrize(
    "error", [Overloaded("full", retry_after_s=0.001), Unavailable("breaker", retry_after_s=0.001)]
)
async def test_what_passes_lets_a_line_come_again(store, error):
    begun(store, "batch_1", 1)
    work = BatchWork(store, lambda _: None)
    source = await opened(work)
    (item,) = await taken(source, 1)
    item.settle(Outcome.FAILED, error)
    (again,) = await taken(source, 1)
    assert again.value.id == item.value.id
    assert store.counts("batch_1") == (1, 0, 0)
    await source.close()
    await work.close()


class Caller(EndpointCaller):
    def __init__(self, *answers, live=()):
        self.answers = list(answers)
        self.lives = list(live)
        self.priorities = []

    async def call(self, _, *, priority):
        self.priorities.append(priority)
        return self.answers.pop(0)

    def live(self, _):
        return self.lives.pop(0) if self.lives else 0


async def asked(caller, **options):
    operator = Request(**options)
    await operator.open(Context("p", "request", "", None, Resources(caller)))
    return await operator(Item(EndpointRequest("/v1/embeddings", b"{}", "me", "", "r"), priority=-10))


async def test_a_request_gives_way_to_live_ones_but_not_for_ever():
    caller = Caller(EndpointAnswer(200, b"{}"), live=[1, 1])
    assert (await asked(caller)).status == 200
    assert caller.lives == []
    assert caller.priorities == [-10]
    busy = Caller(EndpointAnswer(200, b"{}"), live=[1] * 1000)
    assert (await asked(busy, patience=0.05)).status == 200


@pytest.mark.parametrize(("status", "kind"), [(429, Overloaded), (503, Unavailable)])
async def test_what_passes_is_raised_and_a_quota_is_an_answer(status, kind):
    with pytest.raises(kind, match="later") as caught:
        await asked(Caller(EndpointAnswer(status, b'{"error": {"message": "later", "code": null}}', 7.0)))
    assert caught.value.retry_after_s == 7.0
    spent = EndpointAnswer(429, b'{"error": {"message": "spent", "code": "insufficient_quota"}}')
    assert await asked(Caller(spent)) == spent


def test_a_key_that_is_taken_back_stops_its_batches(tmp_path):
    clock = [0.0]
    path = tmp_path / "keys.json"
    key, _ = add_key(path, "alice", scopes=("embeddings",))
    ring = KeyRing(ApiKeys(), KeyFile(path, clock=lambda: clock[0]))

    def admitted(at: str):
        scope = scope_of("POST", at, **{INTERNAL: InternalCaller(key.owner, key.id)})
        ring.admit(scope)
        return scope

    assert admitted("/v1/embeddings")["owner"] == key.owner
    with pytest.raises(Forbidden, match="needs the scope chat"):
        admitted("/v1/chat/completions")
    remove_key(path, "alice")
    clock[0] += 1
    with pytest.raises(Unauthenticated, match="not accepted any more"):
        admitted("/v1/embeddings")
