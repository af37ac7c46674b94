"""[`OpenAdaptWandbCallback`]: the Trainer's events in, calls to the parts that do the work out."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import TrainerCallback

from . import keys, open_runs, stock
from .links import LinkTemplates
from .trainer_logs import Evaluation, Tracking, chooses_the_farthest, evaluation_prefix, tracking
from .wandb_logger import EXIT_FAILED, WandbLogger, exit_code_of, outcome_of, require_wandb, user_run_is_open

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from .grounding import GroundingEvaluator, GroundingReport

logger = logging.getLogger(__name__)


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
        self._control: TrainerControl | None = None
        self._begun = False
        self._searching = False
        self._error: type[BaseException] | None = None
        self._tracking: Tracking = "off"
        self._tracker: WandbLogger | None = None
        self._evaluation: Evaluation | None = None
        self._grounded_at: tuple[int, str] | None = None
        stock.expect(self)
        open_runs.watch_trainings()

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

    def begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Open the run of a training that begins: at stock's turn where it stands aside, else at this callback's."""
        if self._begun:
            return
        self._begun = True
        self._meet(args, control)
        if state.is_hyper_param_search or self._searching:
            self.close()
            self._tracker = None
        self._searching = state.is_hyper_param_search
        self.in_training, self._error, self._grounded_at = True, None, None
        self._open(args, state, model, processing_class).update_summary({keys.OUTCOME: "running"})

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
        self.begin(args, state, control, model=model, processing_class=processing_class)
        self._begun = False
        # A training that goes on from a checkpoint has had its baseline, and so has one that is begun again.
        if state.global_step == 0 and (self.baseline is None or self._searching):
            self._measure_baseline(args, model, processing_class)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note that the training came to its end. The run stays open: evaluations may follow."""
        self.in_training = False
        if self._tracker is not None:
            self._tracker.update_summary({keys.OUTCOME: "finished"})

    def on_training_error(self, error_type: type[BaseException]) -> None:
        """Note that the training died. Its run stays open, and is marked at once."""
        self._begun = False
        if self.in_training:
            self.in_training, self._error = False, error_type
            if self._tracker is not None:
                self._tracker.update_summary({keys.OUTCOME: outcome_of(exit_code_of(error_type), error_type)})

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Claim a Trainer that this was added to after it was built, before it logs an evaluation."""
        if args is not self._args or control is not self._control:
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
        if args is not self._args or control is not self._control:
            self._meet(args, control)
        if logs is None:
            return
        grounding: dict[str, float] = {}
        if (prefix := evaluation_prefix(logs)) is not None:
            grounding = self._ground(prefix, logs, args=args, state=state, model=model, processor=processing_class)
            self._evaluation = Evaluation(prefix, grounding, frozenset(logs))
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

    def close(self, exit_code: int | None = None) -> None:
        """Finish the run, if this callback opened it. Done by itself when the process ends or another run opens.

        Args:
            exit_code: 0 finished, 1 failed, 255 interrupted. Default: as the last training ended.
        """
        open_runs.remove(self)
        if exit_code is None:
            exit_code = exit_code_of(self._error) or (EXIT_FAILED if self.in_training else 0)
        self.in_training = False
        if self._tracker is not None:
            self._tracker.finish(exit_code, error_type=self._error)

    # Inside ------------------------------------------------------------------------------------------------------

    def _meet(self, args: TrainingArguments, control: TrainerControl) -> None:
        """Look at whom this callback belongs to now, and whether that Trainer is tracked."""
        if args is not self._args:
            if self._args is not None:
                self.close()
            self._tracker = self.baseline = self._error = self._grounded_at = None
            self._searching = False
            if self.grounding is not None and chooses_the_farthest(args):
                logger.warning(
                    "metric_for_best_model=%r with greater_is_better=True makes the checkpoint that clicks the "
                    "farthest away the best one. Set greater_is_better=False.",
                    args.metric_for_best_model,
                )
        self._args, self._control = args, control
        self._tracking = tracking(args)
        if self._tracking == "off":
            stock.forget(self)
            return
        if self._tracking == "on":
            require_wandb()
            open_runs.watch_trainings()
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
        open_runs.remove(self)  # of a run that was finished by others
        processor = getattr(self.grounding, "processor", None) or processor
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
        named = prefix.startswith("eval_")
        if named and self._grounded_at is not None:
            # The evaluator has one set of samples: of several named evaluation sets at a step, the first brings it.
            step, first = self._grounded_at
            if step == state.global_step and first != prefix:
                return {}
        self._grounded_at = (state.global_step, prefix)
        from .grounding import NoUsableSamples

        try:
            self.last_report = self.grounding.evaluate(model, processor)
        except NoUsableSamples as error:
            logger.warning("This evaluation has no grounding: %s", error)
            return {}
        split = "eval" if named else prefix
        metrics = {f"{split}_{name}": value for name, value in self.last_report.metrics.items()}
        logs.update(metrics)
        if state.log_history and f"{prefix}_runtime" in state.log_history[-1]:
            state.log_history[-1].update(metrics)  # a copy of the logs, made before this event
        return metrics

    def _measure_baseline(self, args: TrainingArguments, model: Any, processor: Any) -> None:
        if not self._measures_baseline or self.grounding is None or not self._grounds(args):
            return
        if not hasattr(model, "disable_adapter"):
            return
        from .grounding.evaluator import adapter_disabled

        with adapter_disabled(model):
            self.baseline = self.grounding.evaluate(model, processor)
        if self._tracker is not None:
            kept = (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE)
            self._tracker.update_summary({f"baseline/{name}": self.baseline.metrics[name] for name in kept})
