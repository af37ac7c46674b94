"""Which trials of a search are stopped early."""

from __future__ import annotations

from pathlib import Path

import pytest

from oaml_callbacks.sweeps.pruning import choose_pruner, is_beaten
from oaml_callbacks.sweeps.sweep_file import EarlyTermination, SweepError

from .searches import made

RULE = EarlyTermination(min_iter=1, eta=2)


@pytest.mark.parametrize(
    ("values", "others", "beaten"),
    [
        ([0.9], [], False),  # nobody to compare it with
        ([0.4], [[0.5]], False),  # half of two is both
        ([0.4], [[0.5], [0.6]], True),
        ([0.5], [[0.4], [0.6]], False),
        ([0.4, 0.9], [[0.5, 0.6], [0.6, 0.7]], False),  # it has caught up by the second
        ([0.9, 0.5], [[0.5, 0.6], [0.6, 0.7]], True),
        ([0.9, 0.9, 0.1], [[0.5, 0.6, 0.7]] * 3, False),  # the third isn't compared, the fourth is
        ([0.9, 0.9, 0.1, 0.1], [[0.5, 0.6, 0.7, 0.7]] * 3, True),
        ([0.9, 0.1], [[0.5], [0.6]], False),  # nobody else has come so far
    ],
)
def test_who_is_not_among_the_best_share_so_far_is_stopped(
    values: list[float], others: list[list[float]], beaten: bool
) -> None:
    assert is_beaten(values, others, RULE, "maximize") is beaten


def test_where_less_is_better_the_least_go_on() -> None:
    assert is_beaten([0.6], [[0.5], [0.4]], RULE, "minimize")
    assert not is_beaten([0.4], [[0.5], [0.6]], RULE, "minimize")


def test_a_lenient_rule_judges_by_the_best_so_far() -> None:
    values, others = [0.9, 0.5], [[0.5, 0.6], [0.6, 0.7]]
    assert is_beaten(values, others, RULE, "maximize")
    assert not is_beaten(values, others, EarlyTermination(min_iter=1, eta=2, strict=False), "maximize")


def test_trials_are_compared_at_the_counts_that_max_iter_and_s_say() -> None:
    rule = EarlyTermination(max_iter=8, s=2, eta=2)  # at 2 and 4
    others = [[0.5] * 8] * 3
    assert [is_beaten([0.1] * count, others, rule, "maximize") for count in (1, 2)] == [False, True]


def test_the_file_says_how_trials_are_stopped(tmp_path: Path) -> None:
    from optuna.pruners import MedianPruner, NopPruner

    plain = made(tmp_path)
    assert isinstance(choose_pruner(plain, None), NopPruner)
    assert isinstance(choose_pruner(plain, "median"), MedianPruner)
    stops = made(tmp_path, more="early_terminate: {type: hyperband, min_iter: 2}")
    assert not isinstance(choose_pruner(stops, None), NopPruner)
    assert isinstance(choose_pruner(stops, "none"), NopPruner)


def test_hyperband_without_its_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"has no early_terminate, .*min_iter: 1.*median"):
        choose_pruner(made(tmp_path), "hyperband")


def test_an_unknown_pruner_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="no pruner asha; expected one of hyperband, median, none"):
        choose_pruner(made(tmp_path), "asha")
