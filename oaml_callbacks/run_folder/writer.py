"""[`RunFolder`]: one run's folder, written while it trains. World rank 0 alone has one."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

from .. import __version__, keys
from ..clean_text import error_text
from ..saved_run import as_row
from ..values import as_number, fit_file_name, shown
from . import layout
from .evaluations import EvaluationFiles
from .files import append_lines, as_line, keep_lines, replace_file, spelled
from .heartbeat import Heartbeat
from .openadapt_log import OpenAdaptLog, openadapt_facts
from .screenshots import Screenshots

if TYPE_CHECKING:
    from transformers import TrainerState

    from ..grounding import GroundingReport

logger = logging.getLogger(__name__)

LOG_SECONDS = 10.0
"""How often `training_log.json` is written anew, at most."""

State = Literal["training", "evaluating", "ended"]


class RunFolder:
    """The folder of one run: `<parent>/<run_id>`, with `<parent>/current` linked to it.

    What fails here fails with one warning, and never into the training. A run that is gone on with from a checkpoint
    goes on in its folder: what it wrote after the checkpoint is taken away, and what the folder lacks is written from
    the Trainer's log history.

    Args:
        parent: The folder of all runs.
        run_id: The run's id, a name without a `/`.
        facts: From [`run_facts`].
        state: The Trainer's.
        resumes: Whether the run goes on from a checkpoint.
    """

    def __init__(
        self, parent: Path, run_id: str, facts: Mapping[str, Any], state: TrainerState, *, resumes: bool
    ) -> None:
        parent = parent.absolute()  # the script may go elsewhere
        self.path = parent / fit_file_name(run_id)
        self._run_id = run_id
        self._facts = dict(facts)
        self._told = False
        self._lock = RLock()  # a signal may come while it is held
        self._state = state
        self._standing: State = "training"
        self._outcome: str | None = None
        self._ended_at: float | None = None
        self._links: dict[str, Any] = {}
        self._begun_at = self._started_at = time.time()
        self._begun_step = state.global_step
        self._log_written = 0.0
        self._log_split: str | None = None
        self._log = OpenAdaptLog(self.path, openadapt_facts(run_id, self._facts), self._started_at)
        self._log.num_epochs = state.num_train_epochs or 0
        self._evaluations = EvaluationFiles(self.path, Screenshots(self.path))
        self.heartbeat = Heartbeat(self._beat, layout.BEAT_SECONDS)
        self._try(lambda: self._open(parent, resumes=resumes))

    # While it trains ---------------------------------------------------------------------------------------------

    def describe(self, **links: Any) -> None:
        """Write what the run is: its links, its W&B page or its sync command, and the facts."""
        self._links |= links
        self._try(self._write_run)

    def begin(self, state: TrainerState) -> None:
        """Note that a training begins, or goes on."""
        self._state, self._standing, self._outcome, self._ended_at = state, "training", None, None
        self._begun_at, self._begun_step = time.time(), state.global_step
        self._log.outcome, self._log.num_epochs = "running", state.num_train_epochs or 0
        self.heartbeat.start()

    def evaluates(self, evaluating: bool) -> None:
        """Note whether it is evaluating now."""
        if self._standing != "ended":
            self._standing = "evaluating" if evaluating else "training"

    def log(self, row: Mapping[str, Any]) -> None:
        """Add a row of the history: numbers by W&B's keys."""

        def write() -> None:
            at = time.time()
            append_lines(self.path / layout.HISTORY, [as_line({**numbers(row), "at": round(at, 3)})])
            with self._lock:
                self._log.add_loss(row, at=at)

        self._try(write)
        if self._standing != "ended":
            self.heartbeat.start()  # of a run that was opened in the middle of a training

    def evaluation(
        self,
        report: GroundingReport,
        metrics: Mapping[str, float],
        *,
        split: str,
        state: TrainerState,
        baseline: bool = False,
    ) -> None:
        """Add an evaluation: see [`EvaluationFiles.add`]."""

        def write() -> None:
            step, epoch = (0, 0.0) if baseline else (state.global_step, state.epoch)
            self._evaluations.add(report, metrics, split=split, step=step, epoch=epoch, baseline=baseline)
            self._log_split = self._log_split or split  # openadapt-ml's files know one evaluation set
            if split == self._log_split:
                with self._lock:
                    self._log.add_evaluation(report.rows, self._evaluations.pictures(split), epoch=epoch)

        self._try(write)

    def end(self, outcome: str) -> None:
        """Note how the training ended. Evaluations may follow."""
        self._standing, self._outcome, self._ended_at = "ended", outcome, time.time()
        self._log.outcome, self._log.dirty = outcome, True
        self.heartbeat.stop()
        self._beat(last=True)

    def close(self, outcome: str) -> None:
        """End it, if no training's end has."""
        if self._standing != "ended":
            self.end(outcome)
        elif self._log.dirty:  # of an evaluation after the end
            self._beat(last=True)

    # Inside ------------------------------------------------------------------------------------------------------

    def _open(self, parent: Path, *, resumes: bool) -> None:
        (self.path / layout.OWN).mkdir(parents=True, exist_ok=True)
        _link_current(parent, self.path.name)
        self._started_at = _started_at(self.path) or self._started_at
        if resumes:
            self._go_on()
        self._write_run()

    def _go_on(self) -> None:
        """Take away what was written after the checkpoint, and write what the folder lacks from the log history."""
        last = self._state.global_step

        def is_before(record: Mapping[str, Any]) -> bool:
            step = record.get(keys.STEP_KEY, record.get("step", 0))
            return isinstance(step, (int, float)) and step <= last

        keep_lines(self.path / layout.EVALUATIONS, is_before)
        history = self.path / layout.HISTORY
        keep_lines(history, is_before)
        rows = [row for entry in self._state.log_history if (row := as_row(entry))]
        if not history.exists() or not history.stat().st_size:
            append_lines(history, [as_line(numbers(row)) for row in rows])
        for row in rows:
            self._log.add_loss(row, at=self._started_at)

    def _write_run(self) -> None:
        run = {
            "version": layout.VERSION,
            "writer": f"oaml-callbacks {__version__}",
            "id": self._run_id,
            **self._links,
            "started_at": round(self._started_at, 3),
            "facts": self._facts,
        }
        replace_file(self.path / layout.RUN, json.dumps(spelled(run), indent=1) + "\n")

    def _beat(self, *, last: bool = False) -> None:
        self._try(lambda: self._write_progress(last=last))

    def _write_progress(self, *, last: bool) -> None:
        state, now = self._state, time.time()
        if state.global_step == self._begun_step:
            self._begun_at = now  # the base model's evaluation says nothing of how fast steps are
        progress = {
            "state": self._standing,
            "outcome": self._outcome,
            "step": state.global_step,
            "max_steps": state.max_steps,
            "epoch": state.epoch,
            "num_epochs": state.num_train_epochs,
            "ended_at": self._ended_at,
            "begun_at": round(self._begun_at, 3),
            "begun_step": self._begun_step,
            "at": round(now, 3),
        }
        replace_file(self.path / layout.PROGRESS, as_line(progress))
        if last or now - self._log_written >= LOG_SECONDS:
            self._log_written = now
            samples = state.global_step * int(self._facts.get("samples_per_step") or 0)
            with self._lock:
                self._log.write(max_steps=state.max_steps, samples_seen=samples)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 - the folder is for looking at; nothing of it may end a training
            if not self._told:
                self._told = True
                logger.warning(
                    "The run folder %s can't be written to, and lacks what comes now: %s",
                    shown(self.path),
                    error_text(error),
                )


def numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row are numbers, out of their wrappings."""
    plain = {name: as_number(value) for name, value in row.items()}
    return {name: value for name, value in plain.items() if isinstance(value, (int, float))}


def _link_current(parent: Path, name: str) -> None:
    """Let `current` name the run, as openadapt-ml has it."""
    link, new = parent / layout.CURRENT, parent / f".{layout.CURRENT}.{os.getpid()}.new"
    if link.exists() and not link.is_symlink():
        return  # somebody's own
    with suppress(OSError):  # systems without links do without
        new.unlink(missing_ok=True)
        new.symlink_to(name, target_is_directory=True)
        os.replace(new, link)


def _started_at(folder: Path) -> float | None:
    """When an earlier part of the run began."""
    try:
        started = json.loads((folder / layout.RUN).read_text(encoding="utf-8"))["started_at"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return float(started) if isinstance(started, (int, float)) else None
