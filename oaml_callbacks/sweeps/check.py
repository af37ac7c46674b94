"""Sweep files held against what W&B's schema lets through, and against the training configuration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..clean_text import cut
from .metrics import better, is_in_history, is_known, unknown_metric
from .sweep_file import EXPONENT_RANGES, Fault, Parameter, Sweep, grid_size, is_finite, read_document, understand
from .trial_values import configuration_faults

MANY_TRIALS = 1000
"""A grid of more points, and a search of more trials, is asked about before it's started."""


@dataclass(frozen=True)
class Checked:
    """What was found in a sweep file.

    Args:
        sweep: What it says, as far as its form is right.
        faults: All that is wrong, in the order of the lines.
        trials: How many trials it makes: the grid's points, `run_cap` at most; `None` where it has no end.
    """

    sweep: Sweep
    faults: tuple[Fault, ...]
    trials: int | None

    @property
    def many(self) -> str | None:
        """What to say before so many trials are started; `None` where there aren't too many."""
        if self.trials is None or self.trials <= MANY_TRIALS:
            return None
        points = grid_size(self.sweep) or 0
        return (
            f"the grid has {points:,} points, a training each. Shorten the lists, set run_cap, or search with "
            f"method: bayes; --yes starts {self.trials:,} trials all the same"
        )

    def told(self) -> str:
        """The faults, one a line."""
        return "\n".join(fault.told(self.sweep.path) for fault in self.faults)


def check_sweep(path: Path) -> Checked:
    """Check a sweep file.

    It must have the form that W&B's schema asks for, ask for a search that can be made, and its parameters and their
    values must be ones that `oaml train` takes with the configuration that the command names.

    Raises:
        SweepError: The file can't be read at all, or the package's extra `sweep` isn't installed.
    """
    document = read_document(path)
    sweep, faults = understand(path, document)
    wrong = {fault.key for fault in faults}
    faults += _search_faults(sweep, wrong)
    for parameter in sweep.parameters:
        faults += [Fault(_line(sweep, key), ".".join(key), what) for key, what in _parameter_faults(parameter)]
    if "command" not in wrong:
        faults += configuration_faults(sweep)
    points = grid_size(sweep) if sweep.method == "grid" and not faults else None
    ends = [count for count in (points, sweep.run_cap) if count is not None]
    return Checked(sweep, tuple(sorted(set(faults))), min(ends) if ends else None)


def _line(sweep: Sweep, key: tuple[str, ...]) -> int:
    return next((sweep.line_of[key[:n]] for n in range(len(key), 0, -1) if key[:n] in sweep.line_of), 0)


def _search_faults(sweep: Sweep, wrong: set[str]) -> Iterator[Fault]:
    """What is wrong with method, metric and early termination."""
    if sweep.metric is not None:
        yield from _metric_faults(sweep, sweep.metric)
    elif "metric" not in sweep.content:
        example = "metric: {name: eval/grounding_accuracy, goal: maximize}"
        if sweep.method == "bayes":
            yield Fault(_line(sweep, ("method",)), "method", f"bayes needs to know what to improve; add {example}")
        if sweep.early_terminate is not None:
            line = _line(sweep, ("early_terminate",))
            yield Fault(line, "early_terminate", f"trials are stopped by a metric; add {example}")
    if sweep.method == "grid" and "method" not in wrong:
        for parameter in sweep.parameters:
            if parameter.continuous:
                yield Fault(
                    parameter.line,
                    f"parameters.{parameter.name}",
                    f"a grid over the continuous range {_range(parameter)} has no end; give values: [...], or a "
                    "q_uniform distribution, or use method: random or bayes",
                )
    if (rule := sweep.early_terminate) is None:
        return
    infinite = [name for name in ("min_iter", "max_iter", "s", "eta") if not is_finite(getattr(rule, name) or 0)]
    for name in infinite:
        yield Fault(
            _line(sweep, ("early_terminate", name)), f"early_terminate.{name}", _not_finite(getattr(rule, name))
        )
    if not infinite and not rule.counts(10**6):
        yield Fault(
            _line(sweep, ("early_terminate",)),
            "early_terminate",
            f"max_iter {rule.max_iter}, eta {rule.eta:g} and s {rule.s} leave nowhere to stop; give min_iter instead",
        )


def _metric_faults(sweep: Sweep, name: str) -> Iterator[Fault]:
    line = _line(sweep, ("metric", "name"))
    if not is_known(name):
        yield Fault(line, "metric.name", unknown_metric(name))
        return
    way, is_given = better(name), "goal" in sweep.content["metric"]
    if way is None:
        yield Fault(line, "metric.name", f"neither more nor less of {name} is better")
    elif way != sweep.goal:
        default = "" if is_given else " (W&B's goal where none is given)"
        yield Fault(
            _line(sweep, ("metric", "goal")) if is_given else line,
            "metric.goal",
            f"{sweep.goal}{default} looks for the worst {name}; write goal: {way}",
        )
    if sweep.early_terminate is not None and not is_in_history(name):
        yield Fault(
            _line(sweep, ("early_terminate",)),
            "early_terminate",
            f"{name} is known at the end alone, so no trial can be stopped by it; use one under eval/",
        )


def _parameter_faults(parameter: Parameter) -> Iterator[tuple[tuple[str, ...], str]]:
    """What W&B's schema lets through, in one parameter: the key, and what is wrong."""
    key = ("parameters", parameter.name)
    if parameter.kind == "categorical" and parameter.values is not None:
        for text, count in Counter(map(repr, parameter.values)).items():
            if count > 1:
                yield (*key, "values"), f"{text} stands there {count} times; keep one"
        chances = parameter.probabilities
        if chances is not None and len(chances) != len(parameter.values):
            yield (
                (*key, "probabilities"),
                f"expected one for each of the {len(parameter.values)} values, found {len(chances)}",
            )
        elif chances is not None and not math.isclose(sum(chances), 1, abs_tol=1e-6):
            yield (*key, "probabilities"), f"expected probabilities that sum to 1, found {sum(chances):g}"
    numbers = {name: getattr(parameter, name) for name in ("min", "max", "mu", "sigma", "q", "a", "b")}
    infinite = [name for name, number in numbers.items() if number is not None and not is_finite(number)]
    for name in infinite:
        yield (*key, name), _not_finite(numbers[name])
    low, high = parameter.min, parameter.max
    if infinite or low is None or high is None:
        return
    if low > high:
        yield (*key, "min"), f"the range is upside down: min {low:g} is above max {high:g}"
    elif low == high:
        yield key, f"the range is empty: min and max are both {low:g}. Write value: {low:g}"
    elif parameter.kind == "uniform" and isinstance(low, int) != isinstance(high, int):
        yield key, f"W&B takes neither whole numbers nor fractions from {_range(parameter)}; write both ends alike"
    elif parameter.kind in EXPONENT_RANGES and low > 0 and high <= 1:
        values = f"from {math.exp(low):.3g} to {math.exp(high):.3g}"
        yield (
            (*key, "distribution"),
            f"{parameter.kind} takes min and max as exponents of e, {values}; did you mean {parameter.kind}_values?",
        )
    elif parameter.size() is not None and parameter.size() == 0:
        yield key, f"no multiple of {parameter.q:g} lies in {_range(parameter)}"


def _range(parameter: Parameter) -> str:
    if parameter.min is None or parameter.max is None:
        return f"of {parameter.kind}"
    low, high = (end if is_finite(end) else math.inf for end in (parameter.min, parameter.max))
    return f"{low:g} to {high:g}"


def _not_finite(number: float) -> str:
    return f"expected a finite number, found {cut(str(number), 20)}"
