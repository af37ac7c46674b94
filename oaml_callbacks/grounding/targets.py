"""What counts as the right answer: a box, a polygon, a point with a tolerance, a numbered mark, or a refusal.

All coordinates are shares of the screen: x from the left over its width, y from the top over its height. Edges count,
and numbers are compared as the floats they are, as the evaluators of ScreenSpot and its successors do.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from .actions import Action, Point

Box = tuple[float, float, float, float]
"""`(left, top, right, bottom)` as shares of the screen."""

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
    """A box: a click in it, edges included, is right.

    Args:
        left: Share of the screen's width, as `right`.
        top: Share of its height, as `bottom`.

    Raises:
        ValueError: Not four finite numbers, left over right or top over bottom, no area, or all of it off the screen.
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

    Args:
        points: Its corners in order, three at least.

    Raises:
        ValueError: Fewer than three corners, numbers that aren't finite, no area, or all of it off the screen.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise ValueError(f"a polygon needs three corners at least, found {len(self.points)}")
        _check_numbers("A polygon", [number for point in self.points for number in point])
        _check_extent(self.box)

    def hit(self, action: Action) -> bool:
        """Whether the click lies inside the polygon (even-odd rule) or on its edge."""
        if action.point is None:
            return False
        x, y = action.point
        inside = False
        for (x1, y1), (x2, y2) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            across = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
            if across == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
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


def _check_numbers(what: str, numbers: tuple[float, ...] | list[float]) -> None:
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
        raise ValueError(f"{what.lower()} must be finite numbers, found {list(numbers)}")


def _check_extent(box: Box) -> None:
    left, top, right, bottom = box
    shown = [left, top, right, bottom]
    if left == right or top == bottom:
        raise ValueError(f"the target {shown} has no area, so hardly any click could hit it")
    if right < 0 or bottom < 0 or left > 1 or top > 1:
        raise ValueError(
            f"the target {shown} is off the screen, which is 0-1; pixels must be divided by width and height"
        )
