"""Which graded samples a table shows: half of it the same every time, half what is wrong or has just changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .grounding.metrics import GradedSample, GroundingReport

FIXED: Final = "fixed set"
BECAME_WRONG: Final = "became wrong"
BECAME_RIGHT: Final = "became right"
WRONG: Final = "wrong"


@dataclass(frozen=True)
class ChosenRow:
    """A graded sample, and why it is in the table.

    Args:
        row: The sample.
        why: `"fixed set"`, followed by what has just changed if something has; or `"became wrong"`, `"became right"`
            or `"wrong"`.
    """

    row: GradedSample
    why: str


def choose_rows(
    report: GroundingReport, previous: GroundingReport | Mapping[str, bool] | None, *, max_rows: int, seed: int
) -> list[ChosenRow]:
    """Choose at most `max_rows` samples; the same reports and seed give the same ones, on any machine.

    The first half is drawn from all samples, by their ids and the seed alone: neither their order nor what an
    evaluation didn't reach moves it, so the same pictures can be followed from evaluation to evaluation. The other
    half takes turns among those that became wrong, those that became right and those that are still wrong, so that no
    kind crowds out another. Where fewer are of interest the table is shorter.

    Args:
        report: The evaluation.
        previous: The one before it on the same samples; without it nothing has changed.
        max_rows: One at least.
        seed: Draws the fixed half.
    """
    fixed_count = (max_rows + 1) // 2
    drawn = sorted(report.rows, key=lambda row: _draw(seed, row.sample.id))
    right, wrong = report.changes(previous) if previous is not None else ([], [])
    changes = dict.fromkeys(_ids(right), BECAME_RIGHT) | dict.fromkeys(_ids(wrong), BECAME_WRONG)

    chosen = [
        ChosenRow(row, f"{FIXED}, {changes[row.sample.id]}" if row.sample.id in changes else FIXED)
        for row in drawn[:fixed_count]
    ]
    waiting: dict[str, list[GradedSample]] = {BECAME_WRONG: [], BECAME_RIGHT: [], WRONG: []}
    for row in drawn[fixed_count:]:
        if row.sample.id in changes:
            waiting[changes[row.sample.id]].append(row)
        elif not row.correct:
            waiting[WRONG].append(row)
    turns = [ChosenRow(row, why) for why, rows in waiting.items() for row in rows]
    # By turn first, and within a turn in the order of the kinds.
    place = {row.sample.id: turn for rows in waiting.values() for turn, row in enumerate(rows)}
    turns.sort(key=lambda chosen: place[chosen.row.sample.id])
    return chosen + turns[: max_rows - len(chosen)]


def _draw(seed: int, sample_id: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sample_id}".encode("utf-8", "surrogatepass")).digest()


def _ids(rows: Iterable[GradedSample]) -> list[str]:
    return [row.sample.id for row in rows]
