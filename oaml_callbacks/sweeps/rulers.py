"""[`Ruler`]: where a value stands on an axis of a picture, and what is written beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..clean_text import one_line
from .search_result import SearchedTrial
from .search_space import Dimension, value_text

MAX_CHOICE = 14
"""Characters of a choice; longer ones end in dots."""


class Ruler:
    """Where a value stands on an axis, 0-1, and what is written beside it."""

    def __init__(self, ticks: list[tuple[float, str]], place: Callable[[Any], float]) -> None:
        self.ticks, self._place = ticks, place

    def place(self, value: Any) -> float:
        """The value's height; an end's for what lies beyond it."""
        return 0.5 if value is None else min(max(self._place(value), 0.0), 1.0)

    @classmethod
    def of(cls, dimension: Dimension, trials: Sequence[SearchedTrial]) -> Ruler:
        """A parameter's."""
        if dimension.parameter.values is not None:
            return cls.of_choices(dimension.parameter.values)
        if dimension.parameter.kind.endswith(("normal", "beta")):  # without ends: as far as the trials went
            numbers = [float(trial.values[dimension.name]) for trial in trials if dimension.name in trial.values]
            low, high = min(numbers), max(numbers)
        else:
            low, high = dimension.ends
            whole = dimension.lattice
            if whole is not None:
                q = dimension.parameter.q or 1
                low, high = whole[0] * q, whole[1] * q
        return cls.of_numbers(low, high, log=dimension.log)

    @classmethod
    def of_choices(cls, values: Sequence[Any]) -> Ruler:
        """Choices at equal distances: numbers in their order, others in the file's."""
        numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        ordered = sorted(values) if numeric else list(values)
        count = len(ordered)
        at = [0.5] if count == 1 else [0.04 + 0.92 * index / (count - 1) for index in range(count)]
        step = math.ceil(count / 12)
        ticks = [(at[index], fit(value_text(ordered[index]), MAX_CHOICE)) for index in range(0, count, step)]
        keys = [repr(value) for value in ordered]
        return cls(ticks, lambda value: at[keys.index(repr(value))] if repr(value) in keys else 0.5)

    @classmethod
    def of_numbers(cls, low: float, high: float, *, log: bool) -> Ruler:
        """A range; on a logarithmic scale with ticks at 1, 2, 5, 10, …"""
        if not low < high:
            return cls([(0.5, value_text(float(low)))], lambda value: 0.5)
        if log and low > 0:
            start, span = math.log(low), math.log(high) - math.log(low)
            marks = _log_ticks(low, high)

            def place(value: Any) -> float:
                return (math.log(max(float(value), low)) - start) / span
        else:
            from matplotlib.ticker import MaxNLocator

            marks = [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]

            def place(value: Any) -> float:
                return (float(value) - low) / (high - low)

        places = max((len(f"{mark:.4g}".partition(".")[2]) for mark in marks if abs(mark) >= 1e-2), default=0)
        texts = [_number_text(mark) if log else f"{mark:.{places}f}" for mark in marks]
        return cls([(place(mark), text) for mark, text in zip(marks, texts, strict=True)], place)


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) >= 4:
            return ticks[:: math.ceil(len(ticks) / 10)]
    return ticks or [low, high]


def _number_text(value: float) -> str:
    if value != 0 and (abs(value) < 1e-2 or abs(value) >= 1e5):
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.4g}"


def fit(text: str, length: int) -> str:
    """`text` on one line; a longer one ends in dots."""
    text = one_line(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"
