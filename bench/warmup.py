"""What the warm-up's forecasts are worth, on made-up habits: precision and recall of loads ahead, and calibration.

    .venv/bin/python bench/warmup.py [--seeds 10]

Eight weeks of hours in which a model was used or not; every hour of the last two is forecast from those before it.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fastembed.inference.serving.warmup.forecast import DAY_H, WEEK_H, Past, chance

WEEKS, TESTED = 8, 2
ABOVE = 0.7
Habit = Callable[[int, bool], float]
"""Takes an hour and whether the last one was used, returns the probability of use."""

HABITS: dict[str, Habit] = {
    "office hours, 0.9": lambda hour, _: 0.9 if hour % WEEK_H < 5 * DAY_H and 9 <= hour % DAY_H < 17 else 0.03,
    "at night, 0.97": lambda hour, _: 0.97 if hour % DAY_H == 2 else 0.005,
    "evenings, 0.8": lambda hour, _: 0.8 if 19 <= hour % DAY_H < 22 else 0.05,
    "Monday mornings, 0.95": lambda hour, _: 0.95 if hour % WEEK_H in (9, 10) else 0.01,
    "sessions of hours": lambda _, last: 0.85 if last else 0.04,
    "any time, 0.4": lambda _, __: 0.4,
    "rarely, 0.08": lambda _, __: 0.08,
}


@dataclass
class Score:
    """Forecasts and what came of them."""

    pairs: list[tuple[float, bool]] = field(default_factory=list)

    def line(self) -> str:
        """Return precision and recall of loads ahead, and the hours in which one was used."""
        loaded = [came for said, came in self.pairs if said > ABOVE]
        used = [said > ABOVE for said, came in self.pairs if came]
        precision = f"{sum(loaded) / len(loaded):10.2f}" if loaded else f"{'-':>10}"
        return f"{precision}{sum(used) / len(used):8.2f}{len(loaded):8}{len(used):8}"

    def calibration(self) -> Iterator[str]:
        """Yield, for each tenth, how often it was forecast, the mean forecast, and how often it came true."""
        for tenth in range(10):
            found = [(said, came) for said, came in self.pairs if min(9, int(said * 10)) == tenth]
            if found:
                said, came = (sum(column) / len(found) for column in zip(*found, strict=True))
                yield f"{tenth / 10:.1f} to {tenth / 10 + 0.1:.1f}{len(found):8}{said:8.2f}{came:8.2f}"


def hours_of(habit: Habit, seed: int) -> list[int]:
    """Return the hours of eight weeks in which the model was used."""
    dice = random.Random(seed)  # noqa: S311 - a simulation
    hours: list[int] = []
    for hour in range(WEEKS * WEEK_H):
        if dice.random() < habit(hour, bool(hours) and hours[-1] == hour - 1):
            hours.append(hour)
    return hours


def backtest(habit: Habit, seeds: int) -> Score:
    """Forecast the last two weeks, an hour at a time."""
    score = Score()
    for seed in range(seeds):
        hours = hours_of(habit, seed)
        known = frozenset(hours)
        for hour in range((WEEKS - TESTED) * WEEK_H, WEEKS * WEEK_H):
            past = Past(range(hour), [at for at in hours if at < hour])
            score.pairs.append((chance(past, hour), hour in known))
    return score


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    every = Score()
    print(f"{'habit':<24} precision  recall  loaded    used   hours, {seeds} models of each habit")
    for name, habit in HABITS.items():
        score = backtest(habit, seeds)
        every.pairs += score.pairs
        print(f"{name:<24}{score.line()}", flush=True)
    print(f"{'all':<24}{every.line()}\n\nforecast     hours    said    came")
    print("\n".join(every.calibration()))


if __name__ == "__main__":
    main()
