"""Target and click as boxes: where they are, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.targets import BoxTarget, MarkTarget, PointTarget, RefusalTarget
from oaml_callbacks.overlays import overlays
from oaml_callbacks.row_text import action_text

from .graded import INSIDE, graded

SIZE = (1280, 720)


def boxes(row: Any, name: str) -> dict[str, tuple[float, ...]]:
    drawn = overlays(row, SIZE)[name]
    assert {box["class_id"] for box in drawn["box_data"]} <= {0 if name == "human" else 1}
    assert drawn["class_labels"] == {0: "human", 1: "predicted"}
    return {
        box["box_caption"]: tuple(box["position"][edge] for edge in ("minX", "minY", "maxX", "maxY"))
        for box in drawn["box_data"]
    }


def test_the_target_and_the_click_are_drawn_where_they_are_and_points_as_squares() -> None:
    row = graded(point=(0.75, 0.25), target=BoxTarget(0.4, 0.4, 0.6, 0.5))
    human, predicted = boxes(row, "human"), boxes(row, "predicted")
    assert human["target"] == (0.4, 0.4, 0.6, 0.5)
    for (left, top, right, bottom), (x, y) in (
        (human["target point"], (0.5, 0.45)),
        (predicted["click"], (0.75, 0.25)),
    ):
        assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((x, y))
        assert (right - left) * SIZE[0] == pytest.approx((bottom - top) * SIZE[1])
        assert 16 <= (right - left) * SIZE[0] <= 32


def test_a_click_on_the_targets_point_leaves_it_to_be_seen() -> None:
    row = graded(point=INSIDE)
    (left, _, right, _), (inner_left, _, inner_right, _) = (
        boxes(row, "predicted")["click"],
        boxes(row, "human")["target point"],
    )
    assert left < inner_left < inner_right < right


@pytest.mark.parametrize("point", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_at_the_edges_boxes_are_cut_to_the_picture(point: tuple[float, float]) -> None:
    row = graded(point=point, target=BoxTarget(-0.1, 0.9, 0.1, 1.1))
    for name in ("human", "predicted"):
        for edges in boxes(row, name).values():
            assert all(0 <= edge <= 1 for edge in edges)
            assert edges[0] < edges[2]
            assert edges[1] < edges[3]
    left, top, right, bottom = boxes(row, "predicted")["click"]
    assert left <= point[0] <= right
    assert top <= point[1] <= bottom


@pytest.mark.parametrize("point", [(4.2, 0.7), (0.5, -0.001), (float("nan"), 0.5), (float("inf"), 0.5)])
def test_a_click_off_the_screen_is_not_drawn_and_said_in_words(point: tuple[float, float]) -> None:
    row = graded(point=point)
    assert boxes(row, "predicted") == {}
    assert boxes(row, "human")
    assert action_text(row.action).endswith("off the screen")


def test_an_answered_box_is_drawn_around_its_centre() -> None:
    action = Action("click", (0.3, 0.3), box=(0.2, 0.2, 0.4, 0.4))
    assert list(boxes(graded(action=action), "predicted")) == ["answered box", "click"]
    beyond = Action("click", (1.5, 1.5), box=(1.2, 1.2, 1.8, 1.8))
    assert boxes(graded(action=beyond), "predicted") == {}


@pytest.mark.parametrize(
    ("target", "captions"),
    [
        (PointTarget(0.5, 0.5), ["within tolerance", "target point"]),
        (MarkTarget(3), []),
        (RefusalTarget(), []),
    ],
)
def test_targets_without_a_box_draw_what_they_have(target: Any, captions: list[str]) -> None:
    assert list(boxes(graded(target=target), "human")) == captions
