"""[`EvaluationFiles`]: every graded sample of every evaluation of a run, on disk as lines."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..clean_text import cut, one_line
from ..grounding.metrics import GradedSample, GroundingReport
from ..row_text import target_text
from ..values import finite_numbers
from . import layout
from .files import append_lines, as_line, read_lines, replace_file
from .screenshots import Kept, Screenshots

MAX_TEXT = 4000
"""Characters of an instruction, a target or an answer; longer ones are cut, and marked as cut."""
MAX_GROUPS = 10
"""Groupings of a sample (platform, type, …)."""


class EvaluationFiles:
    """The evaluations of one run folder.

    A sample is written when an evaluation first has it: its instruction, its target and its picture are there once. An
    answer names its sample by the sample's line.

    Args:
        folder: The run folder.
        screenshots: Keeps the pictures.
    """

    def __init__(self, folder: Path, screenshots: Screenshots) -> None:
        self._folder = folder
        self._screenshots = screenshots
        self._places: dict[str, dict[str, int]] = {}
        self._pictures: dict[str, dict[str, str | None]] = {}

    def add(
        self,
        report: GroundingReport,
        metrics: Mapping[str, float],
        *,
        split: str,
        step: int,
        epoch: float | None,
        baseline: bool = False,
    ) -> None:
        """Write an evaluation. Another one of the same set at the same step takes the place of the first.

        Args:
            report: The evaluation.
            metrics: Its metrics by their plain names (`grounding_accuracy`, …).
            split: Its set: `eval`, `eval_web`, …
            step: Optimizer steps done.
            epoch: Epochs done.
            baseline: Whether it is the base model's.

        Raises:
            OSError: The folder can't be written to.
        """
        self._add_samples(split, report.rows)
        places = self._places[split]
        answers = "".join(as_line(answer_record(row, places[one_line(row.sample.id)])) for row in report.rows)
        file = layout.answers_file(split, step, baseline=baseline)
        replace_file(self._folder / file, answers)
        line = {
            "key": layout.evaluation_key(split, step, baseline=baseline),
            "set": split,
            "step": step,
            "epoch": epoch,
            "at": round(time.time(), 3),
            "baseline": baseline,
            "rows": len(report.rows),
            "samples": layout.samples_file(split),
            "answers": file,
            "metrics": dict(metrics),
        }
        append_lines(self._folder / layout.EVALUATIONS, [as_line(line)])

    def pictures(self, split: str) -> Mapping[str, str | None]:
        """The paths of the pictures of a set's samples in the run folder, by the samples' ids on one line."""
        return self._pictures.get(split, {})

    def _add_samples(self, split: str, rows: Sequence[GradedSample]) -> None:
        if split not in self._places:
            self._places[split], self._pictures[split] = self._read_samples(split)
        places, pictures = self._places[split], self._pictures[split]
        kept = {}
        for row in rows:
            name = one_line(row.sample.id)
            if name not in places and name not in kept:
                kept[name] = row, self._screenshots.keep(row.sample)
        if not kept:
            return
        try:
            lines = (as_line(sample_record(row, picture)) for row, picture in kept.values())
            append_lines(self._folder / layout.samples_file(split), lines)
        except BaseException:
            del self._places[split], self._pictures[split]  # what of it is written is found out next time
            raise
        for name, (_, picture) in kept.items():
            places[name], pictures[name] = len(places), picture.path if picture is not None else None

    def _read_samples(self, split: str) -> tuple[dict[str, int], dict[str, str | None]]:
        """What an earlier part of the run has written."""
        places: dict[str, int] = {}
        pictures: dict[str, str | None] = {}
        for index, line in enumerate(read_lines(self._folder / layout.samples_file(split))):
            try:
                record = json.loads(line)
                name, picture = str(record["id"]), record["picture"]
            except (ValueError, TypeError, KeyError):
                name, picture = f"\0broken line {index}", None
            places[name], pictures[name] = index, picture
        return places, pictures


def sample_record(row: GradedSample, kept: Kept | None) -> dict[str, Any]:
    """A sample in plain values. Places are shares of the screen."""
    sample, target = row.sample, row.sample.target
    return {
        "id": one_line(sample.id),
        "instruction": cut(sample.instruction, MAX_TEXT),
        "target": target_text(sample, MAX_TEXT),
        "box": finite_numbers(target.box),
        "point": finite_numbers(target.point),
        "picture": kept.path if kept is not None else None,
        "size": list(kept.size) if kept is not None else None,
        "groups": {one_line(name): one_line(value) for name, value in list(sample.groups.items())[:MAX_GROUPS]},
    }


def answer_record(row: GradedSample, place: int) -> dict[str, Any]:
    """An answer in plain values. Places, and the offset from target to click, are shares of the screen; what is no
    finite number is `None`.
    """
    action, centre = row.action, row.sample.target.point
    offset = None
    if action.point is not None and centre is not None:
        offset = finite_numbers([there - here for there, here in zip(action.point, centre, strict=True)])
    return {
        "sample": place,  # first: the viewer looks for it
        "answer": cut(row.answer, MAX_TEXT),
        "status": action.status,
        "action": one_line(action.kind, 100) if action.kind else None,
        "point": finite_numbers(action.point),
        "offset": offset,
        "box": finite_numbers(action.box),
        "correct": row.correct,
        "distance": row.distance if row.distance is not None and math.isfinite(row.distance) else None,
        "outcome": row.outcome,
        "stopped": row.stopped,
        **({"mark": action.mark} if action.mark is not None else {}),
    }
