"""One trial of a search: a real `oaml train` in a process of its own, and what it has logged so far."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from .. import keys
from ..clean_text import cut, one_line
from ..config import RunConfig
from ..run_folder import layout
from ..run_folder.files import read_lines
from ..train import newest_checkpoint
from .in_sweep import LOCAL_TRIAL
from .search_space import as_override

LOG = "log.txt"
RESULT = "result.json"
LOCK = "trial.lock"

GRACE_SECONDS = 60.0
"""How long a trial may take to save its checkpoint, after which it is killed."""
MAX_RESULT = 2**20
"""Bytes of a result that are read."""
MAX_HISTORY = 256 * 2**20
"""Bytes of a history that are read."""
TAIL_BYTES = 64 * 2**10
TAIL_LINES = 5
"""Of a log, what is told of a trial that failed."""

_KEPT_FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "distance", "parsed", "samples")
_NOT_THE_TRIALS = (
    "WANDB_RUN_ID", "WANDB_NAME", "WANDB_RESUME", "WANDB_RUN_GROUP", "WANDB_SWEEP_ID", "WANDB_SERVICE",
)  # fmt: skip


class Runner(Protocol):
    """Says which command trains a trial; a test's may be another than `oaml train`."""

    def __call__(self, config: Path, overrides: Sequence[str], *, wandb: bool, resume: bool) -> Sequence[str]:
        """The command, with `overrides` such as `training.output_dir=…`; its standard output is the trial's result."""


def oaml_train(config: Path, overrides: Sequence[str], *, wandb: bool, resume: bool) -> list[str]:
    """`oaml train` in this Python."""
    switches = ["--json", *(["--wandb"] if wandb else []), *(["--resume"] if resume else [])]
    return [sys.executable, "-m", "oaml_callbacks", "train", str(config), *overrides, *switches]


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a search have in common.

    Args:
        config: The training configuration's file.
        given: The same, read.
        overrides: What the sweep's command changes of it.
        group: What the trials' runs are grouped by.
        wandb: Whether they are tracked in W&B.
        output_dir: The search's folder.
    """

    config: Path
    given: RunConfig
    overrides: tuple[str, ...]
    group: str
    wandb: bool
    output_dir: Path

    def folder(self, number: int) -> Path:
        """Where trial `number`, from 1, writes."""
        return self.output_dir / f"trial-{number:03d}"

    def arguments(self, number: int, values: Mapping[str, Any]) -> list[str]:
        """The overrides of trial `number`."""
        folder = str(self.folder(number).absolute())
        own: dict[str, Any] = {"training.output_dir": folder, "training.disable_tqdm": True}
        if self.given.lora.weights_path is not None:  # all trials would save there
            own["lora.weights_path"] = None
        if self.wandb:
            own |= {
                "wandb.run_name": f"trial-{number:02d}",
                "wandb.group": self.group,
                "wandb.tags": [*self.given.wandb.tags, "local-sweep"],
                "wandb.runs_dir": folder,
            }
        else:
            own["training.report_to"] = "none"
        return [*self.overrides, *(as_override(name, value) for name, value in {**values, **own}.items())]

    def environment(self) -> dict[str, str]:
        """The variables of a trial's process: W&B offline, its files in the search's folder, unless they say else."""
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_THE_TRIALS}
        return {"WANDB_MODE": "offline", "WANDB_DIR": str(self.output_dir.absolute()), **kept, LOCAL_TRIAL: "1"}


class TrialProcess:
    """A trial's process, and its guard, which ends it when this process is gone.

    Args:
        command: What it runs.
        folder: The trial's folder.
        environment: Its variables.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        guard = [sys.executable, "-m", "oaml_callbacks.sweeps.guard", str(folder / LOCK), str(GRACE_SECONDS)]
        with open(folder / LOG, "ab") as log, open(folder / RESULT, "wb") as result:
            self._guard = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.PIPE,
                stdout=result,
                stderr=log,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C at the terminal is the search's to pass on
            )

    def status(self, seconds: float) -> int | None:
        """Its exit status, 128 and the number for a signal; `None` if it still runs after so many seconds."""
        try:
            status = self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if status < 0:  # the guard itself was killed, and may have left what it guards
            self.kill()
        return status if status >= 0 else 128 - status

    def send(self, name: str) -> None:
        """Send it `INT`, `TERM` or `STOP`: see `guard`."""
        assert self._guard.stdin is not None
        with suppress(OSError):
            self._guard.stdin.write(f"{name}\n".encode())
            self._guard.stdin.flush()

    def end(self, name: str, seconds: float = GRACE_SECONDS) -> int:
        """Send it a signal, wait, and kill it where it doesn't end; gives its exit status."""
        self.send(name)
        if (status := self.status(seconds)) is None:
            self.kill()
            status = self.status(seconds)
        return status if status is not None else 128 + signal.SIGKILL

    def kill(self) -> None:
        """End it at once, with all that it started."""
        if os.name == "posix":
            with suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
        else:
            self._guard.kill()


@dataclass(frozen=True)
class Logged:
    """One evaluation, as far as a search is concerned.

    Args:
        step: Optimizer steps done.
        value: The metric; finite.
        figures: What else was logged with it, by W&B's keys: accuracy and its interval, distance, …
    """

    step: int
    value: float
    figures: Mapping[str, float]


@dataclass
class TrialFiles:
    """What a trial has written so far: its run folder, or without W&B its checkpoints and its result.

    Args:
        folder: The trial's folder.
        metric: The key that decides, as the history has it.
    """

    folder: Path
    metric: str
    _stamp: tuple[str, int, int] | None = field(default=None, init=False)
    _logged: list[Logged] = field(default_factory=list, init=False)

    def logged(self) -> list[Logged]:
        """The metric's values so far, in their order; what isn't finite is left out."""
        run = self.run_folder()
        checkpoint = newest_checkpoint(self.folder) if run is None else None
        path = (
            run / layout.HISTORY if run else checkpoint / "trainer_state.json" if checkpoint else self.folder / RESULT
        )
        try:
            status = path.stat()
        except OSError:
            return self._logged
        stamp = (str(path), status.st_size, status.st_mtime_ns)
        if stamp != self._stamp and status.st_size <= MAX_HISTORY:
            self._stamp = stamp
            rows = (
                _history_rows(path, self.metric)
                if run
                else _state_rows(path)
                if checkpoint
                else _result_rows(self.result() or {})
            )
            self._logged = [logged for row in rows if (logged := _as_logged(row, self.metric)) is not None]
        return self._logged

    def run_folder(self) -> Path | None:
        """The folder of the run that the trial began last."""
        found = []
        with suppress(OSError):
            for entry in os.scandir(self.folder):
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("checkpoint-"):
                    with suppress(OSError):
                        found.append((os.stat(Path(entry.path, layout.RUN)).st_mtime_ns, Path(entry.path)))
        return max(found)[1] if found else None

    def standing(self) -> tuple[int, int] | None:
        """Steps done, and steps to do."""
        run = self.run_folder()
        checkpoint = newest_checkpoint(self.folder) if run is None else None
        path = run / layout.PROGRESS if run else checkpoint / "trainer_state.json" if checkpoint else None
        told = (_read_object(path) if path else None) or {}
        step, last = told.get("step" if run else "global_step"), told.get("max_steps")
        if not isinstance(step, int) or not isinstance(last, int) or last <= 0:
            return None
        # What is logged is there at once, and where it stands two seconds later.
        return max([step, *(each.step for each in self.logged()[-1:])]), last

    def is_at_end(self) -> bool:
        """Whether its last step is done."""
        standing = self.standing()
        return standing is not None and standing[0] >= standing[1]

    def result(self) -> dict[str, Any] | None:
        """What the training printed at its end; `None` before."""
        found = _read_object(self.folder / RESULT, MAX_RESULT)
        return found if found is not None and "evaluations" in found else None

    def adapter(self, step: int | None) -> Path | None:
        """The adapter of the evaluation at `step`, or of the training's end where no checkpoint of that is left."""
        result = self.result() or {}
        named = [result.get(name) for name in ("best_checkpoint", "adapter")]
        places = [self.folder / f"checkpoint-{step}", *(Path(place) for place in named if isinstance(place, str))]
        return next((place for place in places if (place / "adapter_config.json").is_file()), None)

    def run_id(self) -> str | None:
        """The W&B run's id."""
        run = self.run_folder()
        about = _read_object(run / layout.RUN) if run else None
        identity = about.get("id") if about else None
        return one_line(identity) if isinstance(identity, str) else None

    def last_lines(self) -> list[str]:
        """The last lines of the log, without secrets."""
        try:
            with open(self.folder / LOG, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
                text = file.read(TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            return []
        lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
        # What W&B says at the end of each run says nothing of this one.
        kept = [line for line in lines if line.strip() and not line.startswith(("wandb:", "oaml: W&B run"))]
        return [one_line(line) for line in kept[-TAIL_LINES:]]


def why_failed(status: int, lines: Sequence[str], settings: TrialSettings) -> str:
    """What was most likely wrong with a trial that ended so."""
    text = "\n".join(lines)
    if "out of memory" in text.lower() or status == 128 + signal.SIGKILL:
        what = (
            "out of memory" if "out of memory" in text.lower() else "killed by the system, most likely out of memory"
        )
        return f"{what}: lower the batch size, or what of the search takes most"
    if status == 0:
        return f"it logged no finite value of the metric; is there something to evaluate on in {settings.config}?"
    if status > 128:
        return f"ended by signal {status - 128}"
    told = cut(lines[-1].removeprefix("error: "), 300) if lines else f"exit status {status}"
    return f"a mistake in the configuration: {told}" if status == 2 else told


def _as_logged(row: Mapping[str, Any], metric: str) -> Logged | None:
    value, step = row.get(metric), row.get(keys.STEP_KEY)
    if value is None or step is None or not _is_finite(value) or not _is_finite(step):
        return None
    prefix = f"{metric.rpartition('grounding_')[0] or 'eval/'}grounding_"
    wanted = [f"{prefix}{name}" for name in _KEPT_FIGURES] + ["eval/loss"]
    figures = {name: float(row[name]) for name in wanted if _is_finite(row.get(name))}
    return Logged(int(step), float(value), figures)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _history_rows(path: Path, metric: str) -> list[dict[str, Any]]:
    rows, name = [], json.dumps(metric)
    for line in read_lines(path):
        if name not in line:  # most are of the training's loss, and the file is read at each evaluation
            continue
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(row)
    return rows


def _state_rows(path: Path) -> list[dict[str, Any]]:
    """A Trainer's log history, with W&B's keys."""
    entries = (_read_object(path) or {}).get("log_history")
    return [
        {**{keys.trainer_key(str(name)): value for name, value in entry.items()}, keys.STEP_KEY: entry.get("step")}
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    ]


def _result_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = {"loss": "eval/loss", **{name: f"eval/grounding_{name}" for name in ("accuracy", "distance", "parsed")}}
    return [
        {keys.STEP_KEY: row.get("step"), **{key: row.get(name) for name, key in names.items()}}
        for row in result.get("evaluations", ())
        if isinstance(row, dict) and row.get("step")  # step 0 is the base model
    ]


def _read_object(path: Path, most: int = MAX_HISTORY) -> dict[str, Any] | None:
    try:
        file: BinaryIO
        with open(path, "rb") as file:
            value = json.loads(file.read(most))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
