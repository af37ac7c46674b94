"""Hits, distances, and the metrics over graded samples."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from oaml_callbacks.grounding import GroundingReport, GroundingSample, grade, grounding_metrics, parse_action
from oaml_callbacks.grounding.metrics import GradedSample, hits

BOX = (0.25, 0.5, 0.75, 1.0)


def graded(answer: str, box: tuple[float, float, float, float] = BOX) -> GradedSample:
    sample = GroundingSample("s", Path("s.png"), ({"role": "user", "content": "Click."},), box)
    return grade(sample, answer, parse_action(answer))


@pytest.mark.parametrize("point", [(0.25, 0.5), (0.75, 1.0), (0.25, 1.0), (0.75, 0.5), (0.5, 0.75)])
def test_all_four_edges_count_as_inside(point: tuple[float, float]) -> None:
    assert hits(point, BOX)


@pytest.mark.parametrize("point", [(0.2499, 0.75), (0.7501, 0.75), (0.5, 0.4999), (0.5, 1.0001)])
def test_just_outside_is_outside(point: tuple[float, float]) -> None:
    assert not hits(point, BOX)


def test_distance_is_euclidean_from_the_click_to_the_boxs_centre() -> None:
    row = graded("CLICK(x=0.2, y=0.35)")
    assert row.distance == pytest.approx(0.5)  # 0.3 and 0.4 from (0.5, 0.75)
    assert not row.correct


@pytest.mark.parametrize("answer", ["no idea", "Action: WAIT()", 'Action: TYPE(text="x")'])
def test_anything_but_a_click_is_wrong_and_has_no_distance(answer: str) -> None:
    assert graded(answer, box=(0, 0, 1, 1)).correct is False
    assert graded(answer).distance is None


def test_unreadable_answers_stay_in_the_denominator_and_out_of_the_distance() -> None:
    rows = [graded("CLICK(x=0.5, y=0.75)"), graded("CLICK(x=0.2, y=0.35)"), graded("?"), graded("?")]
    assert grounding_metrics(rows) == {
        "grounding_accuracy": 0.25,
        "grounding_distance": pytest.approx(0.25),
        "grounding_parsed": 0.5,
        "grounding_correct": 1,
        "grounding_samples": 4,
    }


def test_without_any_readable_click_the_distance_is_infinite() -> None:
    assert grounding_metrics([graded("?")])["grounding_distance"] == math.inf


def test_a_click_off_the_screen_is_a_miss_with_its_true_distance() -> None:
    row = graded("CLICK(x=480, y=0.75)")
    assert not row.correct
    assert row.distance == pytest.approx(479.5)


def test_no_samples_have_no_accuracy() -> None:
    with pytest.raises(ValueError, match="no accuracy"):
        grounding_metrics([])


def test_a_report_tells_its_cost_and_what_was_left_out() -> None:
    metrics = GroundingReport((graded("?"),) * 3, skipped=2, seconds=1.5).metrics
    assert metrics["grounding_samples_per_second"] == 2
    assert metrics["grounding_seconds"] == 1.5
    assert metrics["grounding_skipped"] == 2
    assert "grounding_skipped" not in GroundingReport((graded("?"),), skipped=0, seconds=1.0).metrics
