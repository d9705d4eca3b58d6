"""Answers that are kept: how long, how many, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fastembed import FastEmbedServer
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.payload.chat import ChatDelta
from fastembed.pipeline.payload.embedding import Embeddings
from fastembed.server.caching.response_cache import CacheLimits, ResponseCache, weight


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def cache(max_bytes: int = 100_000, ttl_s: float = 60) -> tuple[ResponseCache, Clock]:
    clock = Clock()
    return ResponseCache(CacheLimits(max_bytes, ttl_s), clock=clock), clock


def words(count: int) -> tuple[ChatDelta, ...]:
    return (ChatDelta(text="x"),) * count


def test_what_is_kept_is_found_until_it_is_too_old():
    kept, clock = cache()
    kept.keep(b"a", words(3))
    clock.now_s = 59.9
    assert kept.find(b"a") == words(3)
    clock.now_s = 60
    assert kept.find(b"a") is None
    assert (len(kept), kept.size) == (0, 0)


def test_the_least_recently_used_answers_make_room():
    kept, _ = cache(10 * weight(ChatDelta(text="x")))
    for name in b"abcdefghij":
        kept.keep(bytes([name]), words(1))
    kept.find(b"a")
    kept.keep(b"k", words(1))
    assert kept.find(b"a") is not None
    assert kept.find(b"b") is None
    assert len(kept) == 10


def test_an_answer_kept_again_counts_once():
    kept, _ = cache()
    kept.keep(b"a", words(2))
    kept.keep(b"a", words(3))
    assert (len(kept), kept.size) == (1, 3 * weight(ChatDelta(text="x")))


def test_an_answer_that_would_displace_all_others_is_not_kept():
    kept, _ = cache(8_000)
    kept.keep(b"a", words(3))
    assert kept.find(b"a") is None


def test_the_weight_grows_with_what_is_held():
    vectors = Embeddings(np.zeros((10, 384), np.float32), [3] * 10, "m")
    assert weight(vectors) > 10 * 384 * 4
    assert weight(ChatDelta(text="x" * 1_000)) > 1_000


def test_hits_and_misses_are_counted_and_shown():
    kept, _ = cache()
    assert kept.hit_rate is None
    for hit in (True, False, True, True):
        kept.count(hit=hit)
    assert kept.hit_rate == 0.75
    registry = CollectorRegistry()
    registry.register(kept)
    text = generate_latest(registry).decode()
    assert 'fastembed_cache_requests_total{result="hit"} 3.0' in text
    assert 'fastembed_cache_requests_total{result="miss"} 1.0' in text
    assert "fastembed_cache_bytes 0.0" in text


def test_limits_are_read_with_their_units():
    assert CacheLimits.of(None) is None
    assert CacheLimits.of("256MiB", "10m") == CacheLimits(256 * 2**20, 600)
    assert CacheLimits.of("2GB", 3600) == CacheLimits(2 * 10**9, 3600)
    for size, ttl in (("2 apples", "1h"), ("1MiB", "soon")):
        with pytest.raises(ConfigError, match=r"the response cache: found .*, expected a"):
            CacheLimits.of(size, ttl)


def test_a_server_in_python_takes_the_limits_by_their_long_names():
    server = FastEmbedServer(caching={"enable_response_cache": True, "cache_ttl": 60, "cache_size_limit": "2GB"})
    assert server._settings.cache == CacheLimits(2 * 10**9, 60)
    assert FastEmbedServer(caching={"enable_response_cache": False})._settings.cache is None
    with pytest.raises(ConfigError, match="caching: found 'ttl', expected one of"):
        FastEmbedServer(caching={"ttl": 1})
