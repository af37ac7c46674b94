"""[`WandbLogger`]: one W&B run. The only place in this package that opens or writes to one."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import keys
from .best import BestEvaluations
from .links import LinkTemplates, check_url, markdown
from .values import as_number, fit_name, plain, shown

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

MAX_WARNINGS = 100
"""Metrics that are no numbers are warned of by name; no more than this many."""

EXIT_FAILED = 1
EXIT_INTERRUPTED = 255  # what wandb itself reports for Ctrl-C


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

    Args:
        enabled: `False` makes every method do nothing; wandb isn't imported then.
        project: W&B project.
        config: What the run was configured with.
        entity: W&B user or team.
        name: Shown name; cut to 128 characters. Default: W&B makes one up.
        group: Runs to show together, such as the trials of a search.
        tags: Labels.
        notes: Markdown shown beside the run. The two links are added to them.
        links: Templates of the run's links (see [`LinkTemplates.resolve`]).
        output_dir: For links that ask for it.
        continues: Go on with the finished run of this logger, instead of opening a new one.
        beside: Leave a run that is already open alone, and open another one beside it.

    Raises:
        ImportError: Enabled, but wandb isn't installed.
        LinkError: A link template is wrong.
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
        continues: WandbLogger | None = None,
        beside: bool = False,
    ) -> None:
        self._run: wandb.Run | None = None
        self._owned = False
        self._step: int | None = None
        self.best: BestEvaluations = continues.best if continues else BestEvaluations()
        self._left_out: set[str] = set()
        self.links: dict[str, str] = {}
        self.folder: Path | None = None
        self.url: str | None = None
        self.run_id: str | None = None
        if not enabled:
            return
        require_wandb()
        links = links or LinkTemplates.resolve()  # a template that is wrong is told before a run is open
        import wandb

        if wandb.run is not None and not beside:
            self._run = wandb.run
        else:
            if continues is not None:
                _wait_for_another_folder(continues.folder)
            self._run = wandb.init(
                project=project,
                entity=entity,
                name=fit_name(name),
                group=fit_name(group),
                tags=list(tags) or None,
                notes=notes,
                id=continues.run_id if continues else None,
                resume="allow" if continues else None,
                reinit="create_new" if beside else None,
            )
            self._owned = True
        try:
            self._set_up(config or {}, links, output_dir)
        except BaseException:
            self.finish(EXIT_FAILED)  # nobody would hold it
            raise

    def _set_up(self, config: Mapping[str, Any], links: LinkTemplates, output_dir: str | None) -> None:
        assert self._run is not None
        self.run_id, self.url, self.folder = self._run.id, self._run.url, Path(self._run.dir).parent
        self._run.define_metric(keys.STEP_KEY)
        self._run.define_metric("*", step_metric=keys.STEP_KEY, step_sync=True)
        self.update_config(config)
        self._set_links(links.fill(self._link_values(output_dir)))

    @property
    def run(self) -> wandb.Run | None:
        """The W&B run; `None` when disabled or finished."""
        return self._run

    @property
    def enabled(self) -> bool:
        """Whether there is a run to write to: not disabled, and finished neither by us nor by `wandb.finish()`."""
        # wandb has no public way to ask, and raises at a write to a finished run.
        return self._run is not None and not getattr(self._run, "_is_finished", False)

    @property
    def offline(self) -> bool:
        """Whether the run is written to disk alone, to be sent later by [`sync_command`]."""
        return self.folder is not None and self.folder.name.startswith("offline-run-")

    @property
    def sync_command(self) -> str | None:
        """What to type to send an offline run to W&B; `None` for any other."""
        return f"{_wandb_command()} sync {shown(self.folder)}" if self.folder is not None and self.offline else None

    @property
    def look_command(self) -> str | None:
        """What to type to look at the run in a terminal, from its files; wandb has that command since 0.28."""
        from importlib.metadata import version

        from packaging.version import Version

        known = self.folder is not None and Version(version("wandb")) >= Version("0.28")
        return f"{_wandb_command()} leet {shown(self.folder)}" if self.folder is not None and known else None

    def own(self) -> None:
        """Take over a run that was open already: it is then finished as if this logger had opened it."""
        self._owned = True

    # Writing -----------------------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write one history row.

        Args:
            metrics: Numbers by name: `loss` is written as `train/loss`, `eval_loss` as `eval/loss`, names with a `/`
                as they are. What is no number is left out, with one warning that names it.
            step: Optimizer steps done, the charts' x axis; one that goes backwards loses nothing. Default: the last
                one given.
        """
        if self._run is None:
            return
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

    def log_row(self, row: dict[str, Any]) -> None:
        """Write one history row under its keys as they are; values that are no numbers are left out with a warning.

        wandb's own values, such as tables, go as they are.

        The step goes into the row and never to `run.log(step=)`, which drops rows whose step is behind.
        """
        if self._run is None or not self.enabled:
            return
        for value in row.values():
            if type(value) is not float and type(value) is not int:
                row = self._numbers(row)
                break
        self._run.log(row)
        for key in row:
            if key.endswith(keys.GROUNDING_ACCURACY) and (best := self.best.improve(key, row)):
                self.update_summary(best)

    def update_summary(self, values: Mapping[str, Any]) -> None:
        """Set values of the run's summary."""
        if self._run is not None and self.enabled:
            self._run.summary.update(dict(values))

    def update_config(self, values: Mapping[str, Any]) -> None:
        """Add to the run's config. In a sweep, what the sweep has set stays, and a difference is warned of once."""
        if self._run is None or not self.enabled:
            return
        config, new = self._run.config, dict(values)
        before = {key: config[key] for key in new if key in config} if self._run.sweep_id else {}
        try:
            config.update(new, allow_val_change=True)  # type: ignore[no-untyped-call]
        except TypeError:  # an object that is no JSON
            config.update(plain(new), allow_val_change=True)  # type: ignore[no-untyped-call]
        # wandb itself lets nothing overwrite what a sweep has set.
        kept = sorted(key for key, value in before.items() if _differ(value, new[key]) and config[key] == value)
        if kept:
            logger.warning(
                "The sweep set %s, but the training runs with %s. The run's config says what the sweep set.",
                ", ".join(f"{key}={before[key]!r}" for key in kept),
                ", ".join(f"{key}={new[key]!r}" for key in kept),
            )

    def watch(self, model: Any, *, log: str, log_freq: int) -> None:
        """Log gradients or parameters of `model` as histograms, with the rows of the history (`wandb.watch`)."""
        if self._run is not None:
            self._run.watch(model, log=log, log_freq=log_freq)  # type: ignore[arg-type]

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

    def finish(self, exit_code: int = 0, *, error_type: type[BaseException] | None = None) -> None:
        """Finish the run, if this logger opened it; leave it open otherwise. Safe to call twice.

        Args:
            exit_code: 0 finished, 1 failed, 255 interrupted; W&B shows the run as failed unless it is 0.
            error_type: What ended it; told in the summary's `outcome`.
        """
        run, ended = self._run, not self.enabled
        self._run = None
        if run is None or ended:
            return
        run.summary.update({keys.OUTCOME: outcome_of(exit_code, error_type)})
        if self._owned:
            run.finish(exit_code=exit_code)

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

    def _link_values(self, output_dir: str | None) -> dict[str, str | None]:
        assert self._run is not None
        return {
            "run_id": self._run.id,
            "run_name": self._run.name,
            "project": self._run.project,
            "entity": self._run.entity,
            "output_dir": output_dir,
        }

    def _set_link(self, key: str, url: str) -> None:
        check_url(key, url)
        if self._run is not None:
            self._set_links({**self.links, key: url})

    def _set_links(self, links: Mapping[str, str]) -> None:
        assert self._run is not None
        before, self.links = markdown(self.links), dict(links)
        self.update_summary(links)
        if markdown(links) in (self._run.notes or ""):
            return
        # The notes are Markdown, so there the links can be clicked wherever W&B shows the summary as plain text.
        notes = (self._run.notes or "").removesuffix(before).rstrip() if before else self._run.notes
        self._run.notes = f"{notes}\n\n{markdown(links)}" if notes else markdown(links)


def require_wandb() -> None:
    """Raise if wandb isn't installed.

    Raises:
        ImportError: Names the command that installs it, and how to do without.
    """
    spec = find_spec("wandb")
    # A folder of that name, such as W&B's own of an earlier run, looks like a package without an origin.
    if spec is None or spec.origin is None:
        raise ImportError(
            "Tracking with Weights & Biases is on, but wandb is not installed. Install it with "
            '`pip install "oaml-callbacks[wandb]"`, or turn it off with report_to="none".'
        )


def user_run_is_open() -> bool:
    """Whether a run is open in this process that is no trial of a sweep."""
    import wandb

    return wandb.run is not None and not wandb.run.sweep_id


def exit_code_of(error_type: type[BaseException] | None) -> int:
    """What a run's process would exit with: 0, 255 after Ctrl-C, 1 after any other exception."""
    if error_type is None:
        return 0
    return EXIT_INTERRUPTED if issubclass(error_type, KeyboardInterrupt) else EXIT_FAILED


def _differ(one: Any, other: Any) -> bool:
    scalars = (bool, int, float, str)
    return isinstance(one, scalars) and isinstance(other, scalars) and one != other


def _wait_for_another_folder(folder: Path | None) -> None:
    """Wait, for a second at most, until W&B would name the next folder otherwise than `folder`.

    Folders of an offline run are named by its id and the second; older versions of wandb overwrite the first.
    """
    while folder is not None and time.strftime("-%Y%m%d_%H%M%S-") in folder.name:
        time.sleep(0.05)


def outcome_of(exit_code: int, error_type: type[BaseException] | None) -> str:
    """How it ended, in words. Of an exception the type alone is told: a message may hold anything."""
    if exit_code == 0:
        return "finished"
    if exit_code == EXIT_INTERRUPTED:
        return "interrupted"
    return "failed" if error_type is None else f"failed: {error_type.__name__}"


def _wandb_command() -> str:
    """How this environment's `wandb` is typed: by its path, where the environment isn't the shell's."""
    beside_python = Path(sys.executable).with_name("wandb")
    on_path = shutil.which("wandb")
    if not beside_python.exists() or (on_path is not None and Path(on_path) == beside_python):
        return "wandb"
    return shown(beside_python)
