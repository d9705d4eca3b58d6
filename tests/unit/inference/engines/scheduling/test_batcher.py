"""Who runs when, with whom: the batcher under a clock that the test moves."""

import pytest

from fastembed.inference.engines.scheduling.batcher import Batcher, BatchLimits, QueueState
from fastembed.pipeline.errors import Overloaded, Unavailable


def submit(batcher, *costs, now=0.0, **options):
    return batcher.submit([f"{cost}@{now}" for cost in costs], costs, now, **options)


def costs(batch):
    return sorted(entry.cost for entry in batch.entries)


def test_an_idle_batcher_runs_a_single_input_at_once():
    batcher = Batcher(BatchLimits())
    [entry] = submit(batcher, 20)
    batch = batcher.take(0.0)
    assert batch.entries == [entry]
    assert entry.state is QueueState.RUNNING


def test_nothing_runs_beyond_the_slots_in_flight():
    batcher = Batcher(BatchLimits(in_flight=1))
    submit(batcher, 20)
    batcher.take(0.0)
    submit(batcher, 20)
    assert batcher.take(0.0) is None


def test_inputs_of_like_length_share_a_batch_and_others_do_not():
    batcher = Batcher(BatchLimits(in_flight=1))
    submit(batcher, 10, 200, 12, 210, 11)
    assert costs(batcher.take(0.0)) == [10, 11, 12]


def test_the_padded_size_of_a_batch_stays_within_the_budget():
    batcher = Batcher(BatchLimits(batch_cost=100, in_flight=1))
    submit(batcher, *[20] * 9)
    assert costs(batcher.take(0.0)) == [20] * 5


def test_an_input_over_the_budget_runs_alone():
    batcher = Batcher(BatchLimits(batch_cost=100, in_flight=1))
    submit(batcher, 300, 290)
    assert costs(batcher.take(0.0)) == [300]


def test_little_work_is_shared_between_free_slots():
    batcher = Batcher(BatchLimits(batch_cost=512, in_flight=2, share_cost=40))
    submit(batcher, *[20] * 8)
    assert [costs(batcher.take(0.0)), costs(batcher.take(0.0))] == [[20] * 4, [20] * 4]


def test_a_batch_size_asked_for_bounds_the_batch_of_that_input():
    batcher = Batcher(BatchLimits(in_flight=1))
    submit(batcher, *[20] * 5, max_batch=2)
    submit(batcher, *[20] * 5)
    assert len(batcher.take(0.0).entries) == 2


def test_an_underfull_batch_lingers_only_while_another_one_runs():
    batcher = Batcher(BatchLimits(in_flight=2, linger_s=0.002))
    submit(batcher, 20)
    assert batcher.take(0.0)
    submit(batcher, 20, now=0.001)
    assert batcher.take(0.001) is None
    assert batcher.wake_at(0.001) == pytest.approx(0.003)
    assert batcher.take(0.003)


def test_higher_priority_runs_first():
    batcher = Batcher(BatchLimits(in_flight=1, batch_cost=20))
    submit(batcher, 20, now=0.0)
    submit(batcher, 21, now=1.0, priority=1)
    assert costs(batcher.take(1.0)) == [21]


def test_the_nearest_deadline_runs_first_within_a_priority():
    batcher = Batcher(BatchLimits(in_flight=1, batch_cost=20, patience_s=10.0))
    submit(batcher, 20, now=0.0)
    submit(batcher, 21, now=1.0, deadline=4.0)
    submit(batcher, 22, now=1.0, deadline=3.0)
    assert costs(batcher.take(1.0)) == [22]


def test_an_old_input_overtakes_newer_ones_of_higher_priority():
    batcher = Batcher(BatchLimits(in_flight=1, batch_cost=20, head_start_s=5.0))
    submit(batcher, 20, now=0.0)
    submit(batcher, 21, now=5.1, priority=1)
    assert costs(batcher.take(6.0)) == [20]


def test_a_full_queue_refuses_with_the_time_it_needs():
    batcher = Batcher(BatchLimits(in_flight=1, batch_cost=100, queue_cost=1000))
    submit(batcher, 100)
    batcher.complete(batcher.take(0.0), now=0.5)
    submit(batcher, *[100] * 10, now=1.0)
    with pytest.raises(Overloaded, match="found 10 inputs of 1000 tokens waiting and 1 more of 100") as refused:
        submit(batcher, 100, now=1.0)
    assert refused.value.retry_after_s == 5.0


def test_an_empty_queue_takes_a_submission_of_any_size():
    batcher = Batcher(BatchLimits(queue_items=4))
    assert len(submit(batcher, *[10] * 2048)) == 2048


def test_a_cancelled_input_frees_its_place_and_never_runs():
    batcher = Batcher(BatchLimits(in_flight=1, queue_items=2))
    kept, left = submit(batcher, 20, 21)
    batcher.cancel(left)
    submit(batcher, 22)
    batch = batcher.take(0.0)
    assert left.state is QueueState.CANCELLED
    assert left not in batch.entries
    assert kept in batch.entries


def test_the_result_of_an_input_cancelled_while_running_is_dropped():
    batcher = Batcher(BatchLimits(in_flight=1))
    kept, left = submit(batcher, 20, 20)
    batch = batcher.take(0.0)
    batcher.cancel(left)
    assert batcher.complete(batch, 1.0) == [kept]


def test_cancelling_thousands_of_inputs_leaves_nothing_behind():
    batcher = Batcher(BatchLimits())
    for entry in submit(batcher, *range(1, 2000), deadline=9.0):
        batcher.cancel(entry)
    assert batcher.idle
    assert len(batcher._by_due) <= 64
    assert len(batcher._by_deadline) <= 65


def test_a_passed_deadline_ends_a_waiting_input():
    batcher = Batcher(BatchLimits(in_flight=1))
    submit(batcher, 20)
    batcher.take(0.0)
    [late] = submit(batcher, 20, deadline=2.0)
    assert batcher.wake_at(0.0) == 2.0
    assert batcher.expire(1.9) == []
    assert batcher.expire(2.0) == [late]
    assert batcher.waiting_items == 0


def test_one_bad_input_fails_alone_and_its_batch_mates_are_served():
    batcher = Batcher(BatchLimits(in_flight=1))
    entries = submit(batcher, *[20] * 8)
    bad, failed, done, runs = entries[5], [], [], 0
    while batch := batcher.take(0.0):
        runs += 1
        if bad in batch.entries:
            failed += batcher.fail(batch)
        else:
            done += batcher.complete(batch, 0.0)
    assert failed == [bad]
    assert set(done) == set(entries) - {bad}
    assert runs <= 2 * 3 + 1


def test_closing_serves_what_waits_and_admits_nothing():
    batcher = Batcher(BatchLimits())
    submit(batcher, 20)
    batcher.close()
    with pytest.raises(Unavailable):
        submit(batcher, 20)
    batcher.complete(batcher.take(0.0), 1.0)
    assert batcher.idle
