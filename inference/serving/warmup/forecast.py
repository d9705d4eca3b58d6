"""How likely a model is used in an hour, from the hours in which it was used before. Pure.

Each question is a Beta-Binomial with the answer to a wider one as its prior: how often is the model used at all; at
this hour of the day; at this hour of a working day or of a weekend; in this hour of the week. An hour of three weeks
ago counts half. Few observations thus say what the wider question says, and many speak for themselves.

The recent trend corrects that: of the hours whose predecessor saw the model used (or not used), more or fewer may have
been hits than the habit said. The odds are multiplied by that ratio.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

DAY_H: Final = 24
WEEK_H: Final = 168
_HALF_LIFE_H: Final = 3 * WEEK_H
_STRENGTHS: Final = (4.0, 3.0, 3.0)
"""Hours of observation that a prior counts as: of the day, of the kind of day, of the week."""
_LEAST: Final = 0.01
_MOST: Final = 0.99
_CAUTION: Final = 4.0
"""Hours that the trend counts as if they had been what the habit says."""
_TREND: Final = (0.2, 8.0)
Question = tuple[str | int, ...]
Counts = defaultdict[Question, float]


@dataclass(frozen=True, slots=True)
class Past:
    """Hours are numbered without a gap, in local time; hour 0 is the first of a Monday.

    observed: those in which anything could have been used. used: those in which the model was.
    """

    observed: Collection[int]
    used: Collection[int]


def chance(past: Past, hour: int) -> float:
    """Return the probability that the model is used in `hour`, of which nothing is known yet; 0 without a past."""
    observed = [seen for seen in past.observed if seen < hour]
    if not observed or not past.used:
        return 0.0
    used = frozenset(past.used)
    seen_by, hits_by = _counted(observed, used, hour)

    habits = [_habit(seen_by, hits_by, of_week) for of_week in range(WEEK_H)]
    habit = habits[hour % WEEK_H]
    odds = habit / (1 - habit) * _trend(observed, used, hour, habits)
    return odds / (1 + odds)


def _habit(seen_by: Counts, hits_by: Counts, of_week: int) -> float:
    probability = (hits_by[()] + 0.5) / (seen_by[()] + 2.0)
    for key, strength in zip(_questions(of_week), _STRENGTHS, strict=True):
        probability = (strength * probability + hits_by[key]) / (strength + seen_by[key])
    return min(_MOST, max(_LEAST, probability))


def _questions(hour: int) -> tuple[Question, ...]:
    of_day, weekend = hour % DAY_H, hour % WEEK_H >= 5 * DAY_H
    return (("day", of_day), ("kind", weekend, of_day), ("week", hour % WEEK_H))


def _counted(observed: Iterable[int], used: frozenset[int], hour: int) -> tuple[Counts, Counts]:
    """Return what was observed and what was used by question, hours of long ago counting less."""
    seen_by: Counts = defaultdict(float)
    hits_by: Counts = defaultdict(float)
    for at in observed:
        weight = 0.5 ** ((hour - at) / _HALF_LIFE_H)
        for key in ((), *_questions(at)):
            seen_by[key] += weight
            if at in used:
                hits_by[key] += weight
    return seen_by, hits_by


def _trend(observed: Iterable[int], used: frozenset[int], hour: int, habits: Sequence[float]) -> float:
    """Return by how much the odds differ from the habit's after an hour like the last one."""
    seen = frozenset(observed)
    if hour - 1 not in seen:
        return 1.0
    alike = [at for at in seen if at - 1 in seen and (at - 1 in used) == (hour - 1 in used)]
    if not alike:
        return 1.0
    expected = sum(habits[at % WEEK_H] for at in alike) / len(alike)
    hits = sum(at in used for at in alike)
    odds = (hits + _CAUTION * expected) / (len(alike) - hits + _CAUTION * (1 - expected))
    return min(_TREND[1], max(_TREND[0], odds * (1 - expected) / expected))
