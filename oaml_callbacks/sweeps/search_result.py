"""What a search without a server leaves behind: its trials, the best of them, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .sweep_file import Goal

State = Literal["finished", "pruned", "failed", "running"]


@dataclass(frozen=True)
class SearchedTrial:
    """One trial of a search.

    Args:
        number: From 1.
        values: What was tried, by the parameters' names.
        state: `finished`, `pruned` (stopped early), `failed`, or `running`: interrupted, to be gone on with.
        value: The metric's best value over the trial's evaluations; `None` where there was none.
        step: Optimizer steps done at that evaluation.
        figures: What else that evaluation logged, by W&B's keys.
        evaluations: Times that the metric was logged.
        seconds: Wall time of its processes.
        own: Whether these are the configuration's own values.
        why: Why it failed.
        folder: Its output folder.
        adapter: The adapter of its best evaluation, or of its end where no checkpoint of that is left.
        run_id: Its W&B run's id.
    """

    number: int
    values: Mapping[str, Any]
    state: State
    value: float | None
    step: int | None
    figures: Mapping[str, float]
    evaluations: int
    seconds: float | None
    own: bool
    why: str | None
    folder: Path
    adapter: Path | None
    run_id: str | None

    def figure(self, key: str, name: str) -> float | None:
        """What the best evaluation logged beside the metric `key`.

        Args:
            key: The metric, such as `eval/grounding_accuracy`.
            name: `grounding_distance`, `grounding_accuracy_low`, …
        """
        return self.figures.get(f"{key.rpartition('grounding_')[0] or 'eval/'}{name}")


@dataclass(frozen=True)
class SearchResult:
    """A search that has ended.

    Args:
        metric: The key that decided.
        goal: Whether more of it is better.
        trials: All of them, in the order of their numbers.
        best: The best of the finished ones; `None` if none finished.
        importance: Of each searched parameter, how much of the trials' ranking it explains by itself, 0-1; largest
            first, empty below 4 trials with a value.
        output_dir: The folder of the search.
        best_config: The best configuration, as a file for `oaml train`.
        picture: How the search went, as a PNG.
        train_command: What trains with the best configuration.
        view_command: What shows the trials' clicks in a browser; `None` without W&B.
        sync_command: What sends the trials to W&B; `None` where nothing is to be sent.
        seconds: Wall time of all trials.
    """

    metric: str
    goal: Goal
    trials: Sequence[SearchedTrial]
    best: SearchedTrial | None
    importance: Mapping[str, float]
    output_dir: Path
    best_config: Path | None
    picture: Path | None
    train_command: str | None
    view_command: str | None
    sync_command: str | None
    seconds: float
    searched: Sequence[str] = field(default=())
    """The names of the parameters that aren't constant."""

    def ranked(self) -> list[SearchedTrial]:
        """The trials, best first: finished ones, then what else has a value, then the rest."""
        return sorted(self.trials, key=lambda trial: rank(trial, self.metric, self.goal))


def rank(trial: SearchedTrial, metric: str, goal: Goal) -> tuple[float, float, float, int]:
    """Smaller is better: finished before others, by the metric, then by the distance, then the earlier one."""
    order = {"finished": 0, "pruned": 1, "running": 2, "failed": 3}[trial.state]
    if trial.value is None:
        return (order, float("inf"), float("inf"), trial.number)
    distance = trial.figure(metric, "grounding_distance")
    return (
        order,
        -trial.value if goal == "maximize" else trial.value,
        float("inf") if distance is None else distance,
        trial.number,
    )
