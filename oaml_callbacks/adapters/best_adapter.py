"""[`BestAdapter`]: which evaluation of a training was the best so far, and so whose adapter is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import keys
from ..best import rank
from .facts import evaluated_at, main_evaluation

if TYPE_CHECKING:
    from ..wandb_logger import WandbLogger
    from .moment import Moment


class BestAdapter:
    """The best evaluation so far.

    It is the Trainer's, where `metric_for_best_model` is set; else the most accurate one, by the rule of the summary's
    `best/*`, and of several named sets by the first.

    Args:
        tracker: The run, which may have been gone on with.

    Attributes:
        step: Optimizer steps done then; `None` before there is one.
        accuracy: Its grounding accuracy, 0-1.
    """

    def __init__(self, tracker: WandbLogger) -> None:
        self.step: int | None = None
        self.accuracy: float | None = None
        self._ranks = tracker.best.ranks
        self._set = next(iter(self._ranks), None)
        self._value: float | None = None
        self._is_earlier = False  # of a training before this one
        if self._set is not None:
            self.step = tracker.summary.get(f"best/{self._set}global_step")

    def begins(self) -> None:
        """Take note that another training begins in the run: its steps are called like those of the one before."""
        self._is_earlier = self.step is not None

    def is_at(self, step: int) -> bool:
        """Whether it is this training's evaluation at that step."""
        return step == self.step and not self._is_earlier

    def improves(self, moment: Moment, metrics: Mapping[str, Any]) -> bool:
        """Take note of an evaluation.

        Args:
            moment: The Trainer, before it has chosen.
            metrics: What the evaluation has yielded.

        Returns:
            Whether it is better than all before it.
        """
        better = self._by_metric(moment, metrics) if moment.metric is not None else self._by_accuracy(metrics)
        if better:
            self.step, self._is_earlier = moment.state.global_step, False
            self.accuracy = _accuracy(metrics, moment.metric)
        return better

    def take_up(self, moment: Moment) -> None:
        """At a training's end: what is known of the best evaluation from before it was gone on with."""
        state, metric = moment.state, moment.metric
        if metric is not None and self._value is None and state.best_metric is not None:
            # What the summary knows is the best by accuracy, which may be another one.
            found = [int(entry["step"]) for entry in state.log_history if entry.get(metric) == state.best_metric]
            self.step, self.accuracy = (found[0] if found else state.best_global_step), None
        if self.step is not None and self.accuracy is None and not self._is_earlier:
            self.accuracy = _accuracy(evaluated_at(moment.state.log_history, self.step), moment.metric)

    def _by_metric(self, moment: Moment, metrics: Mapping[str, Any]) -> bool:
        value = metrics.get(moment.metric or "")
        if value is None or math.isnan(value) or moment.state.global_step == 0:
            return False  # among what is evaluated before the first step (`eval_on_start`) the Trainer doesn't choose
        known = [best for best in (moment.state.best_metric, self._value) if best is not None]
        greater = bool(moment.args.greater_is_better)
        if not all((value > best) if greater else (value < best) for best in known):
            return False
        self._value = value
        # Where none could be measured, the callback tells the Trainer the worst value there is.
        return math.isfinite(value)

    def _by_accuracy(self, metrics: Mapping[str, Any]) -> bool:
        split = main_evaluation(metrics, None).split
        accuracy = metrics.get(f"{split}_{keys.GROUNDING_ACCURACY}")
        if accuracy is None or math.isnan(accuracy):
            return False
        prefix = keys.set_prefix(split)
        self._set = prefix if self._set is None else self._set
        found = rank(accuracy, metrics.get(f"{split}_{keys.GROUNDING_DISTANCE}"))
        if prefix != self._set or (prefix in self._ranks and found >= self._ranks[prefix]):
            return False
        self._ranks[prefix] = found
        return True


def _accuracy(metrics: Mapping[str, Any], metric: str | None) -> float | None:
    return main_evaluation(metrics, metric).figures.get(keys.GROUNDING_ACCURACY)
