"""Graded samples for tests, with small drawn pictures of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PIL import Image

from oaml_callbacks import GroundingEvaluator
from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.metrics import GradedSample, GroundingReport, grade
from oaml_callbacks.grounding.ranks import EvaluationFailed
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget, Target

TARGET = BoxTarget(0.4, 0.4, 0.6, 0.5)
INSIDE, OUTSIDE = (0.5, 0.45), (0.8, 0.2)


def picture(number: int = 0, size: tuple[int, int] = (64, 36)) -> Image.Image:
    """A picture of one colour, another for each number."""
    return Image.new("RGB", size, (number * 16 % 256, number * 40 % 256, 90))


def graded(
    number: int = 0,
    point: tuple[float, float] | None = INSIDE,
    *,
    target: Target = TARGET,
    image: Any = None,
    answer: str = "an answer",
    action: Action | None = None,
    **options: Any,
) -> GradedSample:
    """Sample `number`, answered with a click at `point`, or unreadably."""
    sample = GroundingSample(
        id=f"sample-{number}",
        image=image or picture(number),
        messages=({"role": "user", "content": f"Click {number}."},),
        target=target,
    )
    read = action or (Action(status="unreadable") if point is None else Action("click", point))
    return grade(sample, answer, read, **options)


def report(rows: Iterable[GradedSample]) -> GroundingReport:
    """An evaluation of one second."""
    return GroundingReport(tuple(rows), skipped=0, seconds=1.0)


def evaluation(count: int, wrong: Iterable[int] = ()) -> GroundingReport:
    """Samples 0 to `count`, those in `wrong` clicked beside their target."""
    missed = set(wrong)
    return report(graded(number, OUTSIDE if number in missed else INSIDE) for number in range(count))


class Told(GroundingEvaluator):
    """Gives the evaluation that it is told to give, or fails as it is told to."""

    def __init__(self, outcome: GroundingReport | EvaluationFailed, **options: Any) -> None:
        rows = outcome.rows if isinstance(outcome, GroundingReport) else (graded(),)
        super().__init__([row.sample for row in rows], progress=False, **options)
        self.outcome = outcome

    def evaluate(self, model: Any, processor: Any = None) -> GroundingReport:
        if isinstance(self.outcome, EvaluationFailed):
            raise self.outcome
        return self.outcome
