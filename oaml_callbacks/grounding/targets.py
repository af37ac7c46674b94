"""What counts as the right answer: a box, a polygon, a point with a tolerance, a numbered mark, or a refusal.

All coordinates are shares of the screen: x from the left over its width, y from the top over its height. Edges count,
and numbers are compared as the floats they are, as the evaluators of ScreenSpot and its successors do.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

from .actions import Action, Point

Box = tuple[float, float, float, float]
"""`(left, top, right, bottom)` as shares of the screen."""

_LARGEST = sys.float_info.max
_FARTHEST_OUT = 0.5
"""How far outside the screen a target's edge may be. Pixels taken for shares give boxes that reach hundreds of screens
out, which every click would hit."""

DEFAULT_TOLERANCE = 0.05
"""How far from a target's point a click may be, where there is no box: openadapt-ml 0.17.0's click tolerance."""


class Target(ABC):
    """What an answer is graded against."""

    @abstractmethod
    def hit(self, action: Action) -> bool:
        """Whether the answer is right. One that couldn't be read never is."""

    @property
    def point(self) -> Point | None:
        """Where distances are measured to: a box's centre; `None` if the target has no place."""
        return None

    @property
    def box(self) -> Box | None:
        """The target's extent, as a box; `None` if it has no place."""
        return None


@dataclass(frozen=True)
class BoxTarget(Target):
    """A box: a click in it, all four edges included, is right.

    So do the evaluators of ScreenSpot, ScreenSpot-Pro, OSWorld-G, UI-Vision and MMBench-GUI, whose sources the readers
    name. A box that sticks out of the screen a little is kept whole, as they keep it.

    Args:
        left: Share of the screen's width, as `right`.
        top: Share of its height, as `bottom`.

    Raises:
        ValueError: Not four finite numbers, left over right or top over bottom, no area, all of it off the screen, or
            an edge more than half a screen outside, as of numbers in another unit.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        _check_numbers("A box", (self.left, self.top, self.right, self.bottom))
        if self.left > self.right or self.top > self.bottom:
            raise ValueError(
                "a box must be [left, top, right, bottom] with left ≤ right and top ≤ bottom, found "
                f"{[self.left, self.top, self.right, self.bottom]}"
            )
        _check_extent((self.left, self.top, self.right, self.bottom))

    def hit(self, action: Action) -> bool:
        """Whether the click lies in the box."""
        if action.point is None:
            return False
        x, y = action.point
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    @property
    def point(self) -> Point:
        """The box's centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def box(self) -> Box:
        """The box."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class PolygonTarget(Target):
    """A polygon, such as OSWorld-G's: a click inside it or on its edge is right.

    OSWorld-G's own ray casting (`evaluation/eval.py`) is the same inside, and leaves out clicks that lie exactly on a
    right or lower edge.

    Args:
        points: Its corners in order, three at least.

    Raises:
        ValueError: Fewer than three corners, numbers that aren't finite, no area, or off the screen as for a box.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise ValueError(f"a polygon needs three corners at least, found {len(self.points)}")
        _check_numbers("A polygon", [number for point in self.points for number in point])
        _check_extent(self.box)
        first, others = self.points[0], self.points[1:]
        if all(_turn(first, a, b) == 0 for a, b in pairwise(others)):
            raise ValueError(f"the polygon {list(self.points)} is a line and has no area")

    def hit(self, action: Action) -> bool:
        """Whether the click lies inside the polygon (even-odd rule) or on its edge."""
        if action.point is None:
            return False
        x, y = action.point
        inside = False
        for (x1, y1), (x2, y2) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            on_line = _turn((x1, y1), (x2, y2), (x, y)) == 0
            if on_line and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
                return True
            if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                inside = not inside
        return inside

    @property
    def point(self) -> Point:
        """The centre of the box around the polygon."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def box(self) -> Box:
        """The box around the polygon."""
        xs, ys = zip(*self.points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True)
class PointTarget(Target):
    """A point where the target's extent is not known: a click nearer than the tolerance is right.

    Args:
        x: Share of the screen's width.
        y: Share of its height.
        tolerance: The largest distance that counts, x over width and y over height.

    Raises:
        ValueError: Numbers that aren't finite, a tolerance that isn't positive, or a point off the screen.
    """

    x: float
    y: float
    tolerance: float = DEFAULT_TOLERANCE

    def __post_init__(self) -> None:
        _check_numbers("A point and its tolerance", (self.x, self.y, self.tolerance))
        if self.tolerance <= 0:
            raise ValueError(f"a point's tolerance must be positive, found {self.tolerance}")
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1):
            raise ValueError(f"the point ({self.x:g}, {self.y:g}) is off the screen, which is 0-1")

    def hit(self, action: Action) -> bool:
        """Whether the click is within the tolerance (openadapt-ml: less than it)."""
        return action.point is not None and math.dist(action.point, self.point) < self.tolerance

    @property
    def point(self) -> Point:
        """The point."""
        return self.x, self.y

    @property
    def box(self) -> Box:
        """The box around the circle of right clicks."""
        return self.x - self.tolerance, self.y - self.tolerance, self.x + self.tolerance, self.y + self.tolerance


@dataclass(frozen=True)
class MarkTarget(Target):
    """A numbered mark on the screen (set-of-marks): an answer that names it is right. It has no place.

    Args:
        mark: The number.
    """

    mark: int

    def hit(self, action: Action) -> bool:
        """Whether the answer names this mark."""
        return action.mark == self.mark


@dataclass(frozen=True)
class RefusalTarget(Target):
    """Nothing on the screen fits the request: refusing is right, and every click is wrong (OSWorld-G)."""

    def hit(self, action: Action) -> bool:
        """Whether the answer refuses."""
        return action.status == "refusal"


def _turn(a: Point, b: Point, c: Point) -> float:
    """Twice the area of a triangle, with a sign for its turn: 0 if the three points lie on a line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _check_numbers(what: str, numbers: tuple[float, ...] | list[float]) -> None:
    if not all(isinstance(number, (int, float)) and -_LARGEST <= number <= _LARGEST for number in numbers):
        raise ValueError(f"{what.lower()} must be finite numbers, found {list(numbers)}")


def _check_extent(box: Box) -> None:
    left, top, right, bottom = box
    shown = [left, top, right, bottom]
    if left == right or top == bottom:
        raise ValueError(f"the target {shown} has no area, so hardly any click could hit it")
    outside = right < 0 or bottom < 0 or left > 1 or top > 1
    far_out = min(left, top) < -_FARTHEST_OUT or max(right, bottom) > 1 + _FARTHEST_OUT
    if outside or far_out:
        where = "off" if outside else "far off"
        raise ValueError(
            f"the target {shown} is {where} the screen, which is 0-1; pixels must be divided by width and height"
        )
