"""Boxes on a page: points (1/72 inch), origin at the top left, y grows downwards."""

from collections.abc import Iterable
from typing import NamedTuple


class Box(NamedTuple):
    """An axis-parallel rectangle: left, top, right, bottom in points."""

    l: float  # noqa: E741 - the field's own short names (docling, PDF) read best here
    t: float
    r: float
    b: float

    @property
    def width(self) -> float:
        """Horizontal extent in points."""
        return self.r - self.l

    @property
    def height(self) -> float:
        """Vertical extent in points."""
        return self.b - self.t

    @property
    def area(self) -> float:
        """Area in square points, 0 for an inverted box."""
        return max(0.0, self.r - self.l) * max(0.0, self.b - self.t)

    def grown(self, dx: float, dy: float | None = None) -> "Box":
        """Return the box with `dx` more on the left and right, `dy` (or `dx`) more above and below."""
        dy = dx if dy is None else dy
        return Box(self.l - dx, self.t - dy, self.r + dx, self.b + dy)

    def mirrored(self, width: float) -> "Box":
        """Return the box as in a mirror `width` wide: as far from the left as it was from the right."""
        return Box(width - self.r, self.t, width - self.l, self.b)

    def share_inside(self, other: "Box") -> float:
        """Return which share of this box (0 to 1) lies inside `other`; a flat box counts by its extent."""
        w = min(self.r, other.r) - max(self.l, other.l)
        h = min(self.b, other.b) - max(self.t, other.t)
        if w < 0 or h < 0:
            return 0.0
        return (w / self.width if self.width > 0 else 1.0) * (h / self.height if self.height > 0 else 1.0)

    def touches(self, other: "Box") -> bool:
        """Whether the boxes share at least a point."""
        return self.l <= other.r and other.l <= self.r and self.t <= other.b and other.t <= self.b


def enclosing(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around all boxes (at least one)."""
    ls, ts, rs, bs = zip(*boxes, strict=True)
    return Box(min(ls), min(ts), max(rs), max(bs))


def x_overlap(a: Box, b: Box) -> float:
    """Return how many points the two boxes share horizontally (negative: the gap between them)."""
    return min(a.r, b.r) - max(a.l, b.l)


def y_overlap(a: Box, b: Box) -> float:
    """Return how many points the two boxes share vertically (negative: the gap between them)."""
    return min(a.b, b.b) - max(a.t, b.t)


def merged_boxes(boxes: Iterable[Box], reach: float) -> list[Box]:
    """Return the boxes with those that lie within `reach` points of each other merged, until none do."""
    done: list[Box] = []
    for box in sorted(boxes, key=lambda b: (b.t, b.l)):
        new = box
        changed = True
        while changed:
            changed = False
            for i, old in enumerate(done):
                if new.grown(reach).touches(old):
                    new = enclosing((new, old))
                    del done[i]
                    changed = True
                    break
        done.append(new)
    return done


def clustered(values: Iterable[float], reach: float) -> list[float]:
    """Return the means of the groups of values whose neighbours lie within `reach`, ascending."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= reach:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [sum(g) / len(g) for g in groups]
