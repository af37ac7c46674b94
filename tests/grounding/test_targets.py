"""What counts as right: edges, polygons, tolerances, marks and refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest

from oaml_callbacks.grounding import Action, BoxTarget, MarkTarget, PointTarget, PolygonTarget, RefusalTarget, Target

BOX = BoxTarget(0.25, 0.5, 0.75, 1.0)
# An L: the upper right quarter is missing.
L_SHAPE = PolygonTarget(((0.2, 0.2), (0.5, 0.2), (0.5, 0.5), (0.8, 0.5), (0.8, 0.8), (0.2, 0.8)))


def click(x: float, y: float) -> Action:
    return Action(kind="click", point=(x, y))


@pytest.mark.parametrize("point", [(0.25, 0.5), (0.75, 1.0), (0.25, 1.0), (0.75, 0.5), (0.5, 0.75)])
def test_all_four_edges_of_a_box_count(point: tuple[float, float]) -> None:
    assert BOX.hit(click(*point))


@pytest.mark.parametrize("point", [(0.2499, 0.75), (0.7501, 0.75), (0.5, 0.4999), (0.5, 1.0001), (math.nan, 0.75)])
def test_just_outside_a_box_is_outside(point: tuple[float, float]) -> None:
    assert not BOX.hit(click(*point))


@pytest.mark.parametrize(
    "point", [(0.3, 0.3), (0.7, 0.7), (0.2, 0.2), (0.2, 0.5), (0.65, 0.5), (0.5, 0.3), (0.8, 0.8)]
)
def test_inside_a_polygon_and_on_its_edges(point: tuple[float, float]) -> None:
    assert L_SHAPE.hit(click(*point))


@pytest.mark.parametrize("point", [(0.6, 0.3), (0.1, 0.2), (0.9, 0.5), (0.5, 0.9), (0.51, 0.49), (0.9, 0.2)])
def test_outside_a_polygon(point: tuple[float, float]) -> None:
    assert not L_SHAPE.hit(click(*point))


def test_a_polygons_box_and_point() -> None:
    assert L_SHAPE.box == (0.2, 0.2, 0.8, 0.8)
    assert L_SHAPE.point == (0.5, 0.5)


def test_a_point_takes_clicks_nearer_than_its_tolerance() -> None:
    target = PointTarget(0.5, 0.5, tolerance=0.125)
    assert target.hit(click(0.5, 0.6249))
    assert not target.hit(click(0.5, 0.625))  # openadapt-ml: strictly less
    assert target.box == (0.375, 0.375, 0.625, 0.625)
    assert PointTarget(0.5, 0.5).tolerance == 0.05


def test_a_mark_is_hit_by_its_number() -> None:
    assert MarkTarget(3).hit(Action(kind="click", mark=3))
    assert not MarkTarget(3).hit(Action(kind="click", mark=4))
    assert not MarkTarget(3).hit(click(0.5, 0.5))


def test_refusing_is_right_where_nothing_fits_and_nowhere_else() -> None:
    refusal = Action(kind="refusal", status="refusal")
    assert RefusalTarget().hit(refusal)
    assert not RefusalTarget().hit(click(0.5, 0.5))
    assert not any(target.hit(refusal) for target in (BOX, L_SHAPE, PointTarget(0.5, 0.5), MarkTarget(1)))


@pytest.mark.parametrize("target", [BOX, L_SHAPE, PointTarget(0.5, 0.5), MarkTarget(1), RefusalTarget()])
def test_an_answer_that_cannot_be_read_hits_nothing(target: Target) -> None:
    assert not target.hit(Action(status="unreadable"))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: BoxTarget(0.5, 0, 0.4, 1), "left ≤ right"),
        (lambda: BoxTarget(0.5, 0, 0.5, 1), "no area"),
        (lambda: BoxTarget(420, 730, 500, 760), "off the screen"),
        (lambda: BoxTarget(0, 0, 300, 40), "far off the screen"),
        (lambda: BoxTarget(0, 0, math.nan, 1), "finite"),
        (lambda: BoxTarget(0, 0, 10**400, 1), "finite"),
        (lambda: PolygonTarget(((0, 0), (1, 1))), "three corners"),
        (lambda: PolygonTarget(((0, 0), (0.5, 0), (1, 0))), "no area"),
        (lambda: PolygonTarget(((0, 0), (0.5, 0.5), (0.75, 0.75), (1, 1))), "has no area"),
        (lambda: PointTarget(0.5, 0.5, tolerance=0), "must be positive"),
        (lambda: PointTarget(420, 730), "off the screen"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_box_that_sticks_out_of_the_screen_is_kept() -> None:
    assert BoxTarget(-0.01, 0.5, 0.1, 1.02).hit(click(0, 1))
