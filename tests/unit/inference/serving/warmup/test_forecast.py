"""How likely a model is used in an hour: back-tested on habits that are known, since they are made up."""

import random
from collections import defaultdict

import pytest

from fastembed.inference.serving.warmup.forecast import DAY_H, WEEK_H, Past, chance

WEEKS = 8


def office(hour):
    return 0.9 if hour % WEEK_H < 5 * DAY_H and 9 <= hour % DAY_H < 17 else 0.03


def night(hour):
    return 0.97 if hour % DAY_H == 2 else 0.005


def evening(hour):
    return 0.8 if 19 <= hour % DAY_H < 22 else 0.05


def rare(_hour):
    return 0.08


def often(_hour):
    return 0.4


HABITS = (office, night, evening, rare, often)


def used(habit, seed=1):
    dice = random.Random(seed)
    return [hour for hour in range(WEEKS * WEEK_H) if dice.random() < habit(hour)]


def forecast(hours, hour):
    return chance(Past(range(hour), [at for at in hours if at < hour]), hour)


@pytest.fixture(scope="module")
def backtest():
    """Return (habit, forecast, whether it was used) for every third hour of the eighth week."""
    found = []
    for habit in HABITS:
        hours = used(habit)
        known = frozenset(hours)
        found += [
            (habit, forecast(hours, hour), hour in known) for hour in range((WEEKS - 1) * WEEK_H, WEEKS * WEEK_H, 3)
        ]
    return found


def test_forecasts_come_true_as_often_as_they_say(backtest):
    bins = defaultdict(list)
    for _, said, came in backtest:
        bins[round(said, 1)].append((said, came))
    error = sum(abs(sum(said - came for said, came in pairs)) for pairs in bins.values()) / len(backtest)
    assert error < 0.05


def test_what_is_loaded_ahead_is_mostly_used_and_what_has_its_hours_is_mostly_loaded(backtest):
    above = [came for _, said, came in backtest if said > 0.7]
    assert sum(above) / len(above) > 0.8
    habitual = [said > 0.7 for habit, said, came in backtest if came and habit in (office, night)]
    assert sum(habitual) / len(habitual) > 0.7


def test_without_a_habit_nothing_is_loaded_ahead(backtest):
    above = [said > 0.7 for habit, said, _ in backtest if habit in (rare, often)]
    assert sum(above) / len(above) < 0.02


def test_no_past_no_forecast():
    assert chance(Past([], []), 5) == 0
    assert chance(Past(range(100), []), 100) == 0


def test_hours_without_a_server_say_nothing():
    """Monday to Friday only, at ten: the days off must not count as days without use."""
    days = [day for day in range(28) if day % 7 < 5]
    past = Past([24 * day + hour for day in days for hour in range(8, 18)], [24 * day + 10 for day in days])
    assert chance(past, 28 * 24 + 10) > 0.7


def test_a_new_habit_is_learnt_and_an_old_one_forgotten():
    old = [24 * day + 8 for day in range(28)]
    new = [24 * day + 20 for day in range(28, 56)]
    past = Past(range(56 * 24), [*old, *new])
    assert chance(past, 56 * 24 + 8) < 0.4
    assert chance(past, 56 * 24 + 20) > 0.7


def test_use_in_the_last_hour_raises_the_forecast_where_use_comes_in_sessions():
    dice, hours, busy = random.Random(3), [], False
    for hour in range(6 * WEEK_H):
        busy = dice.random() < (0.85 if busy else 0.04)
        if busy:
            hours.append(hour)
    last = 6 * WEEK_H
    quiet = chance(Past(range(last), [hour for hour in hours if hour < last - 1]), last)
    busy_now = chance(Past(range(last), [*(hour for hour in hours if hour < last - 1), last - 1]), last)
    assert busy_now > 0.6
    assert quiet < 0.15
