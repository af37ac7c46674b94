"""Run folders for tests and benchmarks, written by the package's own writer as a training would."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerState

from oaml_callbacks.grounding.metrics import GroundingReport
from oaml_callbacks.keys import trainer_key
from oaml_callbacks.run_folder import layout
from oaml_callbacks.run_folder.writer import RunFolder

from .graded import INSIDE, OUTSIDE, graded, report

FACTS = {"name": "a run", "host": "somewhere", "model": "tiny", "lora_r": 8, "lora_alpha": 16, "samples_per_step": 4}


def trainer_state(step: int = 0, *, max_steps: int = 100, epochs: int = 2) -> TrainerState:
    """A Trainer's state after `step` steps."""
    return TrainerState(
        global_step=step, max_steps=max_steps, epoch=epochs * step / max_steps, num_train_epochs=epochs
    )


def metrics_of(found: GroundingReport, previous: GroundingReport | None = None) -> dict[str, float]:
    """An evaluation's metrics by their plain names, as the callback has them."""
    metrics = found.metrics
    if previous is not None:
        fixed, broken = found.changes(previous)
        metrics |= {"grounding_fixed": len(fixed), "grounding_broken": len(broken)}
    return metrics


def learning(count: int, evaluations: int) -> list[GroundingReport]:
    """Evaluations of the same samples, of which more are right each time, and one cannot be read."""
    reports = []
    for number in range(evaluations):
        right = count * number // max(1, evaluations - 1)
        points: Iterable[Any] = (INSIDE if index < right else OUTSIDE for index in range(count - 1))
        rows = [graded(index, point) for index, point in enumerate(points)]
        reports.append(report([*rows, graded(count - 1, None)]))
    return reports


def write_run(
    parent: Path,
    run_id: str = "abc123",
    *,
    reports: Sequence[GroundingReport] = (),
    every: int = 10,
    losses: int = 20,
    max_steps: int = 100,
    baseline: bool = True,
    outcome: str | None = "finished",
    split: str = "eval",
    links: dict[str, Any] | None = None,
    sets: dict[str, Any] | None = None,
    **facts: Any,
) -> Path:
    """Write a run of `losses` log events, with an evaluation after each `every` steps.

    Args:
        parent: The folder of the runs.
        run_id: Its id.
        reports: Its evaluations; the first is the base model's, with `baseline`.
        every: Steps between two evaluations.
        losses: Log events, evenly over the steps so far.
        max_steps: Steps that it would have.
        baseline: Whether the first evaluation is the base model's.
        outcome: How it ended; `None`: it hasn't.
        split: The evaluation set.
        links: What else is told of it: `url`, `sync_command`, …
        sets: Its evaluation sets' fingerprints.
        facts: What differs from [`FACTS`].

    Returns:
        The run folder.
    """
    state = trainer_state(max_steps=max_steps)
    folder = RunFolder(parent, run_id, {**FACTS, **facts}, state, resumes=False)
    folder.describe(project="clicks", **(links or {}))
    folder.describe_sets(sets or {})
    folder.begin(state)
    trained = len(reports) - 1 if baseline and reports else len(reports)
    last = every * trained if trained else losses
    for index in range(1, losses + 1):
        state.global_step = max(1, last * index // losses)
        row = {"train/loss": 2.0 / index, "train/learning_rate": 1e-3, "train/epoch": state.global_step / 50}
        folder.log({**row, "train/global_step": state.global_step})
    previous = None
    for index, found in enumerate(reports, start=0 if baseline else 1):
        state.global_step, state.epoch = every * index, every * index / 50
        metrics = metrics_of(found, previous)
        folder.evaluation(found, metrics, split=split, state=state, baseline=baseline and index == 0)
        if index:
            logged = {trainer_key(f"{split}_{name}"): value for name, value in metrics.items()}
            folder.log({**logged, "train/global_step": state.global_step})
        previous = found
    state.global_step = last
    if outcome is not None:
        folder.close(outcome)
    else:
        folder.heartbeat.stop()  # as when its process dies
    return folder.path


def fall_silent(folder: Path, seconds: float) -> None:
    """Let the run's last sign of life be `seconds` ago."""
    at = time.time() - seconds
    os.utime(folder / layout.PROGRESS, (at, at))
