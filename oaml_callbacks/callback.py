"""[`OpenAdaptWandbCallback`]: the Trainer's events in, calls to the parts that do the work out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformers.trainer_callback import TrainerCallback

from . import keys, open_runs, stock
from .links import LinkTemplates
from .wandb_logger import WandbLogger, require_wandb, user_run_is_open

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from .grounding import GroundingEvaluator, GroundingReport

Tracking = Literal["on", "off", "silenced"]
_TRUE = {"1", "ON", "YES", "TRUE"}  # what transformers takes for true in WANDB_DISABLED


def tracking(args: TrainingArguments) -> Tracking:
    """Whether a Trainer with these arguments is tracked.

    Returns:
        `"on"` where `report_to` has `wandb`. `"off"` where it has not, or with `WANDB_MODE=disabled`, which wandb
        obeys by itself. `"silenced"` with `WANDB_DISABLED`, which transformers 5 no longer knows.
    """
    if "wandb" not in (args.report_to or []) or os.environ.get("WANDB_MODE") == "disabled":
        return "off"
    return "silenced" if os.environ.get("WANDB_DISABLED", "").upper() in _TRUE else "on"


class OpenAdaptWandbCallback(TrainerCallback):
    """Tracks a fine-tuning in Weights & Biases, and says how well the model clicks.

    ```python
    Trainer(..., args=TrainingArguments(..., report_to="wandb"), callbacks=[OpenAdaptWandbCallback()])
    ```

    It writes everything that transformers' own integration writes, under the same keys, and takes its place; without
    `wandb` in `report_to` it does nothing. What it adds, for each evaluation:

    | key | meaning |
    | --- | --- |
    | `eval/grounding_accuracy` | share of samples whose click lies in the target's box; unreadable output is a miss |
    | `eval/grounding_distance` | mean distance from click to the box's centre, as a share of the screen |
    | `eval/grounding_parsed` | share of samples with a readable click |
    | `eval/grounding_correct`, `eval/grounding_samples` | the accuracy's numerator and denominator |
    | summary `best/*`, `baseline/*` | the best evaluation; the base model, adapter switched off |
    | summary `viewer_url`, `dashboard_url` | where this run opens in the viewer |

    The Trainer sees them as `eval_grounding_accuracy` and so on: `metric_for_best_model="grounding_accuracy"`,
    `save_strategy="best"` and early stopping work on them.

    Args:
        grounding: Measures how well the model clicks, at every evaluation. `None`: what `compute_metrics` yields is
            forwarded. A training that chooses its best checkpoint by a grounding metric is evaluated by it without
            W&B too.
        baseline: Measure the base model, adapter switched off, before the first step; a model without an adapter has
            none.
        project: W&B project. Default: `WANDB_PROJECT`, else `huggingface`, as transformers' own integration has it.
        entity: W&B user or team. Default: W&B's own (`WANDB_ENTITY`).
        run_name: Name of the run. Default: the Trainer's `run_name`.
        group: Runs to show together. In a hyperparameter search the trials are grouped by default.
        tags: Labels of the run.
        notes: Markdown shown beside the run; the links are added to it.
        viewer_url: Template of the link to the viewer, with `{run_id}`, `{run_name}`, `{project}`, `{entity}` and
            `{output_dir}`. Default: `OAML_VIEWER_URL`, else `http://localhost:8080/viewer.html?run={run_id}`.
        dashboard_url: Template of the link to the dashboard. Default: `OAML_DASHBOARD_URL`, else
            `http://localhost:8080/dashboard.html?run={run_id}`.
        config: The training configuration as it was given; kept in the run's config as `oaml.config`.

    Raises:
        LinkError: A link template has an unknown field, no scheme or host, or credentials in it.
    """

    def __init__(
        self,
        *,
        grounding: GroundingEvaluator | None = None,
        baseline: bool = True,
        project: str | None = None,
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        viewer_url: str | None = None,
        dashboard_url: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.grounding = grounding
        self.project = project
        self.entity = entity
        self.run_name = run_name
        self.group = group
        self.tags = tuple(tags)
        self.notes = notes
        self.link_templates = LinkTemplates.resolve(viewer_url, dashboard_url)
        self.config = config
        self.baseline: GroundingReport | None = None
        self.last_report: GroundingReport | None = None
        self.in_training = False
        self._measures_baseline = baseline
        self._args: TrainingArguments | None = None
        self._tracking: Tracking = "off"
        self._tracker: WandbLogger | None = None
        self._evaluation: _Evaluation | None = None
        self._grounded_at: tuple[int, str] | None = None
        stock.expect(self)

    # What a script wants to know of the run ----------------------------------------------------------------------

    @property
    def run_id(self) -> str | None:
        """Id of the run that is open, or was last."""
        return self._tracker.run_id if self._tracker else None

    @property
    def run_url(self) -> str | None:
        """The run's page at W&B; `None` offline."""
        return self._tracker.url if self._tracker else None

    @property
    def run_folder(self) -> Path | None:
        """Where W&B keeps the run on disk."""
        return self._tracker.folder if self._tracker else None

    @property
    def links(self) -> dict[str, str]:
        """The run's `viewer_url` and `dashboard_url`."""
        return dict(self._tracker.links) if self._tracker else {}

    @property
    def look_command(self) -> str | None:
        """The command that shows the run's files in a terminal; `None` before wandb 0.28."""
        return self._tracker.look_command if self._tracker else None

    @property
    def sync_command(self) -> str | None:
        """The command that sends an offline run to W&B."""
        return self._tracker.sync_command if self._tracker else None

    # The Trainer's events ----------------------------------------------------------------------------------------

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Claim this Trainer, before anything is logged."""
        self._meet(args, control)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Open the run, and measure the base model."""
        self._meet(args, control)
        if state.is_hyper_param_search:
            self.close()
        self.in_training = True
        self._open(args, state, model, processing_class)
        # A training that goes on from a checkpoint has had its baseline.
        if self._measures_baseline and state.global_step == 0 and self._grounds(args):
            self._measure_baseline(model, processing_class)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note that the training came to its end. The run stays open: evaluations may follow."""
        self.in_training = False
        if self._tracker is not None:
            self._tracker.update_summary({keys.OUTCOME: "finished"})

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Claim a Trainer that this was added to after it was built, before it logs an evaluation."""
        if args is not self._args:
            self._meet(args, control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        logs: dict[str, Any] | None = None,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write one row. An evaluation's `logs` are the dict that best-metric choice reads next: grounding goes in."""
        if args is not self._args:
            self._meet(args, control)
        if logs is None:
            return
        grounding: dict[str, float] = {}
        if (prefix := evaluation_prefix(logs)) is not None:
            grounding = self._ground(prefix, logs, args=args, state=state, model=model, processor=processing_class)
            self._evaluation = _Evaluation(prefix, grounding, frozenset(logs))
        if self._tracking != "on" or not state.is_world_process_zero:
            return
        tracker = self._open(args, state, model, processing_class)
        # Stock may have written the first row of a Trainer that this was added to late; that one lacks the grounding.
        self._write(tracker, grounding if stock.has_written(logs) else logs, state)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        metrics: dict[str, Any] | None = None,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Forward what the evaluation's log event did not have: metrics added since, or all, if there was none."""
        evaluation, self._evaluation = self._evaluation, None
        if metrics is None or (prefix := evaluation_prefix(metrics)) is None:
            return
        if evaluation is None or evaluation.prefix != prefix:
            self._ground(prefix, metrics, args=args, state=state, model=model, processor=processing_class)
            missing = metrics
        else:
            metrics.update(evaluation.grounding)
            missing = {name: value for name, value in metrics.items() if name not in evaluation.logged}
        if missing and self._tracking == "on" and state.is_world_process_zero:
            self._write(self._open(args, state, model, processing_class), missing, state)

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any],
        *,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write a row for `trainer.predict`, which makes no log event."""
        self._meet(args, control)
        if self._tracking == "on" and state.is_world_process_zero:
            tracker = self._open(args, state, model, processing_class)
            tracker.log_row({keys.trainer_key(name): value for name, value in metrics.items()})

    def close(self, exit_code: int = 0) -> None:
        """Finish the run, if this callback opened it. Done by itself when the process ends or another run opens.

        Args:
            exit_code: 0 finished, 1 failed, 255 interrupted.
        """
        open_runs.remove(self)
        self.in_training = False
        if self._tracker is not None:
            self._tracker.finish(exit_code)

    # Inside ------------------------------------------------------------------------------------------------------

    def _meet(self, args: TrainingArguments, control: TrainerControl) -> None:
        """Look at whom this callback belongs to now, and whether that Trainer is tracked."""
        if self._args is not None and args is not self._args:
            self.close()
            self._tracker = None
        self._args = args
        self._tracking = tracking(args)
        if self._tracking == "off":
            stock.forget(self)
            return
        if self._tracking == "on":
            require_wandb()
        stock.claim(self, args, control, run_follows=self._tracking == "on")

    def _open(
        self, args: TrainingArguments, state: TrainerState, model: PreTrainedModel | None, processor: Any
    ) -> WandbLogger:
        if self._tracker is not None and self._tracker.enabled:
            return self._tracker
        if self._tracking != "on" or not state.is_world_process_zero:
            return WandbLogger()
        from .run_config import provenance, trainer_config

        searching = state.is_hyper_param_search
        tracker = WandbLogger(
            enabled=True,
            project=self.project or os.environ.get("WANDB_PROJECT", "huggingface"),
            config={**trainer_config(args, model), "oaml": provenance(processor, self.config)},
            entity=self.entity,
            name=state.trial_name if searching else self.run_name or args.run_name,
            group=self.group or ((args.run_name or args.output_dir) if searching else None),
            tags=self.tags,
            notes=self.notes,
            links=self.link_templates,
            output_dir=args.output_dir,
            continues=None if searching else self._tracker,
            beside=open_runs.make_room() or (searching and user_run_is_open()),
        )
        if tracker.run_id is not None and stock.has_opened(tracker.run_id):
            tracker.own()
        if tracker.owned:
            open_runs.add(self)
        watched = os.environ.get("WANDB_WATCH", "false")
        if watched in ("all", "parameters", "gradients") and model is not None:
            tracker.watch(model, log=watched, log_freq=max(100, state.logging_steps))
        self._tracker = tracker
        return tracker

    def _write(self, tracker: WandbLogger, logs: Mapping[str, Any], state: TrainerState) -> None:
        row, totals = {}, {}
        for name, value in logs.items():
            if name in keys.END_OF_TRAINING:
                totals[name] = value
            else:
                row[keys.trainer_key(name)] = value
        if totals:
            tracker.update_summary(totals)
        if row:
            row[keys.STEP_KEY] = state.global_step
            tracker.log_row(row)

    def _grounds(self, args: TrainingArguments) -> bool:
        # Which checkpoint is the best must not depend on whether somebody is looking.
        chosen_by_grounding = "grounding_" in (args.metric_for_best_model or "")
        return self.grounding is not None and (self._tracking == "on" or chosen_by_grounding)

    def _ground(
        self,
        prefix: str,
        logs: dict[str, Any],
        *,
        args: TrainingArguments,
        state: TrainerState,
        model: Any,
        processor: Any,
    ) -> dict[str, float]:
        """Evaluate by generation, and put the metrics where the Trainer reads them: `eval_grounding_accuracy`, …"""
        if self.grounding is None or not self._grounds(args):
            return {}
        split = prefix.split("_", 1)[0]
        at = (state.global_step, prefix)
        if prefix != split and self._grounded_at is not None:
            # The evaluator has one set of samples: of several named evaluation sets at a step, the first brings it.
            step, first = self._grounded_at
            if step == state.global_step and first != prefix:
                return {}
        self._grounded_at = at
        self.last_report = self.grounding.evaluate(model, processor)
        metrics = {f"{split}_{name}": value for name, value in self.last_report.metrics.items()}
        logs.update(metrics)
        if state.log_history and f"{prefix}_runtime" in state.log_history[-1]:
            state.log_history[-1].update(metrics)  # a copy of the logs, made before this event
        return metrics

    def _measure_baseline(self, model: Any, processor: Any) -> None:
        if self.grounding is None or not hasattr(model, "disable_adapter"):
            return
        with model.disable_adapter():
            self.baseline = self.grounding.evaluate(model, processor)
        if self._tracker is not None:
            kept = (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE)
            self._tracker.update_summary({f"baseline/{name}": self.baseline.metrics[name] for name in kept})

    def is_on_the_stack(self) -> bool:
        """Whether some thread is executing this callback's Trainer at the moment."""
        return open_runs.is_training(self._args)


@dataclass(frozen=True)
class _Evaluation:
    """An evaluation between its log event and its evaluate event."""

    prefix: str
    grounding: dict[str, float]
    logged: frozenset[str]


def evaluation_prefix(logs: Mapping[str, Any]) -> str | None:
    """`eval`, `eval_web` or another `metric_key_prefix` if these are an evaluation's metrics; `None` otherwise.

    Every `Trainer.evaluate` adds the time it took, as `<prefix>_runtime`.
    """
    for name in logs:
        if name.endswith("_runtime") and name != "train_runtime":
            return name[: -len("_runtime")]
    return None
