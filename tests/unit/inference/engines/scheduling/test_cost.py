"""What calls take is learnt, and bounds what a batch may hold."""

import pytest

from fastembed.inference.engines.scheduling.batcher import Batcher, BatchLimits
from fastembed.inference.engines.scheduling.cost import CostModel


def taught(a, b, *, longest=20, calls=40):
    model = CostModel()
    for call in range(calls):
        size = longest * (1 + call % 16)
        model.learn(size, longest, a * size + b)
    return model


def test_price_and_rate_are_learnt():
    model = taught(2e-5, 1e-3)
    assert model.seconds(320, 20) == pytest.approx(2e-5 * 320 + 1e-3)
    assert model.most(0.011, 20) == pytest.approx(500, abs=1)


def test_lengths_have_prices_of_their_own_and_unknown_ones_none():
    model = taught(2e-5, 1e-3)
    assert model.seconds(512, 250) is None
    assert model.most(0.1, 250) is None
    model = taught(6e-5, 0.0, longest=250)
    assert model.seconds(500, 250) == pytest.approx(0.03)


def test_a_machine_that_became_slow_is_believed():
    model = taught(2e-5, 1e-3)
    for call in range(200):
        size = 20 * (1 + call % 16)
        model.learn(size, 20, 4e-5 * size + 2e-3)
    assert model.seconds(320, 20) == pytest.approx(4e-5 * 320 + 2e-3, rel=0.05)


def test_calls_of_one_size_and_calls_that_got_cheaper_by_size_give_no_negative_price():
    alike = CostModel()
    for _ in range(10):
        alike.learn(100, 20, 0.01)
    assert alike.most(0.02, 20) == 200
    odd = CostModel()
    for call in range(10):
        odd.learn(20 + call, 20, 0.02 - call * 1e-3)
    assert odd.most(1.0, 20) is None
    assert odd.seconds(400, 20) == pytest.approx(0.0155, rel=0.1)


def test_a_batch_is_kept_as_short_as_it_may_last():
    batcher = Batcher(BatchLimits(in_flight=1, longest_s=0.1))
    now = 0.0
    sizes = []
    for _ in range(12):  # 5 ms a token: 20 tokens of one text take as long as a batch may last
        batcher.submit(["text"] * 16, [20] * 16, now)
        while batch := batcher.take(now):
            sizes.append(len(batch.entries))
            now += 0.005 * batch.size
            batcher.complete(batch, now)
    assert sizes[0] == 16
    assert sizes[-1] == 1
