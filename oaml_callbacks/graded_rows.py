"""Every graded sample as a line of text: the best evaluation's and the last's, on disk at once and in W&B at the end.

Two runs are compared sample by sample with these: an artifact `run_<id>_graded_rows` with the files
`<evaluation>_best.jsonl` and `<evaluation>_last.jsonl`, one JSON object a line.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .artifact_sender import ArtifactSender
from .clean_text import cut, one_line
from .grounding.metrics import GradedSample, GroundingReport
from .row_text import answer_text, target_text
from .values import finite_numbers

if TYPE_CHECKING:
    import wandb

MAX_TEXT = 2000
"""Characters of an instruction, a target or an answer; longer ones are cut, and marked as cut."""
MAX_GROUPS = 10
"""Groupings of a sample (platform, type, …)."""

ARTIFACT_TYPE = "graded_rows"


class GradedRowsFile:
    """The two files of one evaluation set, `<name>_best.jsonl` and `<name>_last.jsonl`.

    They are replaced whole, so that a training that dies leaves the evaluation before it, and not half of one.

    Args:
        folder: Where they go; made if it is missing.
        name: What the evaluation is called: `eval`, or `eval_web` for a named set.
    """

    def __init__(self, folder: Path, name: str = "eval") -> None:
        self.folder = folder
        self.name = name

    def write(self, report: GroundingReport, step: int, *, best: bool) -> None:
        """Write an evaluation's rows as the last, and as the best too if it is that.

        Args:
            report: The evaluation.
            step: Optimizer steps done.
            best: Whether it is the best so far.

        Raises:
            OSError: The folder can't be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{json.dumps(row_record(row, step), allow_nan=False)}\n" for row in report.rows)
        for which in ("last", "best") if best else ("last",):
            path = self.folder / f"{self.name}_{which}.jsonl"
            new = path.with_suffix(".new")
            new.write_text(lines, encoding="utf-8")
            os.replace(new, path)


def log_graded_rows(run: wandb.Run, folder: Path) -> None:
    """Log the files of `folder` as one artifact of the run; nothing if there are none. To be called before it ends.

    The files are named where they lie, without a copy, and must stay there until the run is sent.
    """
    import wandb

    files = sorted(folder.glob("*.jsonl"))
    if not files:
        return
    artifact = wandb.Artifact(f"run_{run.id}_graded_rows", type=ARTIFACT_TYPE)
    for path in files:
        artifact.add_file(str(path), path.name, policy="immutable", skip_cache=True)
    ArtifactSender(run).send(artifact)


def row_record(row: GradedSample, step: int) -> dict[str, Any]:
    """One graded sample in plain values. Places are shares of the screen; what is no finite number is `None`."""
    target, groups = row.sample.target, list(row.sample.groups.items())[:MAX_GROUPS]
    return {
        "id": one_line(row.sample.id),
        "step": step,
        "instruction": cut(row.sample.instruction, MAX_TEXT),
        "target": target_text(row.sample, MAX_TEXT),
        "target_box": finite_numbers(target.box),
        "target_point": finite_numbers(target.point),
        "answer": answer_text(row, MAX_TEXT),
        "status": row.action.status,
        "action": one_line(row.action.kind, 100) if row.action.kind else row.action.kind,
        "point": finite_numbers(row.action.point),
        "correct": row.correct,
        "distance": row.distance if row.distance is not None and math.isfinite(row.distance) else None,
        "outcome": row.outcome,
        "groups": {one_line(name): one_line(value) for name, value in groups},
        **({"mark": row.action.mark} if row.action.mark is not None else {}),
    }
