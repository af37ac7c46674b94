"""Graded answers -> the metrics over all samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .. import keys
from ..clean_text import one_line
from ..wilson import wilson_interval
from .actions import Action
from .samples import GroundingSample
from .targets import Box

MAX_GROUPS = 100
"""Groups that get an accuracy of their own; the largest, where there are more."""

MAX_GROUP_NAME = 100
"""Characters of a group's name in a metric's; the data may call its groups anything."""

Outcome = Literal["correct", "unreadable", "near", "wrong_side", "elsewhere", "no_place"]
"""How an answer ended: right; not readable; within one size of the target beside it; on another half of the screen;
anywhere else; or readable, but naming no place where one was to be named (or the reverse: a click where refusing was
right)."""


@dataclass(frozen=True)
class GradedSample:
    """One sample, what the model answered, and how good that was.

    Args:
        sample: What was asked.
        answer: The model's text, as generated.
        action: The text, read.
        correct: Whether the target counts it as right.
        distance: From the click to the target's point: Euclidean, x over the screen's width and y over its height.
            `None` when the answer or the target has no place.
        resized_size: `(width, height)` in pixels of the picture as the model saw it, where known.
        stopped: Whether the answer came to its end; `False`: it was cut off at `max_new_tokens`.
    """

    sample: GroundingSample
    answer: str
    action: Action
    correct: bool
    distance: float | None
    resized_size: tuple[int, int] | None = None
    stopped: bool = True

    def __init__(  # noqa: PLR0917 - as the dataclass would make it, at a third of the time
        self,
        sample: GroundingSample,
        answer: str,
        action: Action,
        correct: bool,
        distance: float | None,
        resized_size: tuple[int, int] | None = None,
        stopped: bool = True,
    ) -> None:
        own = self.__dict__
        own["sample"] = sample
        own["answer"] = answer
        own["action"] = action
        own["correct"] = correct
        own["distance"] = distance
        own["resized_size"] = resized_size
        own["stopped"] = stopped

    @property
    def outcome(self) -> Outcome:
        """How the answer ended; the counts of these say *how* a model fails."""
        if self.correct:
            return "correct"
        if self.action.status == "unreadable":
            return "unreadable"
        target, point = self.sample.target, self.action.point
        if point is None or target.box is None:
            return "no_place"
        if _is_near(point, target.box):
            return "near"
        left, top, right, bottom = target.box
        centre = ((left + right) / 2, (top + bottom) / 2)
        opposite = any((a - 0.5) * (b - 0.5) < 0 for a, b in zip(point, centre, strict=True))
        return "wrong_side" if opposite else "elsewhere"


def _is_near(point: tuple[float, float], box: Box) -> bool:
    """Whether a click is within one box size of the box: its width to the sides, its height above and below."""
    x, y = point
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    return left - width <= x <= right + width and top - height <= y <= bottom + height


def grade(
    sample: GroundingSample,
    answer: str,
    action: Action,
    *,
    resized_size: tuple[int, int] | None = None,
    stopped: bool = True,
) -> GradedSample:
    """Grade one answer against its sample's target.

    What counts is where an answer points, whatever it does there: the benchmarks' own evaluators read the place alone.
    """
    target, point = sample.target, action.point
    distance = None
    if point is not None and (centre := target.point) is not None:
        distance = math.dist(point, centre)
    return GradedSample(sample, answer, action, target.hit(action), distance, resized_size, stopped)


@dataclass(frozen=True)
class GroundingReport:
    """One evaluation: a graded row per sample, and the metrics over them.

    Args:
        rows: One per sample that was asked, in the samples' order.
        skipped: Samples left out because their row, target or picture is missing or broken.
        seconds: Wall time of the evaluation.
        unreached: Samples that the time limit left unasked.
        macro: The groups over whose cells the benchmark's paper averages.
    """

    rows: tuple[GradedSample, ...]
    skipped: int
    seconds: float
    unreached: int = 0
    macro: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by their plain names (`grounding_accuracy`, …), as README's table describes them."""
        metrics = grounding_metrics(self.rows, macro=self.macro)
        metrics[keys.GROUNDING_SECONDS] = self.seconds
        metrics[keys.GROUNDING_SAMPLES_PER_SECOND] = len(self.rows) / self.seconds if self.seconds else 0.0
        if self.skipped:
            metrics[keys.GROUNDING_SKIPPED] = self.skipped
        if self.unreached:
            metrics[keys.GROUNDING_UNREACHED] = self.unreached
        return metrics

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many answers ended how."""
        return _outcomes(self.rows)

    @property
    def correct(self) -> dict[str, bool]:
        """Which samples were right, by id."""
        return {row.sample.id: row.correct for row in self.rows}

    def changes(self, previous: GroundingReport | Mapping[str, bool]) -> tuple[list[GradedSample], list[GradedSample]]:
        """The samples that became right and those that became wrong since `previous`, in order.

        Args:
            previous: An evaluation, or its [`correct`]. Samples are told by their id; those that only one of the two
                evaluations reached are in neither list.
        """
        before = previous.correct if isinstance(previous, GroundingReport) else previous
        fixed = [row for row in self.rows if row.correct and before.get(row.sample.id) is False]
        broken = [row for row in self.rows if not row.correct and before.get(row.sample.id) is True]
        return fixed, broken


def grounding_metrics(rows: Sequence[GradedSample], *, macro: Sequence[str] = ()) -> dict[str, float]:
    """Accuracy with its interval, distance, readable share, counts and groups over graded samples.

    The accuracy's denominator is all of `rows`. The distance is the mean over readable clicks, and infinite without
    any: it stays comparable that way (`metric_for_best_model`), where NaN would win or lose by accident.

    Args:
        rows: Graded samples; one at least.
        macro: Group names, such as `("platform", "type")`; given, the mean of the accuracies of their cells is there
            too.

    Raises:
        ValueError: `rows` is empty: no share of nothing is a number.
    """
    if not rows:
        raise ValueError("No sample could be graded, so there is no accuracy. Check the samples' pictures.")
    distances = [row.distance for row in rows if row.distance is not None]
    correct = sum(row.correct for row in rows)
    low, high = wilson_interval(correct, len(rows))
    metrics: dict[str, float] = {
        keys.GROUNDING_ACCURACY: correct / len(rows),
        keys.GROUNDING_ACCURACY_LOW: low,
        keys.GROUNDING_ACCURACY_HIGH: high,
        keys.GROUNDING_DISTANCE: math.fsum(distances) / len(distances) if distances else math.inf,
        keys.GROUNDING_PARSED: sum(row.action.answers_where for row in rows) / len(rows),
        keys.GROUNDING_CORRECT: correct,
        keys.GROUNDING_SAMPLES: len(rows),
    }
    outcomes = _outcomes(rows)
    for outcome in ("near", "wrong_side", "elsewhere", "unreadable"):
        metrics[f"{keys.GROUNDING_MISSES}/{outcome}"] = outcomes[outcome]
    if macro:
        metrics[keys.GROUNDING_ACCURACY_MACRO] = _macro_average(rows, macro)
    metrics |= {f"{keys.GROUNDING_ACCURACY}/{name}": value for name, value in _by_group(rows).items()}
    return metrics


def _outcomes(rows: Sequence[GradedSample]) -> dict[Outcome, int]:
    counts: dict[Outcome, int] = {
        "correct": 0,
        "unreadable": 0,
        "near": 0,
        "wrong_side": 0,
        "elsewhere": 0,
        "no_place": 0,
    }
    for row in rows:
        counts[row.outcome] += 1
    return counts


def _macro_average(rows: Sequence[GradedSample], names: Sequence[str]) -> float:
    cells: dict[tuple[str | None, ...], list[bool]] = {}
    for row in rows:
        cells.setdefault(tuple(row.sample.groups.get(name) for name in names), []).append(row.correct)
    return math.fsum(sum(cell) / len(cell) for cell in cells.values()) / len(cells)


def _by_group(rows: Sequence[GradedSample]) -> dict[str, float]:
    """Accuracy by group, in order of names. A value that two groupings share is told apart: `platform=web`."""
    members: dict[tuple[str, str], list[bool]] = {}
    for row in rows:
        for grouping, value in row.sample.groups.items():
            members.setdefault((grouping, value), []).append(row.correct)
    # The largest, and not the first, so that it doesn't depend on the samples' order.
    kept = sorted(members, key=lambda group: (-len(members[group]), group))[:MAX_GROUPS]
    values = [value for _, value in kept]
    named = {
        one_line(value if values.count(value) == 1 else f"{grouping}={value}", MAX_GROUP_NAME): sum(hits) / len(hits)
        for (grouping, value) in kept
        for hits in [members[grouping, value]]
    }
    return dict(sorted(named.items()))
