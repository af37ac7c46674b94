"""A full disk ends the logging with one warning, and never the training; what was there stays readable."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .loopback import OwnProcess
from .same_run import OFFLINE, Undisturbed, variables
from .small_training import SAMPLES
from .warm import Job, Warm

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone

TRAIN = "tests.small_training:train_on_a_small_disk"
FILLED_AT = 6
PACE_S = 0.3
"""Seconds a step: the rows of step 2 and its evaluation are on disk when it is filled."""

Start = Callable[..., Job]


@pytest.fixture
def start(processes: Warm, own_server: OwnProcess, tmp_path: Path) -> Start:
    """Starts a small training with W&B's files on a small disk of its own."""
    mount = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount anything")

    def started(*, environment: dict[str, str], **given: Any) -> Job:
        everything = {**variables(own_server), **environment}
        return processes.start(TRAIN, tmp_path, environment=everything, megabytes=2, **given)

    return started


def warnings(job: Job) -> list[str]:
    """What the training's log says that isn't as it should be; wandb's own log and tracebacks too."""
    return [line for line in job.printed.splitlines() if any(w in line for w in ("WARN", "ERROR", "error", "Trace"))]


def losses(history: list[dict[str, float]]) -> list[float]:
    return [entry[name] for entry in history for name in ("loss", "eval_loss") if name in entry]


@pytest.mark.parametrize("environment", [OFFLINE, {}], ids=["offline", "online"])
def test_a_disk_that_is_filled_midway(start: Start, undisturbed: Undisturbed, environment: dict[str, str]) -> None:
    """The training ends with the same losses; the rows until then can be read, and no file is half of one."""
    job = start(environment=environment, fills_at=FILLED_AT, pace=PACE_S)
    result = job.result()
    assert losses(result["history"]) == losses(undisturbed[1]["history"])
    assert len(warnings(job)) == 1, job.printed
    assert "its disk is full" in warnings(job)[0]
    assert [row["_step"] for row in result["read"]][:2] == [0, 1]
    for name, text in result["graded"].items():
        if name.endswith(".jsonl"):
            assert len([json.loads(line) for line in text.splitlines()]) == SAMPLES
    assert {"eval_last.jsonl", "eval_best.jsonl"} <= set(result["graded"])


@pytest.mark.parametrize("environment", [OFFLINE, {}], ids=["offline", "online"])
def test_a_disk_that_is_full_from_the_start(
    start: Start, undisturbed: Undisturbed, environment: dict[str, str]
) -> None:
    """No run can be opened, and the training goes on without one."""
    job = start(environment=environment, full=True)
    result = job.result()
    assert losses(result["history"]) == losses(undisturbed[1]["history"])
    assert len(warnings(job)) == 1, job.printed


def test_strict_ends_the_training(start: Start) -> None:
    """Who'd rather stop than train unseen is told why."""
    job = start(environment=OFFLINE, fills_at=FILLED_AT, pace=PACE_S, strict=True)
    assert job.wait() == 1
    assert "RuntimeError: W&B: its disk is full" in job.printed
