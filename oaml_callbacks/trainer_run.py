"""[`TrainerRun`]: the W&B run of one Trainer: opened at its first event, gone on with from its checkpoints."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import keys, open_runs, stock
from .clean_text import error_text
from .evaluation_record import EvaluationRecord
from .outcome import EXIT_PREEMPTED, exit_code_of, outcome_of
from .preemption import Preemption
from .run_options import RunOptions
from .saved_run import SavedAlerts, SavedRun

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerState, TrainingArguments

    from .adapters.adapter_log import AdapterLog
    from .alerts import Alerts
    from .click_meter import Measured
    from .grounding import GroundingReport
    from .resuming import Going
    from .run_folder.writer import RunFolder
    from .wandb_logger import WandbLogger

logger = logging.getLogger(__name__)

ASK_SHARE = 0.5
"""Share of `start_timeout` that a resumed training may take to find out how far its run has come."""


MAX_REMEMBERED = 10_000
"""Samples of which a checkpoint remembers whether they were right; of more, none."""


class TrainerRun:
    """Opens a run for a Trainer, writes its rows, and finishes it.

    Args:
        options: What the run is opened with.
        holder: The callback, which finishes the run when room is needed for another one.

    Attributes:
        tracker: The run; `None` before it was opened.
        adapter: What it logs of the adapter; `None` before, and where it couldn't be opened.
    """

    def __init__(self, options: RunOptions, holder: open_runs.RunHolder) -> None:
        self.options = options
        self.tracker: WandbLogger | None = None
        self.adapter: AdapterLog | None = None
        self._holder = holder
        self._record: EvaluationRecord | None = None
        self._folder: RunFolder | None = None
        self._saved: SavedRun | None = None
        self._resumes = False
        self._alerts: Alerts | None = None
        self._preemption: Preemption | None = None
        self._state: TrainerState | None = None

    @property
    def view_command(self) -> str | None:
        """What to type to see the run in the viewer; `None` without a run folder."""
        from .run_folder.runs_dir import view_command

        return view_command(self._folder.path.parent) if self._folder is not None else None

    # Opening -----------------------------------------------------------------------------------------------------

    def begin(self, state: TrainerState, saved: SavedRun | None) -> None:
        """Note that a training begins, or goes on from a checkpoint.

        Args:
            state: The Trainer's.
            saved: What the checkpoint knows of its run; `None` without one.
        """
        self._state = state
        self._resumes = state.global_step > 0
        if not self._resumes:
            self._saved = None
            return
        tracker, now = self.tracker, self.saved()
        if tracker is not None and tracker.owned and tracker.state != "failed" and now is not None:
            # Of one that is finished too, what it has beyond the checkpoint has to be taken back.
            if tracker.enabled and saved is not None and (now.run_id, now.step) == (saved.run_id, saved.step):
                self._resumes = False  # it goes on where it is
                return
            self.close(0)
            self.tracker = None
        self._saved = saved

    def forget(self) -> None:
        """Begin anew, with another Trainer or another trial of a search."""
        self.tracker = self.adapter = self._saved = self._state = self._folder = None
        self._resumes = False

    def open(
        self, args: TrainingArguments, state: TrainerState, model: PreTrainedModel | None, processor: Any
    ) -> WandbLogger:
        """The run, opened if it isn't open."""
        self._state = state
        # One that has failed stays so: its disk is full, or W&B's service is gone.
        if self.tracker is not None and (self.tracker.enabled or self.tracker.state == "failed"):
            return self.tracker
        # What opens a run is imported when one is opened: a training without W&B has no use for it.
        from .adapters.adapter_log import AdapterLog
        from .opening import user_run_is_open
        from .run_config import provenance, trainer_config
        from .wandb_logger import WandbLogger

        options, searching = self.options, state.is_hyper_param_search
        open_runs.remove(self._holder)  # of a run that was finished by others
        beside = open_runs.make_room() or (searching and user_run_is_open())
        begun = time.monotonic()
        facts = provenance(processor, options.config)
        if self.tracker is not None:
            # By the user already: what did not arrive then is sent, and its folder is neither watched nor locked.
            self.tracker.finish(seconds=options.start_timeout * ASK_SHARE)
        saved, going = (None, None) if searching else self._how_to_go_on(state)
        resumes, self._resumes = self._resumes, False
        self.tracker = tracker = WandbLogger(
            enabled=True,
            project=options.project or os.environ.get("WANDB_PROJECT", "huggingface"),
            config={**trainer_config(args, model), "oaml": facts},
            entity=options.entity,
            name=state.trial_name if searching else options.run_name or args.run_name,
            group=options.group or ((args.run_name or args.output_dir) if searching else None),
            tags=options.tags,
            notes=options.notes,
            links=options.links,
            output_dir=args.output_dir,
            beside=beside,
            start_timeout=max(1.0, options.start_timeout - (time.monotonic() - begun)),
            finish_timeout=options.finish_timeout,
            strict=options.strict,
            saved=saved,
            going=going,
            history=state.log_history,
        )
        if tracker.run_id is not None and stock.has_opened(tracker.run_id):
            tracker.own()
        open_runs.add(self._holder)
        watched = os.environ.get("WANDB_WATCH", "false")
        if watched in ("all", "parameters", "gradients") and model is not None:
            tracker.watch(model, log=watched, log_freq=max(100, state.logging_steps))
        run = tracker.run  # once: it is gone where the disk turns out to be full
        self._record = self.adapter = None
        if run is not None:
            self._record = EvaluationRecord(tracker, run, facts, options.record)
            is_trial = searching or run.sweep_id is not None
            self.adapter = AdapterLog(tracker, run, options.adapter, self._record.described, is_trial=is_trial)
            self.adapter.check(model)
        if resumes:
            self._folder = None  # what it wrote since the checkpoint has to be taken back
        self._open_folder(args, state, model, resumes=going is not None)
        if options.alerts:
            from .alerts import Alerts

            known = saved.alerts if saved is not None else SavedAlerts()
            self._alerts = Alerts(tracker.alert, told=known.told, seen=known.seen)
        return tracker

    def _open_folder(
        self, args: TrainingArguments, state: TrainerState, model: PreTrainedModel | None, *, resumes: bool
    ) -> None:
        tracker, parent, before = self.tracker, self.options.runs_dir, self._folder
        if tracker is None or tracker.run_id is None or parent is None:
            return
        try:
            from .run_folder.facts import run_facts
            from .run_folder.writer import RunFolder

            if before is None or before.run_id != tracker.run_id:
                if before is not None:
                    before.heartbeat.stop()
                facts = run_facts(args, model, name=tracker.name)
                self._folder = RunFolder(parent, tracker.run_id, facts, state, resumes=resumes)
            self._describe_folder()
            logger.info("The run's clicks, while it trains and after: %s", self.view_command)
        except Exception as error:  # noqa: BLE001 - the folder is for looking at; nothing of it may end a training
            logger.warning("The run has no run folder: %s", error_text(error))

    def _describe_folder(self) -> None:
        tracker = self.tracker
        if self._folder is not None and tracker is not None:
            self._folder.describe(
                project=tracker.project,
                entity=tracker.entity,
                url=tracker.url,
                sync_command=tracker.sync_command,
                links=tracker.links,
                **(self.adapter.described() if self.adapter is not None else {}),
            )

    def _how_to_go_on(self, state: TrainerState) -> tuple[SavedRun | None, Going | None]:
        from .opening import has_key, is_offline
        from .resuming import Going, how_to_go_on
        from .saved_run import ResumePlan, plan_resume

        tracker, saved, history = self.tracker, self._saved, state.log_history
        if tracker is not None and (now := self.saved()) is not None:
            # Finished, by `wandb.finish()` or because another run was opened, and there is more to write.
            plan = ResumePlan(now.step - 1, rewind=False, again=())
            earlier = tracker.connection.unsent
            unreachable = "what was written of it before is not sent" if earlier and not is_offline() else None
            return now, Going(now.run_id, plan, unreachable, earlier)
        if not self._resumes:
            return None, None
        if saved is None or self.options.new_run:
            return saved, Going(None, plan_resume(saved or SavedRun(""), history, -1))
        offline = is_offline() or not has_key()
        return saved, how_to_go_on(saved, history, offline=offline, seconds=self.options.start_timeout * ASK_SHARE)

    # Writing -----------------------------------------------------------------------------------------------------

    def write(
        self,
        logs: Mapping[str, Any],
        state: TrainerState,
        measured: Measured | None = None,
        *,
        counted: bool,
    ) -> None:
        """Write what a Trainer's event told, to the history and, at the end of a training, to the summary.

        Args:
            logs: Values by the Trainer's names.
            state: The Trainer's.
            measured: The clicks, if it is an evaluation's event.
            counted: Whether it stands in the Trainer's log history.
        """
        tracker = self.tracker
        if tracker is None:
            return
        row, totals = {}, {}
        for name, value in logs.items():
            if name in keys.END_OF_TRAINING:
                totals[name] = value
            else:
                row[keys.trainer_key(name)] = value
        if totals:
            tracker.update_summary(totals)
            if self._folder is not None:
                self._folder.describe(totals=totals)
        if not row:
            return
        row[keys.STEP_KEY] = state.global_step
        if self._folder is not None:
            self._folder.log(row)
            if measured is not None and measured.report is not None:
                self._folder.evaluation(measured.report, measured.plain_metrics, split=measured.split, state=state)
        if self._alerts is not None:
            self._alerts.row(row, state.global_step)
        # Not by way of the Trainer's logs: its other callbacks copy them, and no table can be copied.
        if measured is not None and self._record is not None:
            row |= self._record.media(measured, state.global_step)
            self._describe_sets()
        tracker.log_row(row, counted=counted)
        if self._preemption is not None and self._preemption.signalled:
            tracker.mark_preempting()  # and so the row is sent at once

    def write_prediction(self, metrics: Mapping[str, Any]) -> None:
        """Write what `trainer.predict` measured, which stands on no step."""
        if self.tracker is not None:
            self.tracker.log_row({keys.trainer_key(name): value for name, value in metrics.items()})

    def training_begins(self, state: TrainerState) -> None:
        """Note that the training begins now, in a run that is open."""
        self.update_summary({keys.OUTCOME: "running"})
        if self.adapter is not None and not state.global_step:
            self.adapter.begins()
        if self._folder is not None:
            self._folder.begin(state)

    def evaluates(self, evaluating: bool) -> None:
        """Note whether the Trainer is evaluating now."""
        if self._folder is not None:
            self._folder.evaluates(evaluating)

    def describe(self, split: str, evaluator: Any) -> None:
        """Put an evaluation set's fingerprint into the run's config."""
        if self._record is not None:
            self._record.describe(split, evaluator)
            self._describe_sets()

    def _describe_sets(self) -> None:
        if self._record is not None and self._folder is not None:
            self._folder.describe_sets(self._record.described)

    def baselines(self, reports: Mapping[str, GroundingReport], state: TrainerState) -> None:
        """Write how well the base model clicks.

        Args:
            reports: Its evaluations, by evaluation set: `eval`, `eval_web`.
            state: The Trainer's.
        """
        summary, accuracy, parsed = {}, {}, {}
        for split, report in reports.items():
            values = report.metrics
            if self._folder is not None:
                self._folder.evaluation(report, values, split=split, state=state, baseline=True)
            prefix = keys.set_prefix(split)
            for metric in (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE):
                summary[f"baseline/{prefix}{metric}"] = values[metric]
            accuracy[prefix], parsed[prefix] = values[keys.GROUNDING_ACCURACY], values[keys.GROUNDING_PARSED]
        self.update_summary(summary)
        if self._alerts is not None:
            self._alerts.baselines(accuracy, parsed)

    def update_summary(self, values: Mapping[str, Any]) -> None:
        """Set values of the summary."""
        if self.tracker is not None:
            self.tracker.update_summary(values)

    def saved(self, correct: Mapping[str, Mapping[str, bool]] | None = None) -> SavedRun | None:
        """The run as a checkpoint is to know it; where none was opened, as the last checkpoint knew it.

        Args:
            correct: Which samples were right in each evaluation set's last evaluation.
        """
        logged = len(self._state.log_history) if self._state is not None else 0
        if correct is None or sum(map(len, correct.values())) > MAX_REMEMBERED:
            correct = {}
        alerts = SavedAlerts(self._alerts.told, self._alerts.seen) if self._alerts is not None else SavedAlerts()
        now = self.tracker.saved(logged, correct=correct, alerts=alerts) if self.tracker is not None else None
        return now or self._saved

    # Ending ------------------------------------------------------------------------------------------------------

    @property
    def preempted(self) -> bool:
        """Whether SIGTERM has arrived during the training."""
        return self._preemption is not None and self._preemption.signalled

    def watch_for_preemption(self) -> None:
        """From now on SIGTERM marks the run. The signal goes on to whom it went before."""
        tracker = self.tracker
        if tracker is None or tracker.run is None or not tracker.owned:
            return
        if self._preemption is None:
            self._preemption = Preemption(self._on_signal, before_death=self._before_death)
        self._preemption.watch()

    def _on_signal(self) -> None:
        self._tell_end(outcome_of(EXIT_PREEMPTED, None))
        if self.tracker is not None:
            self.tracker.mark_preempting()

    def _before_death(self, left: float) -> None:
        begun = time.monotonic()
        if self._folder is not None:
            self._folder.end_at_once(outcome_of(EXIT_PREEMPTED, None))
        if self.tracker is not None:
            self.tracker.connection.finish(EXIT_PREEMPTED, seconds=max(0.0, left - (time.monotonic() - begun)))

    def ended(self, outcome: str) -> None:
        """Note how the training ended. The run stays open: evaluations may follow."""
        if self._record is not None:
            self._record.log_pages()  # now, since the user may finish the run
            self._record.log_rows()
        if self._folder is not None:
            self._folder.end(outcome)
        self._tell_end(outcome)

    def _tell_end(self, outcome: str) -> None:
        self.update_summary({keys.OUTCOME: outcome})
        if self._alerts is not None and self.tracker is not None and self._state is not None:
            self._alerts.ended(outcome, step=self._state.global_step, best=self.tracker.summary)

    def died(self, error_type: type[BaseException]) -> None:
        """Note that the training died."""
        self.ended(outcome_of(exit_code_of(error_type), error_type))

    def close(self, exit_code: int, error_type: type[BaseException] | None = None) -> None:
        """Finish the run, if it was opened here."""
        begun = time.monotonic()
        if self._preemption is not None:
            self._preemption.release()
        if self._record is not None:
            self._record.close()
            self._record = None
        try:
            if self.adapter is not None:
                self.adapter.flush()
            if self.tracker is not None:
                left = self.options.finish_timeout - (time.monotonic() - begun)
                self.tracker.finish(exit_code, error_type=error_type, seconds=left)
            if self.adapter is not None:
                self.adapter.close(exit_code, self.options.finish_timeout - (time.monotonic() - begun))
        finally:  # what `strict` raises
            if self._folder is not None:
                self._folder.close(outcome_of(exit_code, error_type))
                self._describe_folder()  # whether there is something left to send is known now
            self._preemption = None
