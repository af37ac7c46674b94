"""Hits, distances, and the metrics over graded samples."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from oaml_callbacks.grounding import (
    BoxTarget,
    GradedSample,
    GroundingReport,
    GroundingSample,
    MarkTarget,
    RefusalTarget,
    Target,
    grade,
    grounding_metrics,
    parse_action,
)
from oaml_callbacks.grounding.metrics import Outcome
from oaml_callbacks.wilson import wilson_interval

BOX = BoxTarget(0.25, 0.5, 0.75, 1.0)
HIT = "CLICK(x=0.5, y=0.75)"
MISS = "CLICK(x=0.2, y=0.35)"


def graded(answer: str, target: Target = BOX, *, name: str = "s", **groups: str) -> GradedSample:
    sample = GroundingSample(name, Path("s.png"), ({"role": "user", "content": "Click."},), target, groups)
    return grade(sample, answer, parse_action(answer))


def test_distance_is_euclidean_from_the_click_to_the_boxs_centre() -> None:
    row = graded("CLICK(x=0.2, y=0.35)")
    assert row.distance == pytest.approx(0.5)  # 0.3 and 0.4 from (0.5, 0.75)
    assert not row.correct


@pytest.mark.parametrize("answer", ["no idea", "Action: WAIT()", 'Action: TYPE(text="x")'])
def test_anything_but_a_click_is_wrong_and_has_no_distance(answer: str) -> None:
    assert graded(answer, BoxTarget(0, 0, 1, 1)).correct is False
    assert graded(answer).distance is None


def test_unreadable_answers_stay_in_the_denominator_and_out_of_the_distance() -> None:
    assert grounding_metrics([graded(HIT), graded(MISS), graded("?"), graded("?")]) == {
        "grounding_accuracy": 0.25,
        "grounding_accuracy_low": pytest.approx(0.0456, abs=1e-4),
        "grounding_accuracy_high": pytest.approx(0.6994, abs=1e-4),
        "grounding_distance": pytest.approx(0.25),
        "grounding_parsed": 0.5,
        "grounding_correct": 1,
        "grounding_samples": 4,
        "grounding_misses/near": 1,
        "grounding_misses/wrong_side": 0,
        "grounding_misses/elsewhere": 0,
        "grounding_misses/unreadable": 2,
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


@pytest.mark.parametrize(("correct", "total"), [(1, 10), (5, 10), (81, 128), (1272, 1272), (0, 7)])
def test_wilson_interval_holds_the_shares_that_the_score_test_does_not_reject(correct: int, total: int) -> None:
    # Its definition: at both ends the share lies 1.96 standard errors, of the end's own variance, from what was seen.
    for end in wilson_interval(correct, total):
        error = 1.959964 * math.sqrt(end * (1 - end) / total)
        assert abs(correct / total - end) == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_an_interval_of_nothing_or_of_more_than_all_is_refused(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="0 ≤ correct ≤ total"):
        wilson_interval(correct, total)


SMALL = BoxTarget(0.1, 0.1, 0.2, 0.2)


@pytest.mark.parametrize(
    ("answer", "target", "outcome"),
    [
        ("CLICK(x=0.1, y=0.2)", SMALL, "correct"),
        ("CLICK(x=0.3, y=0.0)", SMALL, "near"),  # just within one box size on both axes
        ("CLICK(x=0.31, y=0.2)", SMALL, "elsewhere"),
        ("CLICK(x=0.6, y=0.2)", SMALL, "wrong_side"),
        ("CLICK(x=0.2, y=0.6)", SMALL, "wrong_side"),
        ("CLICK(x=150, y=150)", SMALL, "wrong_side"),  # off the screen
        ("?", SMALL, "unreadable"),
        ("WAIT()", SMALL, "no_place"),
        ("CLICK(x=0.1, y=0.2)", RefusalTarget(), "no_place"),
        ("CLICK(x=0.1, y=0.2)", MarkTarget(3), "no_place"),
    ],
)
def test_how_an_answer_fails(answer: str, target: Target, outcome: Outcome) -> None:
    row = graded(answer, target)
    assert row.outcome == outcome
    report = GroundingReport((row,), skipped=0, seconds=1.0)
    assert report.outcomes[outcome] == sum(report.outcomes.values()) == 1


def test_accuracy_by_group_and_over_a_benchmarks_cells() -> None:
    rows = [
        graded(HIT, platform="web", type="icon"),
        graded(HIT, platform="web", type="icon"),
        graded(MISS, platform="web", type="text"),
        graded(HIT, platform="mobile", type="text"),
    ]
    metrics = grounding_metrics(rows, macro=("platform", "type"))
    assert metrics["grounding_accuracy"] == 0.75
    assert metrics["grounding_accuracy_macro"] == pytest.approx((1 + 0 + 1) / 3)
    groups = {name.partition("/")[2]: value for name, value in metrics.items() if "accuracy/" in name}
    assert groups == {"icon": 1.0, "mobile": 1.0, "text": 0.5, "web": pytest.approx(2 / 3)}


def test_a_name_that_two_groupings_share_is_told_apart() -> None:
    rows = [graded(HIT, platform="other", type="other"), graded(MISS, platform="web", type="other")]
    groups = {name.partition("/")[2]: value for name, value in grounding_metrics(rows).items() if "accuracy/" in name}
    assert groups == {"platform=other": 1.0, "type=other": 0.5, "web": 0.0}


def test_only_the_largest_groups_get_a_key() -> None:
    rows = [graded(HIT, app=f"app{i:03}") for i in range(140)] + [graded(MISS, app="app139")]
    groups = [name for name in grounding_metrics(rows) if "accuracy/" in name]
    assert len(groups) == 100
    assert "grounding_accuracy/app139" in groups


def test_what_became_right_and_what_became_wrong() -> None:
    before = GroundingReport((graded(HIT, name="a"), graded(MISS, name="b"), graded(MISS, name="c")), 0, 1.0)
    after = GroundingReport((graded("?", name="a"), graded(HIT, name="b"), graded(HIT, name="new")), 0, 1.0)
    fixed, broken = after.changes(before)
    assert [row.sample.id for row in fixed] == ["b"]
    assert [row.sample.id for row in broken] == ["a"]
    assert after.changes(after) == ([], [])


def test_samples_that_time_left_unasked_are_told() -> None:
    metrics = GroundingReport((graded(HIT),), skipped=0, seconds=1.0, unreached=7).metrics
    assert metrics["grounding_unreached"] == 7
    assert metrics["grounding_samples"] == 1
