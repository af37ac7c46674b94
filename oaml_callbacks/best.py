"""Which evaluation was the best so far: the one that `best/*` in a run's summary is taken from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from . import keys


class BestEvaluations:
    """The best evaluation so far, of the evaluation set and of each named one.

    Highest accuracy first, then the smallest distance; a tie leaves the earlier one. Kept here, since reading a run's
    summary back costs a round trip, and W&B's own `summary="max"` would take each value from another evaluation.
    """

    def __init__(self, ranks: Mapping[str, Sequence[float]] = MappingProxyType({})) -> None:
        self._ranks: dict[str, tuple[float, float]] = {prefix: (rank[0], rank[1]) for prefix, rank in ranks.items()}

    @property
    def ranks(self) -> dict[str, tuple[float, float]]:
        """What a later training needs to go on from here, as this is made with it."""
        return dict(self._ranks)

    def is_better(self, key: str, row: Mapping[str, Any]) -> bool:
        """Whether this evaluation is better than the best so far; `key` and `row` as for [`improve`]."""
        split = keys.split_evaluation_key(key)
        if split is None or split[1] != keys.GROUNDING_ACCURACY or math.isnan(row[key]):
            return False
        prefix = split[0]
        return prefix not in self._ranks or _rank(prefix, row) < self._ranks[prefix]

    def improve(self, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the summary that change with this evaluation; none if it is not the best.

        Args:
            key: The row's accuracy: `eval/grounding_accuracy`, `eval/web_grounding_accuracy` of a set named `web`.
            row: The evaluation's row of the history.
        """
        split = keys.split_evaluation_key(key)
        if split is None or not self.is_better(key, row):
            return {}
        prefix = split[0]
        self._ranks[prefix] = _rank(prefix, row)
        best = {
            keys.GROUNDING_ACCURACY: row[key],
            keys.GROUNDING_DISTANCE: row.get(f"eval/{prefix}{keys.GROUNDING_DISTANCE}"),
            "global_step": row.get(keys.STEP_KEY),
        }
        return {f"best/{prefix}{name}": value for name, value in best.items() if value is not None}


def rank(accuracy: float, distance: float | None) -> tuple[float, float]:
    """What evaluations are ordered by, the best first."""
    return -accuracy, math.inf if distance is None or math.isnan(distance) else distance


def _rank(prefix: str, row: Mapping[str, Any]) -> tuple[float, float]:
    key = f"eval/{prefix}{{}}".format
    return rank(row[key(keys.GROUNDING_ACCURACY)], row.get(key(keys.GROUNDING_DISTANCE)))
