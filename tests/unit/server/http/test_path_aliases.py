from __future__ import annotations

import pytest

from fastembed.server.http.path_aliases import resolve

SERVED = frozenset(
    ("/", "/healthz", "/readyz", "/metrics", "/v1/models", "/v1/rerank", "/v1/chat/completions", "/v1/realtime")
)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        *(("/health", "/healthz"), ("/health/", "/healthz"), ("/v1/health", "/healthz"), ("/ping", "/healthz")),
        *(("/healthz/", "/healthz"), ("/v1/healthz", "/healthz"), ("/ready", "/readyz"), ("/v1/metrics", "/metrics")),
        *(("/models", "/v1/models"), ("/v1/models/", "/v1/models"), ("/models/", "/v1/models")),
        *(("/rerank", "/v1/rerank"), ("/v2/rerank", "/v1/rerank"), ("/v2/rerank/", "/v1/rerank")),
        *(("/chat/completions", "/v1/chat/completions"), ("/v1/v1/chat/completions/", "/v1/chat/completions")),
        ("/openai/deployments/any-name/chat/completions", "/v1/chat/completions"),
        *(("/realtime", "/v1/realtime"), ("//", "/")),
    ],
)
def test_another_way_to_write_a_path_leads_to_it(path, meant):
    assert resolve(path, SERVED.__contains__) == meant


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/model", "/v2/models", "/v3/rerank", "/healthzz", "/openai/deployments/a"]
)
def test_what_resembles_nothing_stays_as_it_is(path):
    assert resolve(path, SERVED.__contains__) == path
