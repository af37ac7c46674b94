"""W&B's distributions in Optuna's terms: what can be tried, how it is drawn, and what `oaml train` is given."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from random import Random
from typing import TYPE_CHECKING, Any

from ..clean_text import cut
from .sweep_file import EXPONENT_RANGES, Fault, Parameter, Sweep, SweepError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FAR = 10.0
"""Standard deviations that a normal distribution is cut off at; a draw beyond has a chance of 1e-23."""

_MAX_EXPONENT = 700.0  # of e, as a float has it
_NO_RANGE = ("normal", "log_normal", "q_normal", "q_log_normal", "beta", "q_beta")


@dataclass(frozen=True)
class Dimension:
    """One parameter that is searched.

    What Optuna is told of a value (`suggested`) is the value itself, with two exceptions: of `q_log_...` it is the
    value before it was rounded, since Optuna has no steps on a logarithmic scale; and what is neither number nor text
    is told as JSON.

    Args:
        parameter: The sweep file's.
    """

    parameter: Parameter

    @property
    def name(self) -> str:
        """As `oaml train` calls it."""
        return self.parameter.name

    @property
    def log(self) -> bool:
        """Whether it is drawn, and to be shown, on a logarithmic scale."""
        return "log" in self.parameter.kind

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number it can be, before it is rounded to a multiple of `q`."""
        parameter, kind = self.parameter, self.parameter.kind
        if kind.endswith("beta"):
            return 0.0, 1.0
        if kind.endswith("normal"):
            mu, sigma = parameter.mu or 0.0, 1.0 if parameter.sigma is None else parameter.sigma
            low, high = mu - FAR * sigma, mu + FAR * sigma
            return (_exp(low), _exp(high)) if self.log else (low, high)
        assert parameter.min is not None
        assert parameter.max is not None
        if kind in EXPONENT_RANGES:
            ends = _exp(parameter.min), _exp(parameter.max)
            return (1 / ends[1], 1 / ends[0]) if kind.startswith("inv_") else ends
        return parameter.min, parameter.max

    @cached_property
    def lattice(self) -> tuple[int, int] | None:
        """Of `q_...` the smallest and the largest multiple of `q` that are values, in units of `q`.

        W&B rounds to multiples of q, and at an end that is none it may round out of the range; here the multiples
        within the range are the values.
        """
        if not self.parameter.kind.startswith("q_"):
            return None
        q, (low, high) = self._q, self.ends
        # An end that is a multiple itself, but for a float's last digit, belongs to it.
        first, last = math.ceil(low / q - 1e-9), math.floor(high / q + 1e-9)
        return (max(first, 1), max(last, 1)) if self.log else (first, max(first, last))

    @property
    def _q(self) -> float:
        return 1 if self.parameter.q is None else self.parameter.q

    @cached_property
    def choices(self) -> tuple[Any, ...]:
        """Of `categorical` what Optuna is told of each value."""
        values = self.parameter.values or ()
        plain = all(value is None or isinstance(value, (bool, int, float, str)) for value in values)
        # True and 1, or 1 and 1.0, are one value to Optuna.
        distinct = all(one != other for n, one in enumerate(values) for other in values[:n]) if plain else False
        return values if plain and distinct else tuple(_as_json(value) for value in values)

    @cached_property
    def distribution(self) -> BaseDistribution:
        """What Optuna calls it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.parameter.values is not None:
            return CategoricalDistribution(self.choices)
        low, high = self.ends
        if self.parameter.kind == "int_uniform":
            return IntDistribution(int(low), int(high))
        if self.lattice is not None and not self.log:
            first, last = self._multiple(self.lattice[0]), self._multiple(self.lattice[1])
            if isinstance(first, int) and isinstance(last, int):
                return IntDistribution(first, last, step=int(self._q))
            return FloatDistribution(first, last, step=self._q)
        return FloatDistribution(low, high, log=self.log)

    def value(self, suggested: Any) -> Any:
        """What `oaml train` is given: whole numbers where `q` is whole, as W&B does it."""
        if self.parameter.values is not None:
            return self.parameter.values[self.choices.index(suggested)]
        if self.parameter.kind == "int_uniform":
            return int(suggested)
        return self._multiple(self._rounded(suggested)) if self.lattice is not None else float(suggested)

    def suggestion(self, value: Any) -> Any:
        """What Optuna is told of `value`.

        Raises:
            LookupError: It isn't one of those that can be tried.
        """
        if (values := self.parameter.values) is not None:
            found = [index for index, each in enumerate(values) if each == value and type(each) is type(value)]
            found = found or [index for index, each in enumerate(values) if each == value]
            if not found:
                raise LookupError(self.name)
            return self.choices[found[0]]
        low, high = self.ends
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise LookupError(self.name)
        if self.lattice is None and self.parameter.kind != "int_uniform":
            if not low <= value <= high:
                raise LookupError(self.name)
            return float(value)
        unit, (first, last) = (self._q, self.lattice) if self.lattice is not None else (1, (int(low), int(high)))
        units = round(value / unit)
        if abs(value / unit - units) > 1e-9 or not first <= units <= last:
            raise LookupError(self.name)
        return units if self.lattice is None else self._multiple(units)

    def draw(self, dice: Random) -> Any:
        """Draw one by W&B's own distribution, in Optuna's terms."""
        parameter, kind = self.parameter, self.parameter.kind
        if parameter.values is not None:
            return dice.choices(self.choices, weights=parameter.probabilities)[0]
        low, high = self.ends
        if kind == "int_uniform":
            return dice.randint(int(low), int(high))
        if kind.endswith("beta"):
            drawn = dice.betavariate(parameter.a or 1.0, parameter.b or 1.0)
        elif kind.endswith("normal"):
            drawn = dice.gauss(parameter.mu or 0.0, 1.0 if parameter.sigma is None else parameter.sigma)
            drawn = _exp(drawn) if self.log else drawn
        elif self.log:
            drawn = math.exp(dice.uniform(math.log(low), math.log(high)))
        else:
            drawn = dice.uniform(low, high)
        drawn = min(max(drawn, low), high)
        return self._multiple(self._rounded(drawn)) if self.lattice is not None and not self.log else drawn

    def grid(self) -> Sequence[Any]:
        """All its values, in Optuna's terms, in the file's order."""
        if self.parameter.values is not None:
            return self.choices
        if self.lattice is not None and not self.log:
            return [self._multiple(units) for units in range(self.lattice[0], self.lattice[1] + 1)]
        return range(int(self.ends[0]), int(self.ends[1]) + 1)

    def _rounded(self, number: float) -> int:
        assert self.lattice is not None
        return min(max(round(number / self._q), self.lattice[0]), self.lattice[1])

    def _multiple(self, units: int) -> float:
        if self._q == int(self._q):
            return units * int(self._q)
        return round(units * self._q, 12)  # 3 x 0.1 is 0.3


@dataclass(frozen=True)
class SearchSpace:
    """What a sweep searches.

    Args:
        dimensions: What varies.
        constants: What is the same in all trials, by name.
    """

    dimensions: tuple[Dimension, ...]
    constants: dict[str, Any]

    def values(self, suggested: dict[str, Any]) -> dict[str, Any]:
        """What `oaml train` is given for what Optuna was told, constants included."""
        return self.constants | {each.name: each.value(suggested[each.name]) for each in self.dimensions}

    def suggestions(self, values: dict[str, Any]) -> dict[str, Any]:
        """What Optuna is told of `values`, of those that can be tried."""
        found = {}
        for each in self.dimensions:
            with suppress(LookupError):
                found[each.name] = each.suggestion(values[each.name])
        return found

    def draw(self, dice: Random) -> dict[str, Any]:
        """Draw all of them, in Optuna's terms."""
        return {each.name: each.draw(dice) for each in self.dimensions}

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna calls them."""
        return {each.name: each.distribution for each in self.dimensions}

    def grid_point(self, number: int, seed: int) -> dict[str, Any]:
        """A point of the grid, in Optuna's terms, in an order drawn from the seed: a part of it is a fair sample.

        Args:
            number: From 0.
            seed: The search's.
        """
        lists = [each.grid() for each in self.dimensions]
        size = math.prod(map(len, lists))
        if size <= _SHUFFLED:
            order = list(range(size))
            Random(f"grid {seed}").shuffle(order)
            number = order[number]
        (point,) = islice(_points(lists, number), 1)
        return dict(zip((each.name for each in self.dimensions), point, strict=True))


_SHUFFLED = 10**6
"""A larger grid is gone through in the file's order."""


def _points(lists: Sequence[Sequence[Any]], start: int) -> Any:
    """The combinations from `start` on, the last list's changing fastest."""
    if start == 0:
        return product(*lists)
    point = []
    for values in reversed(lists):
        start, index = divmod(start, len(values))
        point.append(values[index])
    return iter([tuple(reversed(point))])


def search_space(sweep: Sweep) -> SearchSpace:
    """What a sweep searches, for its method.

    Raises:
        SweepError: A parameter has a distribution that its method can't do here: all of them, one a line.
    """
    faults = [fault for parameter in sweep.parameters if (fault := _unable(sweep, parameter)) is not None]
    if faults:
        raise SweepError("\n".join(fault.told(sweep.path) for fault in faults), faults)
    constants = {
        parameter.name: parameter.values[0]
        for parameter in sweep.parameters
        if parameter.kind == "constant" and parameter.values
    }
    searched = [parameter for parameter in sweep.parameters if parameter.kind != "constant"]
    return SearchSpace(tuple(map(Dimension, searched)), constants)


def _unable(sweep: Sweep, parameter: Parameter) -> Fault | None:
    kind, key = parameter.kind, f"parameters.{parameter.name}"
    chances = parameter.probabilities
    weighted = chances is not None and len(set(chances)) > 1
    if sweep.method == "grid":
        if weighted:
            return Fault(parameter.line, key, "a grid tries every value once; leave the probabilities out")
        if kind not in ("constant", "categorical", "int_uniform", "q_uniform"):
            return Fault(
                parameter.line,
                key,
                f"a grid over {kind} has no end; give values: [...] or use method: random or bayes",
            )
    elif sweep.method == "bayes":
        if weighted:
            return Fault(
                parameter.line,
                key,
                "Optuna's TPE, which stands for bayes here, knows no probabilities of values; leave them out, or use "
                "method: random, which draws by them",
            )
        if kind in _NO_RANGE:
            other = "log_uniform_values" if "log" in kind else "q_uniform" if kind.startswith("q_") else "uniform"
            return Fault(
                parameter.line,
                key,
                f"Optuna's TPE, which stands for bayes here, has no {kind} distribution; give min and max "
                f"(distribution: {other}), or use method: random, which draws from it",
            )
    return None


def as_override(name: str, value: Any) -> str:
    """A value as `oaml train` reads it back exactly: `lora.r=16`."""
    return f"{name}={_as_json(value)}"


def value_text(value: Any, length: int = 40) -> str:
    """A value for people: four significant digits of a fraction."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return cut(value if isinstance(value, str) else _as_json(value), length)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """`r` for `lora.r` and so on, where no other parameter has the same last part."""
    last = [name.rpartition(".")[2] for name in names]
    return {name: short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)}


# What YAML doesn't take as it is, or takes for the end of a line.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def _as_json(value: Any) -> str:
    """JSON that YAML reads as the same value."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(str(value), ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _exp(exponent: float) -> float:
    return math.exp(min(max(exponent, -_MAX_EXPONENT), _MAX_EXPONENT))
