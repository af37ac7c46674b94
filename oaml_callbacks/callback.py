"""[`OpenAdaptWandbCallback`]: the Trainer's events in, calls to the parts that do the work out."""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import TrainerCallback

from . import keys, open_runs, stock
from .click_meter import ClickMeter, EvaluationEvent, Measured, with_vectors
from .evaluation_record import EvaluationRecord, RecordOptions
from .links import LinkTemplates
from .tracked_run import TrackedRun
from .trainer_logs import (
    Evaluation,
    Tracking,
    chooses_the_farthest,
    chosen_by_grounding,
    evaluation_prefix,
    tracking,
)
from .wandb_logger import EXIT_FAILED, WandbLogger, exit_code_of, outcome_of, require_wandb, user_run_is_open

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from .click_meter import Grounding
    from .grounding import GroundingReport

logger = logging.getLogger(__name__)


class OpenAdaptWandbCallback(TrackedRun, TrainerCallback):
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
        grounding: Measures how well the model clicks, at every evaluation: an evaluator, or one for each named
            evaluation set. `"auto"`: if the Trainer's evaluation rows have `images` and `messages`, they are answered
            and graded, 128 of them at most; else what `compute_metrics` yields is forwarded. `None`: it is forwarded.
            A training that chooses its best checkpoint by a grounding metric is evaluated by it without W&B too.
        baseline: Measure the base model, adapter switched off, before the first step; a model without an adapter has
            none.
        max_rows: Samples shown in each evaluation's table, half of them the same every time; 0 for no tables.
        max_media_mb: Megabytes of pictures that a run's tables may hold; later ones go on without new pictures.
        keep_tables: Versions of a table that stay on W&B's server.
        embeddings: Log what the model has made of the table's samples where its answer begins, for W&B's 2-D
            projection.
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
        grounding: Grounding = "auto",
        baseline: bool = True,
        max_rows: int = 32,
        max_media_mb: float = 256.0,
        keep_tables: int = 20,
        embeddings: bool = False,
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
        self.project = project
        self.entity = entity
        self.run_name = run_name
        self.group = group
        self.tags = tuple(tags)
        self.notes = notes
        self.link_templates = LinkTemplates.resolve(viewer_url, dashboard_url)
        self.config = config
        self.last_report: GroundingReport | None = None
        self.in_training = False
        self._clicks = ClickMeter(grounding, baseline=baseline)
        self._record: EvaluationRecord | None = None
        self._record_options = RecordOptions(max_rows, max_media_mb, keep_tables)
        self._embeds = embeddings
        self._trainer: weakref.ref[Any] | None = None
        self._args: TrainingArguments | None = None
        self._control: TrainerControl | None = None
        self._begun = False
        self._searching = False
        self._error: type[BaseException] | None = None
        self._tracking: Tracking = "off"
        self._evaluation: Evaluation | None = None
        stock.expect(self)
        open_runs.watch_trainings()

    # What a script wants to know ----------------------------------------------------------------------

    @property
    def grounding(self) -> Grounding:
        """What measures the clicks, as it was given."""
        return self._clicks.grounding

    @property
    def baseline(self) -> GroundingReport | None:
        """The base model's evaluation; of several evaluation sets, the first one's."""
        return next(iter(self._clicks.baselines.values()), None)

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
            self._clicks.forget()
        self._searching = state.is_hyper_param_search
        self.in_training, self._error = True, None
        self._clicks.begin(state)
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
        """Open the run, look at the labels, and measure the base model."""
        self.begin(args, state, control, model=model, processing_class=processing_class)
        self._begun = False
        if self._grounds(args):
            self._prepare(args, state, model, processing_class)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note that the training came to its end. The run stays open: evaluations may follow."""
        self.in_training = False
        self._clicks.end()
        if self._record is not None:
            self._record.log_rows()  # now, since the user may finish the run
        if self._tracker is not None:
            self._tracker.update_summary({keys.OUTCOME: "finished"})

    def on_training(self, trainer: Any) -> None:
        """Remember the Trainer: its evaluation set is not known to the events before its first evaluation."""
        self._trainer = weakref.ref(trainer)

    def on_training_error(self, error_type: type[BaseException]) -> None:
        """Note that the training died. Its run stays open, and is marked at once."""
        self._begun = False
        self._clicks.end()
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
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write one row. An evaluation's `logs` are the dict that best-metric choice reads next: grounding goes in."""
        if args is not self._args or control is not self._control:
            self._meet(args, control)
        if logs is None:
            return
        measured = None
        if (prefix := evaluation_prefix(logs)) is not None:
            measured = self._measure(
                EvaluationEvent(prefix, logs, state, model, processing_class, eval_dataloader), args
            )
            self._evaluation = Evaluation(prefix, dict(measured.metrics) if measured else {}, frozenset(logs))
        if self._tracking != "on" or not state.is_world_process_zero:
            return
        tracker = self._open(args, state, model, processing_class)
        # Stock may have written the first row of a Trainer that this was added to late; that one lacks the grounding.
        written = stock.has_written(logs)
        self._write(tracker, (measured.metrics if measured else {}) if written else logs, state, measured)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        metrics: dict[str, Any] | None = None,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Forward what the evaluation's log event did not have: metrics added since, or all, if there was none."""
        evaluation, self._evaluation = self._evaluation, None
        if metrics is None or (prefix := evaluation_prefix(metrics)) is None:
            return
        measured = None
        if evaluation is None or evaluation.prefix != prefix:
            measured = self._measure(
                EvaluationEvent(prefix, metrics, state, model, processing_class, eval_dataloader), args
            )
            missing = metrics
        else:
            metrics.update(evaluation.grounding)
            missing = {name: value for name, value in metrics.items() if name not in evaluation.logged}
        if missing and self._tracking == "on" and state.is_world_process_zero:
            self._write(self._open(args, state, model, processing_class), missing, state, measured)
        if self._clicks.failed and chosen_by_grounding(args):
            # Without it the Trainer would end in a KeyError; with this no checkpoint is taken for the best.
            name = f"eval_{str(args.metric_for_best_model).removeprefix('eval_')}"
            metrics.setdefault(name, -math.inf if args.greater_is_better else math.inf)

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
        if self._record is not None:
            self._record.close()
            self._record = None
        if self._tracker is not None:
            self._tracker.finish(exit_code, error_type=self._error)

    # Inside ------------------------------------------------------------------------------------------------------

    def _meet(self, args: TrainingArguments, control: TrainerControl) -> None:
        """Look at whom this callback belongs to now, and whether that Trainer is tracked."""
        if args is not self._args:
            if self._args is not None:
                self.close()
            self._tracker = self._error = None
            self._searching = False
            self._clicks.forget()
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
        processor = self._clicks.processor or processor
        facts = provenance(processor, self.config)
        tracker = WandbLogger(
            enabled=True,
            project=self.project or os.environ.get("WANDB_PROJECT", "huggingface"),
            config={**trainer_config(args, model), "oaml": facts},
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
        self._record = EvaluationRecord(tracker, facts, self._record_options)
        return tracker

    def _write(
        self, tracker: WandbLogger, logs: Mapping[str, Any], state: TrainerState, measured: Measured | None = None
    ) -> None:
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
            # Not by way of the Trainer's logs: its other callbacks copy them, and no table can be copied.
            if measured is not None and self._record is not None:
                row |= self._record.media(measured, state.global_step)
            tracker.log_row(row)

    def _grounds(self, args: TrainingArguments) -> bool:
        # Which checkpoint is the best must not depend on whether somebody is looking.
        return self.grounding is not None and (self._tracking == "on" or chosen_by_grounding(args))

    def _measure(self, event: EvaluationEvent, args: TrainingArguments) -> Measured | None:
        """Measure the clicks, and put the metrics where the Trainer reads them: `eval_grounding_accuracy`, …"""
        measured = self._clicks.measure(event) if self._grounds(args) else None
        if measured is None:
            return None
        if self._embeds and self._tracking == "on":
            measured = with_vectors(measured, event, max_rows=self._record_options.max_rows)
        self.last_report = measured.report or self.last_report
        event.logs.update(measured.metrics)
        history = event.state.log_history
        if history and f"{event.prefix}_runtime" in history[-1]:
            history[-1].update(measured.metrics)  # a copy of the logs, made before this event
        return measured

    def _prepare(self, args: TrainingArguments, state: TrainerState, model: Any, processor: Any) -> None:
        """Before the first step: are the labels right, and how well does the base model click?"""
        trainer = self._trainer() if self._trainer is not None else None
        self._clicks.check(model, processor)
        # Also of a training that is resumed: the evaluation's own event has the rows without their boxes.
        sets = self._clicks.sets(getattr(trainer, "eval_dataset", None), args, model, processor)
        if state.global_step or self.baseline is not None:
            return  # that had its baseline, and so has one that is begun again
        summary: dict[str, float] = {}
        if state.is_world_process_zero:
            labels_ok = self._clicks.check_labels(sets, getattr(trainer, "train_dataset", None), model, processor)
            summary |= {keys.GROUNDING_LABELS_OK: labels_ok} if labels_ok is not None else {}
            for split, evaluator in sets:
                if self._record is not None:
                    self._record.describe(split, evaluator)
        for split, report in self._clicks.measure_baselines(sets, model, processor).items():
            name = split.removeprefix("eval").removeprefix("_")
            for metric in (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE):
                summary[f"baseline/{name}_{metric}" if name else f"baseline/{metric}"] = report.metrics[metric]
        if self._tracker is not None and summary:
            self._tracker.update_summary(summary)
