"""[`RunFolder`]: one run's folder, written while it trains. World rank 0 alone has one."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, keys
from ..clean_text import error_text
from ..saved_run import as_row
from ..secrets import redacted
from ..values import as_number, plain, shown
from . import layout
from .evaluations import EvaluationFiles
from .files import append_lines, as_line, keep_lines, replace_file, spelled
from .heartbeat import Heartbeat
from .openadapt_log import OpenAdaptLog, openadapt_facts
from .progress import Progress
from .screenshots import Screenshots

if TYPE_CHECKING:
    from transformers import TrainerState

    from ..grounding import GroundingReport

logger = logging.getLogger(__name__)

LOG_SECONDS = 10.0
"""How often `training_log.json` is written anew, at most."""


class RunFolder:
    """The folder of one run: `<parent>/<run_id>`, with `<parent>/current` linked to it.

    What fails here fails with one warning, and never into the training. A run that is gone on with from a checkpoint
    goes on in its folder: what it wrote after the checkpoint is taken away. A folder without a history, as on another
    machine, gets the Trainer's log history.

    Args:
        parent: The folder of all runs.
        run_id: The run's id.
        facts: From [`run_facts`].
        state: The Trainer's.
        resumes: Whether the run goes on from a checkpoint.

    Attributes:
        path: The folder.
        heartbeat: Gives signs of life while the run trains.
    """

    def __init__(
        self, parent: Path, run_id: str, facts: Mapping[str, Any], state: TrainerState, *, resumes: bool
    ) -> None:
        parent = parent.absolute()  # the script may go elsewhere
        self.path = parent / layout.folder_name(run_id)
        self.run_id = run_id
        self._facts = dict(facts)
        self._told = False
        self._links: dict[str, Any] = {}
        self._sets: dict[str, Any] = {}
        self._started_at = time.time()
        self._log_written = 0.0
        self._log_split: str | None = None
        self._log = OpenAdaptLog(openadapt_facts(run_id, self._facts), self._started_at)
        self._log.num_epochs = state.num_train_epochs or 0
        self._evaluations = EvaluationFiles(self.path, Screenshots(self.path))
        self._progress = Progress(self.path, state)
        self.heartbeat = Heartbeat(self._beat, layout.BEAT_SECONDS)
        self._try(lambda: self._open(parent, state, resumes=resumes))

    # While it trains ---------------------------------------------------------------------------------------------

    def describe(self, **links: Any) -> None:
        """Write what the run is: its links, its W&B page or its sync command, and the facts."""
        self._links |= links
        self._try(self._write_run)

    def describe_sets(self, sets: Mapping[str, Any]) -> None:
        """Write each evaluation set's fingerprint, size and rules, if there is something new.

        Args:
            sets: By their names, as the run's config has them under `oaml.grounding`.
        """
        cleaned: dict[str, Any] = redacted(plain(sets))
        if any(self._sets.get(name) != facts for name, facts in cleaned.items()):
            self._sets |= cleaned
            self._try(self._write_run)

    def begin(self, state: TrainerState) -> None:
        """Note that a training begins, or goes on."""
        self._progress.begin(state)
        self._log.outcome, self._log.num_epochs = "running", state.num_train_epochs or 0
        self._try(self.heartbeat.start)

    def evaluates(self, evaluating: bool) -> None:
        """Note whether it is evaluating now."""
        self._progress.evaluates(evaluating)

    def log(self, row: Mapping[str, Any]) -> None:
        """Add a row of the history: numbers by W&B's keys."""

        def write() -> None:
            at, plain = time.time(), numbers(row)
            append_lines(self.path / layout.HISTORY, [as_line({**plain, "at": round(at, 3)})])
            self._log.add_loss(plain, at=at)

        self._try(write)

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
            figures = numbers(metrics)
            self._evaluations.add(report, figures, split=split, step=step, epoch=epoch, baseline=baseline)
            self._log_split = self._log_split or split  # openadapt-ml's files know one evaluation set
            if split == self._log_split:
                pictures = self._evaluations.pictures(split)
                name, text = self._log.add_evaluation(report.rows, pictures, epoch=epoch)
                replace_file(self.path / name, text)

        self._try(write)

    def end(self, outcome: str) -> None:
        """Note how the training ended. Evaluations may follow."""
        self._progress.end(outcome)
        self._log.end(outcome)
        self.heartbeat.stop()
        self._beat(last=True)

    def end_at_once(self, outcome: str) -> None:
        """The same for a process that is about to be killed: it waits for nobody, and writes the one small file."""
        self._progress.end(outcome)
        self.heartbeat.stop(wait=False)
        self._try(self._progress.write)

    def close(self, outcome: str) -> None:
        """End it, if no training's end has."""
        if self._progress.standing != "ended":
            self.end(outcome)
        else:
            self._beat(last=True)  # an evaluation may have followed

    # Inside ------------------------------------------------------------------------------------------------------

    def _open(self, parent: Path, state: TrainerState, *, resumes: bool) -> None:
        if self.path.is_symlink():
            raise OSError("it is a link")
        (self.path / layout.OWN).mkdir(parents=True, exist_ok=True)
        _link_current(parent, self.path.name)
        self._started_at = _started_at(self.path) or self._started_at
        if resumes:
            self._go_on(state)
            self._sets = {**_described_sets(self.path), **self._sets}
        self._write_run()

    def _go_on(self, state: TrainerState) -> None:
        """Take away what was written after the checkpoint; a missing history is written from the log history."""
        last = state.global_step

        def is_before(record: Mapping[str, Any]) -> bool:
            step = record.get(keys.STEP_KEY, record.get("step", 0))
            return isinstance(step, (int, float)) and step <= last

        keep_lines(self.path / layout.EVALUATIONS, is_before)
        history = self.path / layout.HISTORY
        keep_lines(history, is_before)
        rows = [row for entry in state.log_history if (row := as_row(entry))]
        if not history.exists() or not history.stat().st_size:
            append_lines(history, [as_line(numbers(row)) for row in rows])
        for row in rows:
            self._log.add_loss(row, at=self._started_at)
        with suppress(OSError, ValueError):
            self._log.take_up(json.loads((self.path / layout.TRAINING_LOG).read_text(encoding="utf-8")), state.epoch)

    def _write_run(self) -> None:
        run = {
            "version": layout.VERSION,
            "writer": f"oaml-callbacks {__version__}",
            "id": self.run_id,
            **self._links,
            "started_at": round(self._started_at, 3),
            "facts": self._facts,
            "grounding": self._sets,
        }
        replace_file(self.path / layout.RUN, json.dumps(spelled(run), indent=1) + "\n")

    def _beat(self, *, last: bool = False) -> None:
        self._try(self._progress.write)
        if last or time.time() - self._log_written >= LOG_SECONDS:
            self._log_written = time.time()
            self._try(self._write_log)

    def _write_log(self) -> None:
        state = self._progress.state
        samples = state.global_step * int(self._facts.get("samples_per_step") or 0)
        text = self._log.text(max_steps=state.max_steps, samples_seen=samples)
        if text is not None:
            replace_file(self.path / layout.TRAINING_LOG, text)

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


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """What of a row are numbers, out of their wrappings."""
    found: dict[str, float] = {}
    for name, value in row.items():
        number = as_number(value)
        if isinstance(number, Integral):
            found[name] = int(number)
        elif isinstance(number, Real):
            found[name] = float(number)
    return found


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
    started = _told(folder, "started_at")
    return float(started) if isinstance(started, (int, float)) else None


def _described_sets(folder: Path) -> dict[str, Any]:
    """The evaluation sets of an earlier part of the run."""
    sets = _told(folder, "grounding")
    return sets if isinstance(sets, dict) else {}


def _told(folder: Path, name: str) -> Any:
    """What an earlier part of the run has told of it."""
    try:
        return json.loads((folder / layout.RUN).read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, TypeError, KeyError):
        return None
