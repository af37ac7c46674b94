"""[`OpenAdaptWandbCallback`]: the Trainer's events in, calls to the parts that do the work out."""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import TrainerCallback

from . import keys, open_runs, stock
from .adapters.adapter_events import AdapterEvents
from .adapters.final_saves import watch_saves
from .adapters.options import adapter_options
from .click_meter import ClickMeter, EvaluationEvent, Measured, with_vectors
from .evaluation_record import RecordOptions
from .links import LinkTemplates
from .outcome import EXIT_FAILED, EXIT_PREEMPTED, exit_code_of, outcome_of
from .run_folder.runs_dir import choose_runs_dir
from .run_options import RunOptions
from .tracked_run import TrackedRun
from .trainer_logs import (
    Evaluation,
    Tracking,
    chooses_the_farthest,
    chosen_by_grounding,
    evaluation_prefix,
    tracking,
)
from .trainer_run import TrainerRun
from .trl_tables import prompts_as_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from .adapters.options import LogWhen
    from .click_meter import Grounding
    from .grounding import GroundingReport

logger = logging.getLogger(__name__)


class OpenAdaptWandbCallback(TrackedRun, AdapterEvents, TrainerCallback):
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
        embed: When a training has ended, log its last evaluation as a page (`wandb.Html`, 5 MB at most) that shows the
            clicks to who has only the link to the run.
        log_adapter: Log the LoRA adapter, and nothing else of the model, as the artifact `adapter-<run id>` with the
            aliases `latest`, `best` and `step-N`: of the `"best"` evaluation so far, of every `"checkpoint"`, or of
            the `"end"`. Default: what `WANDB_LOG_MODEL` says, else none.
        keep_last: Versions of it that stay on W&B's server, beside the best and those that somebody named or linked.
        registry: The registry's collection that the best adapter is linked to when the training has ended:
            `organisation/collection`, or `organisation/wandb-registry-NAME/collection`.
        registry_threshold: Link it only if its grounding accuracy is above this, 0-1.
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
        start_timeout: Seconds that W&B may take to open the run. Then it goes on offline, and is sent at the end.
        finish_timeout: Seconds that the run's end may take, the process's exit included. Then the command that sends
            the rest is told.
        strict: Raise where W&B fails, or when rows haven't arrived for `start_timeout`, instead of training on
            without it.
        alerts: Send W&B alerts, once per cause: the loss is NaN, the accuracy is below the base model's, answers can't
            be read any more, the training has ended.
        new_run: Give a training that is resumed a run of its own, instead of going on with the checkpoint's run.
        runs_dir: Where each run gets a folder of its own, for the viewer (`oaml view`). Default: `OAML_RUNS_DIR`, else
            `training_output`. An empty text: none is written.

    Raises:
        LinkError: A link template has an unknown field, no scheme or host, or credentials in it.
        RegistryError: `registry` is no collection of a registry.
        ValueError: A number or a time limit that is too small, or `registry` without `log_adapter`.
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
        embed: bool = False,
        log_adapter: LogWhen | None = None,
        keep_last: int = 3,
        registry: str | None = None,
        registry_threshold: float | None = None,
        project: str | None = None,
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        viewer_url: str | None = None,
        dashboard_url: str | None = None,
        config: Mapping[str, Any] | None = None,
        start_timeout: float = 30.0,
        finish_timeout: float = 60.0,
        strict: bool = False,
        alerts: bool = False,
        new_run: bool = False,
        runs_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.last_report: GroundingReport | None = None
        self.in_training = False
        self._clicks = ClickMeter(grounding, baseline=baseline)
        self._max_rows = max_rows
        self._run = TrainerRun(
            RunOptions(
                links=LinkTemplates.resolve(viewer_url, dashboard_url),
                record=RecordOptions(max_rows, max_media_mb, keep_tables, embed),
                adapter=adapter_options(log_adapter, keep_last, registry, registry_threshold),
                project=project,
                entity=entity,
                run_name=run_name,
                group=group,
                tags=tuple(tags),
                notes=notes,
                config=config,
                start_timeout=start_timeout,
                finish_timeout=finish_timeout,
                strict=strict,
                alerts=alerts,
                new_run=new_run,
                runs_dir=choose_runs_dir(runs_dir),
            ),
            self,
        )
        self._embeds = embeddings
        self._trainer: weakref.ref[Any] | None = None
        self._args: TrainingArguments | None = None
        self._control: Callable[[], TrainerControl | None] = _nothing
        self._begun = False
        self._searching = False
        self._exit_code = 0
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
            self._run.forget()
            self._clicks.forget()
        self._searching = state.is_hyper_param_search
        self.in_training, self._error = True, None
        self._clicks.begin(state)
        saved = self._saved_in(state)
        if saved is not None and saved.correct:  # within one process a later evaluation was the last
            self._clicks.correct = {split: dict(of) for split, of in saved.correct.items()}
        self._run.begin(state, saved)
        if self._opens(args, state, model, processing_class):
            self._run.training_begins(state)
            self._run.watch_for_preemption()

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
        stopped = self._run.preempted and state.global_step < state.max_steps
        self._exit_code = EXIT_PREEMPTED if stopped else 0
        self._adapter_ends(args, state, kwargs)
        self._run.ended(outcome_of(self._exit_code, None))

    def on_training(self, trainer: Any) -> None:
        """Remember the Trainer: its evaluation set is not known to the events before its first evaluation."""
        self._trainer = weakref.ref(trainer)
        watch_saves(type(trainer))
        if self._tracking == "on":
            prompts_as_text(trainer)

    def on_training_error(self, error_type: type[BaseException]) -> None:
        """Note that the training died. Its run stays open, and is marked at once."""
        self._begun = False
        self._clicks.end()
        if not self.in_training:
            return
        self.in_training = False
        if self._run.preempted and not issubclass(error_type, Exception):
            # By the script's own handler of SIGTERM, which ends the process as `sys.exit` does.
            self._exit_code = EXIT_PREEMPTED
            self._run.ended(outcome_of(EXIT_PREEMPTED, None))
        else:
            self._error = error_type
            self._run.died(error_type)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Claim a Trainer that this was added to after it was built, before it logs an evaluation."""
        if args is not self._args or control is not self._control():
            self._meet(args, control)
        self._run.evaluates(True)

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
        if args is not self._args or control is not self._control():
            self._meet(args, control)
        if logs is None:
            return
        measured = None
        if (prefix := evaluation_prefix(logs)) is not None:
            measured = self._measure(
                EvaluationEvent(prefix, logs, state, model, processing_class, eval_dataloader), args
            )
            self._evaluation = Evaluation(prefix, dict(measured.metrics) if measured else {}, frozenset(logs))
        if not self._opens(args, state, model, processing_class):
            return
        # Stock may have written the first row of a Trainer that this was added to late; that one lacks the grounding.
        if stock.has_written(logs):
            self._run.write(measured.metrics if measured else {}, state, measured, counted=False)
        else:
            self._run.write(logs, state, measured, counted=True)

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
        self._run.evaluates(False)
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
        if missing and self._opens(args, state, model, processing_class):
            self._run.write(missing, state, measured, counted=False)
        if self._clicks.failed and chosen_by_grounding(args):
            # Without it the Trainer would end in a KeyError; with this no checkpoint is taken for the best.
            name = f"eval_{str(args.metric_for_best_model).removeprefix('eval_')}"
            metrics.setdefault(name, -math.inf if args.greater_is_better else math.inf)
        self._adapter_evaluated(args, state, metrics, {"model": model, "processing_class": processing_class})

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
        self._run.evaluates(False)
        self._meet(args, control)
        if self._opens(args, state, model, processing_class):
            self._run.write_prediction(metrics)

    def close(self, exit_code: int | None = None) -> None:
        """Finish the run, if this callback opened it. Done by itself when the process ends or another run opens.

        Args:
            exit_code: 0 finished, 1 failed, 255 interrupted. Default: as the last training ended.
        """
        open_runs.remove(self)
        if exit_code is None:
            exit_code = exit_code_of(self._error) or (EXIT_FAILED if self.in_training else self._exit_code)
        self.in_training = False
        self._run.close(exit_code, self._error)

    # Inside ------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_control": _nothing, "_trainer": None}

    def _meet(self, args: TrainingArguments, control: TrainerControl) -> None:
        """Look at whom this callback belongs to now, and whether that Trainer is tracked."""
        if args is not self._args:
            if self._args is not None:
                self.close()
            self._error = None
            self._searching = False
            self._run.forget()
            self._clicks.forget()
            if self.grounding is not None and chooses_the_farthest(args):
                logger.warning(
                    "metric_for_best_model=%r with greater_is_better=True makes the checkpoint that clicks the "
                    "farthest away the best one. Set greater_is_better=False.",
                    args.metric_for_best_model,
                )
        # Weakly: the Trainer replaces its control by one from a checkpoint, and `stock` must see that ours is gone.
        self._args, self._control = args, weakref.ref(control)
        self._tracking = tracking(args)
        if self._tracking == "off":
            stock.forget(self)
            return
        if self._tracking == "on":
            from .opening import require_wandb

            require_wandb()
            open_runs.watch_trainings()
        stock.claim(self, args, control, run_follows=self._tracking == "on")

    def _opens(
        self, args: TrainingArguments, state: TrainerState, model: PreTrainedModel | None, processor: Any
    ) -> bool:
        """Whether there is a run here; it is open then."""
        if self._tracking != "on" or not state.is_world_process_zero:
            return False
        self._run.open(args, state, model, self._clicks.processor or processor)
        return True

    def _grounds(self, args: TrainingArguments) -> bool:
        # Which checkpoint is the best must not depend on whether somebody is looking.
        return self.grounding is not None and (self._tracking == "on" or chosen_by_grounding(args))

    def _measure(self, event: EvaluationEvent, args: TrainingArguments) -> Measured | None:
        """Measure the clicks, and put the metrics where the Trainer reads them: `eval_grounding_accuracy`, …"""
        measured = self._clicks.measure(event) if self._grounds(args) else None
        if measured is None:
            return None
        if self._embeds and self._tracking == "on":
            measured = with_vectors(measured, event, max_rows=self._max_rows)
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
        if state.is_world_process_zero:
            labels_ok = self._clicks.check_labels(sets, getattr(trainer, "train_dataset", None), model, processor)
            if labels_ok is not None:
                self._run.update_summary({keys.GROUNDING_LABELS_OK: labels_ok})
            for split, evaluator in sets:
                self._run.describe(split, evaluator)
        self._run.evaluates(True)
        self._run.baselines(self._clicks.measure_baselines(sets, model, processor), state)
        self._run.evaluates(False)


def _nothing() -> None:
    return None
