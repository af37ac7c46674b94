"""Actions and targets -> hits, distances, and the metrics over all samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .. import keys
from .actions import Action
from .samples import Box, GroundingSample


@dataclass(frozen=True)
class GradedSample:
    """One sample, what the model answered, and how good that was.

    Args:
        sample: What was asked.
        answer: The model's text, as generated.
        action: The text, read.
        correct: The click lies in the target's box, edges included.
        distance: From the click to the box's centre: Euclidean, x over the screen's width and y over its height.
            `None` when the answer has no readable click.
    """

    sample: GroundingSample
    answer: str
    action: Action
    correct: bool
    distance: float | None


def hits(point: tuple[float, float], box: Box) -> bool:
    """Whether a click at `point` lies in `box`; all four edges count (the rule of ScreenSpot and its successors)."""
    x, y = point
    left, top, right, bottom = box
    return left <= x <= right and top <= y <= bottom


def grade(sample: GroundingSample, answer: str, action: Action) -> GradedSample:
    """Grade one answer against its sample's box. Anything but a readable click is wrong."""
    if action.kind != "click" or action.point is None:
        return GradedSample(sample, answer, action, correct=False, distance=None)
    left, top, right, bottom = sample.bbox
    centre = ((left + right) / 2, (top + bottom) / 2)
    return GradedSample(
        sample, answer, action, correct=hits(action.point, sample.bbox), distance=math.dist(action.point, centre)
    )


@dataclass(frozen=True)
class GroundingReport:
    """One evaluation: a graded row per sample, and the metrics over them.

    Args:
        rows: One per sample that could be asked, in the samples' order.
        skipped: Samples left out because their picture is missing or broken.
        seconds: Wall time of the evaluation.
    """

    rows: tuple[GradedSample, ...]
    skipped: int
    seconds: float

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by their plain names (`grounding_accuracy`, …), as README's table describes them."""
        metrics = grounding_metrics(self.rows)
        metrics[keys.GROUNDING_SECONDS] = self.seconds
        metrics[keys.GROUNDING_SAMPLES_PER_SECOND] = len(self.rows) / self.seconds if self.seconds else 0.0
        if self.skipped:
            metrics[keys.GROUNDING_SKIPPED] = self.skipped
        return metrics


def grounding_metrics(rows: Sequence[GradedSample]) -> dict[str, float]:
    """Accuracy, distance, readable share and counts over graded samples.

    The accuracy's denominator is all of `rows`. The distance is the mean over readable clicks, and infinite without
    any: it stays comparable that way (`metric_for_best_model`), where NaN would win or lose by accident.

    Raises:
        ValueError: `rows` is empty: no share of nothing is a number.
    """
    if not rows:
        raise ValueError("No sample could be graded, so there is no accuracy. Check the samples' pictures.")
    distances = [row.distance for row in rows if row.distance is not None]
    correct = sum(row.correct for row in rows)
    return {
        keys.GROUNDING_ACCURACY: correct / len(rows),
        keys.GROUNDING_DISTANCE: math.fsum(distances) / len(distances) if distances else math.inf,
        keys.GROUNDING_PARSED: len(distances) / len(rows),
        keys.GROUNDING_CORRECT: correct,
        keys.GROUNDING_SAMPLES: len(rows),
    }
