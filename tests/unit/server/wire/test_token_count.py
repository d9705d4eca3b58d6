"""What a key's requests count: tokens that results name, and pieces where a client left."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished
from fastembed.pipeline.payload.embedding import Embeddings
from fastembed.pipeline.payload.rerank import Ranking
from fastembed.server.keys.meter import KeyMeter
from fastembed.server.keys.usage import UsageLog
from fastembed.server.wire.token_count import TokenCount
from fastembed.sources.http import Results


@pytest.fixture
def meter(tmp_path):
    return KeyMeter(UsageLog(tmp_path / "usage.sqlite"), "key_1", "alice")


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ([ChatDelta(text="a"), ChatDelta(text="b"), ChatFinished(0, "stop", 7, 2)], (7, 2)),
        ([ChatDelta(), ChatFinished(0, "stop", 7, 2), ChatDelta(index=1), ChatFinished(1, "stop", 7, 5)], (7, 5)),
        ([ChatDelta(text="a"), ChatDelta(text="b")], (0, 2)),
        ([Embeddings(np.zeros((2, 3), np.float32), [4, 5], "m")], (9, 0)),
        ([Ranking((), "m", "CPU", 6)], (6, 0)),
        ([{"of": "a pipeline of one's own"}], (0, 0)),
    ],
)
def test_results_count_once(meter, values, tokens):
    results = Results()
    results.observer = TokenCount(meter)
    for value in values:
        assert results.send_nowait(value)
    results.close(Outcome.DELIVERED, None)
    found = meter.log.today("key_1", "alice")
    assert (found.input_tokens, found.output_tokens) == tokens
