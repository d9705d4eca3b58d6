from __future__ import annotations

import pickle
from dataclasses import fields

from fastembed.pipeline.payload.chat import ChatDelta, TokenLogprob


def test_a_delta_comes_out_of_a_pickle_with_every_field():
    delta = ChatDelta(3, "text", "thought", 1, "call_1", "tool", "{", (TokenLogprob("a", -0.5, (("b", -1.0),)),))
    assert all(getattr(delta, field.name) != field.default for field in fields(delta))
    assert pickle.loads(pickle.dumps(delta)) == delta  # noqa: S301 - our own
