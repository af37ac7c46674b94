"""The best evaluation so far, over a training that is gone on with."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from oaml_callbacks.best import BestEvaluations

NAN = math.nan


def offered(best: BestEvaluations, accuracy: float, distance: float | None = None, name: str = "") -> dict[str, Any]:
    """What of the summary changes with an evaluation."""
    row = {"train/global_step": 4, f"eval/{name}grounding_accuracy": accuracy}
    if distance is not None:
        row[f"eval/{name}grounding_distance"] = distance
    return best.improve(f"eval/{name}grounding_accuracy", row)


@pytest.mark.parametrize(
    ("accuracy", "distance", "better"),
    [(0.6, 0.9, True), (0.5, 0.1, True), (0.5, 0.2, False), (0.5, NAN, False), (0.4, 0.0, False), (NAN, 0.0, False)],
)
def test_what_is_gone_on_from_is_the_best_so_far(accuracy: float, distance: float, better: bool) -> None:
    """A checkpoint's ranks, through JSON: only what is better than they are changes the summary."""
    earlier = BestEvaluations()
    offered(earlier, 0.5, 0.2)
    best = BestEvaluations(json.loads(json.dumps(earlier.ranks)))
    assert best.ranks == earlier.ranks
    assert bool(offered(best, accuracy, distance)) == better
    assert (best.ranks != earlier.ranks) == better


def test_sets_have_ranks_of_their_own() -> None:
    """And one without a distance goes behind each with one, on from a checkpoint too."""
    best = BestEvaluations()
    offered(best, 0.5)
    offered(best, 0.9, 0.1, "web_")
    again = BestEvaluations(json.loads(json.dumps(best.ranks)))
    assert offered(again, 0.5) == {}
    assert offered(again, 0.8, 0.0, "web_") == {}
    assert offered(again, 0.5, 0.3) == {
        "best/grounding_accuracy": 0.5,
        "best/grounding_distance": 0.3,
        "best/global_step": 4,
    }


def test_the_ranks_are_a_copy() -> None:
    """What a checkpoint keeps doesn't change afterwards."""
    best = BestEvaluations()
    ranks = best.ranks
    offered(best, 0.5)
    assert ranks == {}
