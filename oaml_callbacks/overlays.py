"""A graded sample's target and click as box overlays, as W&B draws them over a picture."""

from __future__ import annotations

from typing import Any

from .clean_text import one_line
from .grounding.metrics import GradedSample
from .grounding.targets import Box, PointTarget
from .row_text import on_screen

HUMAN, PREDICTED = 0, 1
CLASSES = {HUMAN: "human", PREDICTED: "predicted"}

MARKERS = {HUMAN: 0.008, PREDICTED: 0.012}
"""Half the side of the little square around a point, as a share of the picture's longer side: 10 and 15 pixels of
1280. A click's is the larger, so that it doesn't hide the target's point under it."""


def overlays(row: GradedSample, size: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """The two sets of boxes, each of which can be switched off: `human`, the target; `predicted`, the click.

    W&B has boxes and no points, so a point is a little square with the point in its middle. Boxes are cut to the
    picture, and what lies off it has none: there is no place to draw it at that would be true.

    Args:
        row: The sample.
        size: Width and height of its picture; their ratio alone matters.

    Returns:
        What `wandb.Image(boxes=...)` takes: coordinates are shares of the picture, 0-1.
    """
    target, action = row.sample.target, row.action
    human, predicted = [], []
    if target.box is not None:
        human.append(_box(target.box, HUMAN, "within tolerance" if isinstance(target, PointTarget) else "target"))
    if target.point is not None and on_screen(target.point):
        human.append(_marker(target.point, size, HUMAN, "target point"))
    if action.box is not None and _overlaps_screen(action.box):
        predicted.append(_box(action.box, PREDICTED, "answered box"))
    if action.point is not None and on_screen(action.point):
        predicted.append(_marker(action.point, size, PREDICTED, one_line(action.kind or "click", 100)))
    return {
        "human": {"box_data": human, "class_labels": CLASSES},
        "predicted": {"box_data": predicted, "class_labels": CLASSES},
    }


def _marker(point: tuple[float, float], size: tuple[int, int], class_id: int, caption: str) -> dict[str, Any]:
    across, down = (MARKERS[class_id] * max(size) / side for side in size)
    return _box((point[0] - across, point[1] - down, point[0] + across, point[1] + down), class_id, caption)


def _overlaps_screen(box: Box) -> bool:
    left, top, right, bottom = box
    return left <= 1 and top <= 1 and right >= 0 and bottom >= 0


def _box(box: Box, class_id: int, caption: str) -> dict[str, Any]:
    left, top, right, bottom = (min(max(float(edge), 0.0), 1.0) for edge in box)
    position = {"minX": left, "minY": top, "maxX": right, "maxY": bottom}
    return {"position": position, "class_id": class_id, "box_caption": caption}
