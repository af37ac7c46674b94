"""[`WandbLogger`]: one W&B run. The only place in this package that opens or writes to one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from . import keys
from .best import BestEvaluations
from .clean_text import cut
from .connection import RunConnection, State
from .links import LinkTemplates, check_url, markdown
from .opening import Opening, require_wandb
from .outcome import EXIT_FAILED, exit_code_of, outcome_of
from .resuming import Going
from .row_count import RowCount
from .saved_run import SavedAlerts, SavedRun, as_row
from .secrets import redacted
from .sweep_config import update_config
from .sync import wandb_command
from .values import as_number, fit_name, fit_tags, shown

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

MAX_WARNINGS = 100
"""Metrics that are no numbers are warned of by name; no more than this many."""

MAX_NOTES = 100_000
"""Characters of the notes."""

MAX_FOLDERS = 50
"""Folders of a run that a checkpoint remembers, the newest."""


class WandbLogger:
    """One W&B run: opened when this is made, finished by [`finish`] or at the end of a `with` block.

    For loops without a `Trainer`. It writes the keys of the callback (README's table), so that both share charts:

    ```python
    with WandbLogger(enabled=True, project="openadapt-ml", config={"lora_r": 16}) as tracker:
        for step, batch in enumerate(loader, start=1):
            tracker.log_metrics({"loss": train_step(batch)}, step=step)
        tracker.log_evaluation_summary(accuracy=0.81, avg_distance=0.06, correct_count=104)
    ```

    A run that is already open in the process (`wandb.run`) is used, and left open at the end.

    Nothing of W&B's is raised, unless `strict`: see [`RunConnection`] for what happens where it fails.

    Args:
        enabled: `False` makes every method do nothing; wandb isn't imported then.
        project: W&B project.
        config: What the run was configured with. Secrets are left out.
        entity: W&B user or team.
        name: Shown name; cut to 128 characters. Default: W&B makes one up.
        group: Runs to show together, such as the trials of a search.
        tags: Labels.
        notes: Markdown shown beside the run. The two links are added to them.
        links: Templates of the run's links (see [`LinkTemplates.resolve`]).
        output_dir: For links that ask for it.
        beside: Leave a run that is already open alone, and open another one beside it.
        start_timeout: Seconds that opening may take, before the run goes on offline.
        finish_timeout: Seconds that the end may take, the process's exit included.
        strict: Raise where W&B fails, instead of going on without it.
        saved: The run to go on with, as a checkpoint knows it.
        going: How: see [`how_to_go_on`].
        history: The checkpoint's log history.

    Raises:
        ImportError: Enabled, but wandb isn't installed.
        LinkError: A link template is wrong.
        ValueError: A time limit that isn't above 0.
    """

    def __init__(
        self,
        enabled: bool = False,
        project: str | None = "openadapt-ml",
        config: Mapping[str, Any] | None = None,
        *,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        links: LinkTemplates | None = None,
        output_dir: str | None = None,
        beside: bool = False,
        start_timeout: float = 30.0,
        finish_timeout: float = 60.0,
        strict: bool = False,
        saved: SavedRun | None = None,
        going: Going | None = None,
        history: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.connection = RunConnection(start_timeout=start_timeout, finish_timeout=finish_timeout, strict=strict)
        self.best = BestEvaluations(saved.best if saved is not None else {})
        self.links: dict[str, str] = {}
        self.url: str | None = None
        self.run_id: str | None = None
        self.name: str | None = None
        self.project, self.entity = project, entity
        self._step: int | None = None
        self._rows = RowCount(going.plan.last_kept + 1 if going is not None else 0, saved)
        self._skip = going.plan.skip if going is not None else 0
        self._summary: dict[str, Any] = {}
        self._folders = list(saved.folders) if saved is not None else []
        self._was_online = saved is not None and saved.online
        self._left_out: set[str] = set()
        if not enabled:
            return
        require_wandb()
        links = links or LinkTemplates.resolve()  # a template that is wrong is told before a run is open
        given = {
            "project": project,
            "entity": entity,
            "name": fit_name(name),
            "group": fit_name(group),
            "tags": fit_tags(tags) or None,
            "notes": cut(notes, MAX_NOTES) if notes else None,
        }
        self.connection.open(Opening.of(given, going, beside=beside))
        try:
            self.connection.write(lambda run: self._set_up(run, config or {}, links, output_dir))
            if saved is not None:
                self.update_summary({**saved.summary, **self.links})  # a rewound run has none
            for index in going.plan.again if going is not None else ():
                self.log_row(as_row(history[index]), counted=True)
        except BaseException:
            self.finish(EXIT_FAILED)  # nobody would hold it
            raise

    def _set_up(self, run: wandb.Run, config: Mapping[str, Any], links: LinkTemplates, output_dir: str | None) -> None:
        self.run_id, self.url, self.name = run.id, run.url, run.name
        self.project, self.entity = run.project or self.project, run.entity or self.entity
        self._was_online = self._was_online or self.state == "online"
        if self.folder is not None:
            self._folders.append(redacted(str(self.folder)))
        run.define_metric(keys.STEP_KEY)
        run.define_metric("*", step_metric=keys.STEP_KEY, step_sync=True)
        self.update_config(config)
        values = {"run_id": run.id, "run_name": run.name, "project": run.project, "entity": run.entity}
        self._set_links(links.fill({**values, "output_dir": output_dir}))

    @property
    def run(self) -> wandb.Run | None:
        """The W&B run; `None` when disabled, failed or finished."""
        return self.connection.run

    @property
    def state(self) -> State:
        """Where the run is between `closed` and `finished`; see [`RunConnection`]."""
        return self.connection.state

    @property
    def folder(self) -> Path | None:
        """Where W&B keeps the run on disk."""
        return self.connection.folder

    @property
    def enabled(self) -> bool:
        """Whether there is a run to write to: not disabled, and finished neither by us nor by `wandb.finish()`."""
        return self.connection.is_open

    @property
    def sync_command(self) -> str | None:
        """What to type to send to W&B what it lacks of the run; `None` if it lacks nothing."""
        return self.connection.sync_command

    @property
    def look_command(self) -> str | None:
        """What to type to look at the run in a terminal, from its files."""
        return f"{wandb_command()} leet {shown(self.folder)}" if self.folder is not None else None

    def own(self) -> None:
        """Take over a run that was open already: it is then finished as if this logger had opened it."""
        self.connection.adopt()

    @property
    def owned(self) -> bool:
        """Whether the run is finished by this logger."""
        return self.connection.owned

    @property
    def summary(self) -> dict[str, Any]:
        """What was written to the summary."""
        return dict(self._summary)

    def saved(
        self,
        logged: int,
        *,
        correct: Mapping[str, Mapping[str, bool]] = MappingProxyType({}),
        alerts: SavedAlerts = SavedAlerts(),  # noqa: B008 - it can't be changed
    ) -> SavedRun | None:
        """The run as a checkpoint is to know it; `None` if there is none.

        Args:
            logged: Entries that the Trainer's log history has.
            correct: [`SavedRun.correct`].
            alerts: [`SavedRun.alerts`].
        """
        if self.run_id is None:
            return None
        self._rows.count(self.connection.write(lambda run: run.step))
        return SavedRun(
            run_id=self.run_id,
            project=self.project,
            entity=self.entity,
            step=self._rows.step,
            logged=logged,
            tail=self._rows.tail,
            best=self.best.ranks,
            summary=dict(self._summary),
            folders=self._folders[-MAX_FOLDERS:],
            online=self._was_online,
            correct=dict(correct),
            alerts=alerts,
        )

    # Writing -----------------------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write one history row.

        Args:
            metrics: Numbers by name: `loss` is written as `train/loss`, `eval_loss` as `eval/loss`, names with a `/`
                as they are. What is no number is left out, with one warning that names it.
            step: Optimizer steps done, the charts' x axis; one that goes backwards loses nothing. Default: the last
                one given.
        """
        if step is not None:
            self._step = step
        row = {keys.loop_key(name): value for name, value in metrics.items()}
        if self._step is not None:
            row[keys.STEP_KEY] = self._step
        self.log_row(row)

    def log_evaluation_summary(
        self,
        accuracy: float,
        avg_distance: float,
        correct_count: int | None = None,
        *,
        samples: int | None = None,
        step: int | None = None,
    ) -> None:
        """Write one evaluation's grounding metrics as a history row, and keep the best in the summary.

        Args:
            accuracy: Share of samples whose click lies in the target's box, 0-1.
            avg_distance: Mean distance from click to the box's centre, as a share of the screen.
            correct_count: The accuracy's numerator.
            samples: The accuracy's denominator.
            step: As for [`log_metrics`].
        """
        row = {
            f"eval/{keys.GROUNDING_ACCURACY}": accuracy,
            f"eval/{keys.GROUNDING_DISTANCE}": avg_distance,
            f"eval/{keys.GROUNDING_CORRECT}": correct_count,
            f"eval/{keys.GROUNDING_SAMPLES}": samples,
        }
        self.log_metrics({key: value for key, value in row.items() if value is not None}, step=step)

    def log_row(self, row: dict[str, Any], *, counted: bool = False) -> None:
        """Write one history row under its keys as they are; values that are no numbers are left out with a warning.

        wandb's own values, such as tables, go as they are.

        The step goes into the row and never to `run.log(step=)`, which drops rows whose step is behind.

        Args:
            row: Values by key.
            counted: The row stands in the Trainer's log history too.
        """
        if self._skip and counted:
            self._skip -= 1
            return
        for value in row.values():
            if type(value) is not float and type(value) is not int:
                row = self._numbers(row)
                break
        self.connection.log(row)
        self._rows.written(counted)
        for key in row:
            if key.endswith(keys.GROUNDING_ACCURACY) and (best := self.best.improve(key, row)):
                self.update_summary(best)

    def update_summary(self, values: Mapping[str, Any]) -> None:
        """Set values of the run's summary. Secrets are left out."""
        if not values or not self.enabled:
            return
        cleaned = redacted(dict(values))
        self._summary.update(cleaned)
        self.connection.write(lambda run: run.summary.update(cleaned))

    def update_config(self, values: Mapping[str, Any]) -> None:
        """Add to the run's config. In a sweep, what the sweep has set stays, and a difference is warned of once."""
        self.connection.write(lambda run: update_config(run, redacted(dict(values))))

    def watch(self, model: Any, *, log: str, log_freq: int) -> None:
        """Log gradients or parameters of `model` as histograms, with the rows of the history (`wandb.watch`)."""
        self.connection.write(lambda run: run.watch(model, log=log, log_freq=log_freq))  # type: ignore[arg-type]

    def alert(self, title: str, text: str, level: str) -> None:
        """Send a W&B alert, by mail or Slack as the user's account has it."""
        self.connection.write(lambda run: run.alert(title, text, level=level, wait_duration=0.001))

    def mark_preempting(self) -> None:
        """Tell W&B that the process will be ended soon; what is on its way is sent at once."""
        self.connection.write(lambda run: run.mark_preempting())

    # Links -------------------------------------------------------------------------------------------------------

    def set_viewer_url(self, url: str) -> None:
        """Set the summary's `viewer_url`.

        Raises:
            LinkError: It is no http(s) URL with a host, or has credentials in it.
        """
        self._set_link(keys.VIEWER_URL, url)

    def set_dashboard_url(self, url: str) -> None:
        """Set the summary's `dashboard_url`. Raises as [`set_viewer_url`] does."""
        self._set_link(keys.DASHBOARD_URL, url)

    # Ending ------------------------------------------------------------------------------------------------------

    def finish(
        self, exit_code: int = 0, *, error_type: type[BaseException] | None = None, seconds: float | None = None
    ) -> None:
        """Finish the run, if this logger opened it; leave it open otherwise. Safe to call twice.

        Args:
            exit_code: 0 finished, 1 failed, 255 interrupted, 143 preempted; W&B shows the run as failed unless it is
                0.
            error_type: What ended it; told in the summary's `outcome`.
            seconds: How long it may take. Default: `finish_timeout`.

        Raises:
            Exception: `strict`, and W&B failed, or the run isn't on the server.
        """
        self.update_summary({keys.OUTCOME: outcome_of(exit_code, error_type)})
        self.connection.finish(exit_code, seconds=seconds)

    def __enter__(self) -> WandbLogger:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(exit_code_of(error_type), error_type=error_type)

    # Inside ------------------------------------------------------------------------------------------------------

    def _numbers(self, row: Mapping[str, Any]) -> dict[str, Any]:
        kept = {}
        for key, value in row.items():
            number = as_number(value)
            if number is not None:
                kept[key] = number
            elif key not in self._left_out and len(self._left_out) < MAX_WARNINGS:
                self._left_out.add(key)
                logger.warning(
                    "The metric %r is not logged: its value is no number but %s (said once).",
                    key,
                    type(value).__name__,
                )
        return kept

    def _set_link(self, key: str, url: str) -> None:
        check_url(key, url)
        if self.enabled:
            self._set_links({**self.links, key: url})

    def _set_links(self, links: Mapping[str, str]) -> None:
        before, self.links = markdown(self.links), dict(links)
        self.update_summary(links)
        self.connection.write(lambda run: _set_notes(run, before, markdown(links)))


def _set_notes(run: wandb.Run, before: str, links: str) -> None:
    # The notes are Markdown, so there the links can be clicked wherever W&B shows the summary as plain text.
    if links in (run.notes or ""):
        return
    notes = (run.notes or "").removesuffix(before).rstrip() if before else run.notes
    run.notes = f"{notes}\n\n{links}" if notes else links
