"""Which trials are stopped early: W&B's Hyperband as a pruner of Optuna's, or Optuna's median rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .sweep_file import EarlyTermination, Goal, Sweep, SweepError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

PRUNERS = ("hyperband", "median", "none")
MEDIAN_TRIALS = 3
"""Trials that must have finished before the median rule stops any."""
MEDIAN_EVALUATIONS = 2
"""The median rule lets a trial make so many evaluations."""

_MAX_EVALUATIONS = 10**6


def pruner_name(sweep: Sweep, name: str | None) -> str:
    """One of [`PRUNERS`]: `name`, or what the sweep file says."""
    if name is not None:
        return name
    return "none" if sweep.early_terminate is None else "hyperband"


def choose_pruner(sweep: Sweep, name: str | None) -> BasePruner:
    """The pruner of a search; a step is a count of logged metrics, from 1.

    Args:
        sweep: The sweep.
        name: One of [`PRUNERS`]; `None` for what the sweep file says.

    Raises:
        SweepError: There is no such pruner, or `hyperband` is asked for and the file has no `early_terminate`.
    """
    from optuna.pruners import MedianPruner, NopPruner

    name = pruner_name(sweep, name)
    if name == "none":
        return NopPruner()
    if name == "median":
        return MedianPruner(n_startup_trials=MEDIAN_TRIALS, n_warmup_steps=MEDIAN_EVALUATIONS)
    if name != "hyperband":
        raise SweepError(f"there is no pruner {name}; expected one of {', '.join(PRUNERS)}")
    if sweep.early_terminate is None:
        raise SweepError(
            f"{sweep.path} has no early_terminate, which says when Hyperband compares trials. Add "
            "early_terminate: {type: hyperband, min_iter: 1}, or use the pruner median"
        )
    return hyperband(sweep.early_terminate, sweep.goal)


def is_beaten(values: Sequence[float], others: Sequence[Sequence[float]], rule: EarlyTermination, goal: Goal) -> bool:
    """Whether W&B's Hyperband would stop a trial.

    At the last count of logged metrics that the trial has reached and at which trials are compared, it must be among
    the best `1/eta` of all that have come so far, those that were stopped there included. It is judged by its value at
    that count, or, where the rule isn't strict, by its best so far.

    Args:
        values: The trial's, in their order.
        others: Those of all other trials.
        rule: The sweep file's.
        goal: Whether more is better.
    """
    sign = -1.0 if goal == "maximize" else 1.0
    counts = [count for count in rule.counts(_MAX_EVALUATIONS) if count <= len(values)]
    if not counts:
        return False
    count = counts[-1]
    there = sorted(sign * each[count - 1] for each in [values, *others] if len(each) >= count)
    threshold = there[min(int(len(there) / rule.eta), len(there) - 1)]
    own = sign * values[count - 1] if rule.strict else min(sign * value for value in values)
    return own > threshold


def hyperband(rule: EarlyTermination, goal: Goal) -> BasePruner:
    """W&B's Hyperband as a pruner.

    Not Optuna's own `HyperbandPruner`: that spreads the trials over brackets, compares and proposes within each alone,
    and so learns little from a dozen of them. W&B compares all.
    """
    from optuna.pruners import BasePruner

    class WandbHyperband(BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            others = [
                _in_order(each.intermediate_values)
                for each in study.get_trials(deepcopy=False)
                if each.number != trial.number
            ]
            return is_beaten(_in_order(trial.intermediate_values), others, rule, goal)

    return WandbHyperband()


def _in_order(values: dict[int, float]) -> list[float]:
    return [values[step] for step in sorted(values) if not math.isnan(values[step])]
