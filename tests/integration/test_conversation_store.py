"""Stored responses and conversations in their file: whose they are, how long they stay, how much they may take."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from fastembed.pipeline.errors import InvalidInput, NotFound, TooLarge, Unavailable
from fastembed.server.conversations.record import StoredItem, StoredRecord
from fastembed.server.conversations.store import TTL_S, ConversationStore


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    store = ConversationStore(tmp_path / "home" / "conversations.sqlite", clock=clock)
    yield store
    store.close()


def response(id_, owner="me", *, previous=None, size=0, at=1000.0):
    body = {"response": {"id": id_, "previous_response_id": previous, "text": "x" * size}}
    return StoredRecord(id_, owner, "response", at, body, at + TTL_S)


def item(id_, role="input"):
    return StoredItem({"id": id_, "type": "message"}, role)


def ids(items):
    return [one.body["id"] for one in items]


def test_nothing_is_made_before_something_is_stored(store):
    with pytest.raises(NotFound, match="found no response 'resp_1'"):
        store.find("me", "resp_1", "response")
    assert store.sweep() == 0
    assert not store.path.exists()


def test_what_is_stored_is_its_owners_alone_and_survives_a_restart(store, clock):
    store.save(response("resp_1"), [item("a"), item("b", "output")])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert len(modes) > 1, "SQLite's own files are private, too"
    store.close()
    again = ConversationStore(store.path, clock=clock)
    assert again.find("me", "resp_1", "response").body["response"]["id"] == "resp_1"
    assert ids(again.items("me", "resp_1")) == ["a", "b"]
    assert again.item("me", "b", param="x").role == "output"
    for owner, kind in (("you", "response"), ("me", "conversation")):
        with pytest.raises(NotFound):
            again.find(owner, "resp_1", kind)
    with pytest.raises(NotFound):
        again.item("you", "b", param="x")
    assert again.items("you", "resp_1") == []
    again.close()
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_response_expires_but_one_that_is_gone_on_from_stays_as_long_again(store, clock):
    store.save(response("resp_1"), [item("a")])
    store.save(response("resp_2", previous="resp_1"), [item("b")])
    store.save(response("resp_3"), [item("c")])
    clock.now_s += TTL_S - 1
    assert ids(store.chain("me", "resp_2", param="p")) == ["a", "b"]
    clock.now_s += 1
    with pytest.raises(NotFound):
        store.find("me", "resp_3", "response")
    assert store.sweep() == 1
    assert ids(store.chain("me", "resp_2", param="p")) == ["a", "b"]
    with pytest.raises(NotFound):
        store.item("me", "c", param="x")


def test_a_chain_with_a_gap_is_refused_by_name(store):
    store.save(response("resp_1"), [item("a")])
    store.save(response("resp_2", previous="resp_1"), [item("b")])
    store.delete("me", "resp_1", "response")
    with pytest.raises(InvalidInput, match="found no response 'resp_1'") as caught:
        store.chain("me", "resp_2", param="previous_response_id")
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


def test_over_its_bound_the_oldest_responses_of_whoever_holds_most_are_forgotten(tmp_path, clock):
    store = ConversationStore(tmp_path / "c.sqlite", most_bytes=400_000, clock=clock)
    store.save(response("mine", size=50_000, at=1), [])
    for index in range(8):
        store.save(response(f"theirs_{index}", "you", size=50_000, at=10 + index), [])
    assert store.find("me", "mine", "response")
    with pytest.raises(NotFound):
        store.find("you", "theirs_0", "response")
    assert store.find("you", "theirs_7", "response")
    with pytest.raises(TooLarge, match="conversations-size") as caught:
        store.save(response("huge", size=500_000), [])
    assert caught.value.code == "storage_limit_exceeded"
    assert store.find("you", "theirs_7", "response"), "what is refused displaces nothing"
    store.close()


def test_conversations_stay_and_keep_their_items_in_order(store, clock):
    store.save(StoredRecord("conv_1", "me", "conversation", 1.0, {"metadata": {}}), [item("a")])
    store.add("me", "conv_1", [item("b"), item("c")])
    clock.now_s += 100 * TTL_S
    assert store.sweep() == 0
    store.remove_item("me", "conv_1", "b")
    store.add("me", "conv_1", [item("d")])
    assert ids(store.items("me", "conv_1")) == ["a", "c", "d"]
    store.delete("me", "conv_1", "conversation")
    assert store.items("me", "conv_1") == []


def test_a_file_that_is_no_database_is_a_503_and_nothing_is_lost(store):
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(b"not a database, but somebody's" * 100)
    with pytest.raises(Unavailable, match="its log says why") as caught:
        store.find("me", "resp_1", "response")
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert store.path.read_bytes().startswith(b"not a database")
