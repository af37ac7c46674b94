"""What mattered in a search: how much of the trials' ranking each parameter explains by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .search_result import SearchedTrial
from .search_space import Dimension
from .sweep_file import Goal

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 4
"""Trials with a value that are needed to say anything."""


def importances(trials: Sequence[SearchedTrial], dimensions: Sequence[Dimension], goal: Goal) -> dict[str, float]:
    """Of each parameter the share of the ranking's variation that it explains by itself, 0-1; largest first.

    The trials are ranked by their value, those that were stopped early by what they had reached. Of a number it is the
    adjusted R² of a parabola through its values (their logarithms, where it was drawn so), so that a best value in the
    middle counts too; of a choice that of its groups' means. Adjusted, what explains no more than chance would is 0.
    With a dozen trials this is a hint, and no measurement.
    """
    told = [trial for trial in trials if trial.value is not None and trial.state in ("finished", "pruned")]
    if len(told) < FEWEST:
        return {}
    sign = 1.0 if goal == "maximize" else -1.0
    ranks = _ranks([sign * trial.value for trial in told if trial.value is not None])
    found = {
        each.name: _explained(each, [trial.values.get(each.name) for trial in told], ranks) for each in dimensions
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def tendency(trials: Sequence[SearchedTrial], dimension: Dimension, goal: Goal) -> str | None:
    """`more` or `less` where the better trials have more or less of it, clearly; `None` where not, or for choices."""
    told = [trial for trial in trials if trial.value is not None and trial.state in ("finished", "pruned")]
    values = [trial.values.get(dimension.name) for trial in told]
    if len(told) < FEWEST or not _is_numeric(dimension, values):
        return None
    import numpy as np

    sign = 1.0 if goal == "maximize" else -1.0
    ranks = _ranks([sign * trial.value for trial in told if trial.value is not None])
    own = _ranks([float(value) for value in values if value is not None])
    if float(np.std(own)) == 0 or float(np.std(ranks)) == 0:
        return None
    correlation = float(np.corrcoef(own, ranks)[0, 1])
    if abs(correlation) < 2 / math.sqrt(len(told)):  # what chance alone gives one time in twenty
        return None
    return "more" if correlation > 0 else "less"


def _explained(dimension: Dimension, values: Sequence[Any], ranks: NDArray[Any]) -> float:
    import numpy as np

    count = len(values)
    if _is_numeric(dimension, values):
        numbers = np.array([float(value) for value in values])
        numbers = np.log(numbers) if dimension.log else numbers
        spread = float(np.std(numbers))
        if spread == 0:
            return 0.0
        scaled = (numbers - numbers.mean()) / spread
        # A parabola through two different values is a line.
        degree = min(2, len(set(values)) - 1)
        columns = np.stack([scaled**power for power in range(degree + 1)], axis=1)
    else:
        names = list(dict.fromkeys(map(repr, values)))
        columns = np.array([[float(repr(value) == name) for name in names] for value in values])
    free = columns.shape[1] - 1
    if free == 0 or count - free - 1 < 1:
        return 0.0
    fitted = columns @ np.linalg.lstsq(columns, ranks, rcond=None)[0]
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if total == 0:
        return 0.0
    explained = 1 - float(((ranks - fitted) ** 2).sum()) / total
    return max(0.0, float(1 - (1 - explained) * (count - 1) / (count - free - 1)))


def _is_numeric(dimension: Dimension, values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values) and (
        dimension.parameter.values is None or len(dimension.parameter.values) > 2
    )


def _ranks(values: Sequence[float]) -> NDArray[Any]:
    """Their ranks, from 0; equal ones share the mean of theirs."""
    import numpy as np

    found = np.array(values, dtype=float)
    return np.array([((found < value).sum() + (found <= value).sum() - 1) / 2 for value in found])
