"""What tests of resumed trainings share: starting them, and telling whether a run is as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .loopback import Loopback, OwnProcess, Run
from .warm import Job

TRAIN = "tests.small_training:train"
STEPS = 16
EVERY = 2
"""Steps between two losses."""
SAVES = 4
"""Steps between two evaluations, and between two checkpoints."""
ROWS = STEPS // EVERY + STEPS // SAVES
DIES_AT = 11
"""Three steps after the second checkpoint: one loss follows it."""
ARRIVE_S = 1.5
"""Longer than rows are on their way to the disk, and to the server."""
OFFLINE = {"WANDB_MODE": "offline"}

Start = Callable[..., Job]
Undisturbed = tuple[Run, dict[str, Any]]
"""The run of a training that nothing happened to, and what `tests.small_training.train` returned."""


def variables(server: OwnProcess | Loopback) -> dict[str, str]:
    """For a process whose runs the server gets."""
    # Rows are sent each second; W&B's own is 15 s.
    fast = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1", "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1"}
    return {**server.environment(), **fast, "WANDB_DISABLE_GIT": "true"}


def only(server: OwnProcess, before: set[str]) -> Run:
    """The one run that is new."""
    new = [run for key, run in server.runs.items() if key not in before]
    assert len(new) == 1, [run.id for run in new]
    return new[0]


def saved_run(folder: Path, checkpoint: str) -> dict[str, Any]:
    """What a checkpoint knows of its run."""
    state = json.loads((folder / "out" / checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    saved: dict[str, Any] = state["stateful_callbacks"]["OpenAdaptWandbCallback"]["attributes"]["saved_run"]
    return saved


_VOLATILE = ("_runtime", "_timestamp", "runtime", "_per_second", "grounding_seconds")


def comparable(history: Iterable[Mapping[str, Any]], *, tables: bool = True) -> list[dict[str, Any]]:
    """A run's rows as any run of that training must have them: without times, and of tables their size alone."""
    made = []
    for row in history:
        kept = {key: value for key, value in row.items() if not key.endswith(_VOLATILE)}
        made.append(
            {
                key: (value["nrows"], value["ncols"]) if isinstance(value, Mapping) else value
                for key, value in kept.items()
                if tables or not isinstance(value, Mapping)
            }
        )
    return made


def assert_same(run: Run, undisturbed: Undisturbed, *, tables: bool = True) -> None:
    """The rows are those of the training that nothing happened to, each once, and so is the summary."""
    expected = undisturbed[0]
    assert comparable(run.history, tables=tables) == comparable(expected.history, tables=tables)
    assert [row["_step"] for row in run.history] == list(range(ROWS + 1))  # and the row of the training's end
    for key in ("best/", "baseline/", "outcome", "eval/grounding_accuracy", "train/loss"):
        told = {name: value for name, value in run.summary.items() if name.startswith(key)}
        assert told == {name: value for name, value in expected.summary.items() if name.startswith(key)}, key
        assert told
    assert run.summary["viewer_url"].endswith(run.id)
    assert set(expected.config) <= set(run.config)
    assert (run.state, run.exit_code) == ("finished", 0)


def columns(run: Run, *keys: str) -> list[list[Any]]:
    """The values of some keys, row by row."""
    return [[row.get(key) for key in keys] for row in run.history]


def wait_for(file: Path, job: Job, seconds: float = 60.0) -> None:
    """Wait until a job has made a file."""
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, job.printed
        assert not (job.folder / "status").exists(), job.printed
        time.sleep(0.02)


def sync(command: str, server: OwnProcess, at: Path) -> str:
    """Type the command that a user is told; gives what it prints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = {**own, **variables(server), "WANDB_SILENT": "false"}
    done = subprocess.run(
        command, shell=True, cwd=at, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr
