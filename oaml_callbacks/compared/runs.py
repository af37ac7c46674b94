"""[`read_runs`]: runs by reference, from their folders or from W&B, as `oaml compare` and `oaml report` read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..best import rank
from ..clean_text import one_line
from ..errors import UserError
from ..suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from .folder_runs import FolderRuns

ACCURACY = "grounding_accuracy"
DISTANCE = "grounding_distance"

MAX_RUNS = 100
"""Runs that are read at once."""
MAX_NAMED = 5
"""Runs that a message names."""

_PART = r"(?!\.{1,2}(?:/|$)|~)[^/\s:?#]{1,128}"
_WANDB_URL = re.compile(rf"https?://[^/\s]+/({_PART})/({_PART})/runs/({_PART})(?:[/?#].*)?")
_WANDB_PATH = re.compile(rf"(?:({_PART})/)?({_PART})/(?:runs/)?({_PART})")


class RunReferenceError(UserError):
    """A run that isn't there, that can't be told from others, or that can't be read."""


@dataclass(frozen=True)
class Answer:
    """What was answered to one sample. Places are shares of the screen, 0-1.

    Args:
        id: The sample's id.
        correct: Whether it counts as right.
        distance: From the click to the target's point, 0-√2; `None` without a click.
        readable: Whether an action could be read in it.
        groups: The sample's groups: `{"platform": "web", "type": "icon"}`.
        instruction: What was asked.
        answer: The model's text.
        target: What would be right, in words.
        box: The target's box, left, top, right, bottom.
        point: The target's point.
        click: Where the answer points.
        outcome: `correct`, `near`, `wrong_side`, `elsewhere`, `unreadable` or `no_place`.
        picture: The screenshot's path in the run folder.
    """

    id: str
    correct: bool
    distance: float | None
    readable: bool
    groups: Mapping[str, str]
    instruction: str
    answer: str
    target: str = ""
    box: tuple[float, ...] | None = None
    point: tuple[float, ...] | None = None
    click: tuple[float, ...] | None = None
    outcome: str | None = None
    picture: str | None = None

    @property
    def miss(self) -> str:
        """In words how it is wrong, as the viewer says it; empty where it is right."""
        if self.correct:
            return ""
        return _MISSES.get(self.outcome or "", "elsewhere" if self.readable else "unreadable")


_MISSES = {
    "near": "near miss",
    "wrong_side": "wrong side",
    "elsewhere": "elsewhere",
    "unreadable": "unreadable",
    "no_place": "no place named",
}


@dataclass(frozen=True)
class RunEvaluation:
    """One evaluation of a run.

    Args:
        key: Its name: `eval@30`, `eval@base`.
        split: The evaluation set: `eval`, `eval_web` for one named `web`.
        step: Optimizer steps done.
        baseline: Whether it is the base model's.
        metrics: By their plain names, `grounding_accuracy` and so on; those that are known.
    """

    key: str
    split: str
    step: int
    baseline: bool
    metrics: Mapping[str, float]


class RunSource(Protocol):
    """Where the long parts of a run are read from, when they are asked for."""

    def history(self) -> Sequence[Mapping[str, float]]:
        """Rows by W&B's keys; of a long run some."""

    def answers(self, evaluation: RunEvaluation) -> Sequence[Answer]:
        """Every answer of an evaluation."""


@dataclass(frozen=True)
class ReadRun:
    """A run as it was read. What takes long (curves, answers) is read when it is asked for.

    Args:
        reference: How it was asked for.
        id: Its id.
        name: Its name, or its id.
        source: `folder` or `wandb`.
        evaluations: By step, the base model's first.
        url: Its page at W&B.
        viewer_url: Where it opens in the viewer.
        dashboard_url: Where its dashboard opens.
        outcome: How the training ended; `None`: it hasn't, or nobody knows.
        started_at: In seconds since the epoch.
        seconds: What the training took.
        steps: Optimizer steps done.
        samples_seen: Training samples seen.
        total_flos: Floating point operations, as the Trainer estimates them.
        gpu: What it was trained on.
        config: The training's settings, flat: `learning_rate`, `lora_r`, `model`, `max_steps`, …
        fingerprints: By evaluation set: `{"fingerprint": str | None, "samples": int, "rules": {...}}`.
        adapter: The name of its adapter's artifact.
        folder: Its run folder.
        notes: What to know of its figures.
    """

    reference: str
    id: str
    name: str
    source: str
    evaluations: Sequence[RunEvaluation]
    _source: RunSource = field(repr=False, compare=False)
    url: str | None = None
    viewer_url: str | None = None
    dashboard_url: str | None = None
    outcome: str | None = None
    started_at: float | None = None
    seconds: float | None = None
    steps: int | None = None
    samples_seen: int | None = None
    total_flos: float | None = None
    gpu: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    fingerprints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    adapter: str | None = None
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def history(self) -> Sequence[Mapping[str, float]]:
        """The curves as rows by W&B's keys, `train/global_step` in each; of a long run some of them.

        Raises:
            RunReferenceError: They can't be read.
        """
        return self._source.history()

    def answers(self, evaluation: RunEvaluation) -> Sequence[Answer]:
        """Every answer of an evaluation.

        Raises:
            RunReferenceError: They aren't kept, or can't be read.
        """
        return self._source.answers(evaluation)

    @property
    def splits(self) -> list[str]:
        """The evaluation sets, in the order of their first evaluations."""
        return list(dict.fromkeys(one.split for one in self.evaluations))

    def baseline(self, split: str = "eval") -> RunEvaluation | None:
        """The base model's evaluation."""
        return next((one for one in self.evaluations if one.split == split and one.baseline), None)

    def last(self, split: str = "eval") -> RunEvaluation | None:
        """The last evaluation that isn't the base model's."""
        return next(iter(reversed(self._trained(split))), None)

    def best(self, split: str = "eval") -> RunEvaluation | None:
        """The best evaluation: highest accuracy, then smallest distance, then earliest; never the base model's."""
        known = [one for one in self._trained(split) if ACCURACY in one.metrics]
        return min(known, key=lambda one: rank(one.metrics[ACCURACY], one.metrics.get(DISTANCE)), default=None)

    def _trained(self, split: str) -> list[RunEvaluation]:
        return [one for one in self.evaluations if one.split == split and not one.baseline]


def read_runs(references: Sequence[str], *, runs_dir: Path | None = None, wandb_timeout: float = 20) -> list[ReadRun]:
    """Read runs.

    Args:
        references: Of each run: the path of its folder; or the id, the name or the beginning of the id of one below
            `runs_dir`; or `entity/project/run_id`, `project/run_id` or the URL of a run at W&B.
        runs_dir: Where run folders are looked for; the default is `OAML_RUNS_DIR`, else `training_output`.
        wandb_timeout: Seconds that W&B may take for each of a run's parts.

    Returns:
        The runs, in the references' order.

    Raises:
        RunReferenceError: One isn't there, several are meant, or it can't be read; says which.
    """
    if len(references) > MAX_RUNS:
        raise RunReferenceError(f"{len(references)} runs are more than the {MAX_RUNS} that are read at once.")
    from .folder_runs import FolderRuns

    there = FolderRuns(runs_dir)
    return [_read(reference, there, wandb_timeout) for reference in references]


def _read(reference: str, there: FolderRuns, wandb_timeout: float) -> ReadRun:
    from .folder_runs import NoRunFolder, read_folder
    from .wandb_runs import read_wandb_run

    shown = one_line(reference)
    if found := _WANDB_URL.fullmatch(reference):
        return read_wandb_run(reference, *found.groups(), timeout=wandb_timeout)
    if "://" in reference:
        raise RunReferenceError(
            f"{shown} is no address of a W&B run: those are https://wandb.ai/ENTITY/PROJECT/runs/RUN_ID."
        )
    without: NoRunFolder | None = None
    try:
        if (run := read_folder(reference, there)) is not None:
            return run
    except NoRunFolder as error:  # W&B's own API makes an empty ENTITY/PROJECT/RUN_ID below WANDB_DIR
        without = error
    if (run := there.find(reference)) is not None:
        return run
    if found := _WANDB_PATH.fullmatch(reference):
        try:
            return read_wandb_run(reference, *found.groups(), timeout=wandb_timeout)
        except RunReferenceError as error:
            if without is None:
                raise
            raise RunReferenceError(f"{without} And as a run of W&B's: {error}") from error
    if without is not None:
        raise without
    names = there.names()
    if not names:
        raise RunReferenceError(
            f"there is no run {shown}: it is no folder, and there are no runs in {there.shown}. Expected a run "
            "folder's path, a run's id or name (--runs-dir says where they are), or a W&B run as "
            "entity/project/run_id."
        )
    hint = did_you_mean(nearest(reference, names))
    listed = "" if hint else f"; there are {', '.join(names[:MAX_NAMED])}{', …' if len(names) > MAX_NAMED else ''}"
    raise RunReferenceError(f"there is no run {shown} in {there.shown}{hint}{listed}")
