"""A training that is killed: what is on disk then, and what SIGTERM says before it."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from oaml_callbacks.preemption import GRACE_SECONDS
from oaml_callbacks.testing import read_run

from .loopback import OwnProcess
from .same_run import DIES_AT, OFFLINE, Start, Undisturbed, assert_same, columns, only, wait_for
from .small_training import SAMPLES

MAY_BE_LOST_S = 1.2
"""The second that rows may wait to be written, and the time that they need to W&B's service."""
PACED = {"max_steps": 2000, "logging_steps": 1, "eval_steps": 2, "save_strategy": "no"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_a_random_moment(start: Start, tmp_path: Path, seed: int) -> None:
    """Rows of the last second alone are missing, no file of ours is half of one, and a torn end is read past."""
    chosen = random.Random(seed)
    job = start(environment=OFFLINE, options=PACED, pace=0.01)
    wait_for(tmp_path / "logged", job)
    time.sleep(chosen.uniform(MAY_BE_LOST_S + 0.5, 4.0))
    killed = time.time()
    job.kill()
    assert job.wait() == -signal.SIGKILL
    logged = [float(line) for line in (tmp_path / "logged").read_text(encoding="utf-8").splitlines()]
    run = read_run(tmp_path)
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))
    safe = sum(1 for when in logged if when < killed - MAY_BE_LOST_S)
    assert safe > 0
    assert safe <= len(run.history) <= len(logged) + 1
    for path in (run.path.parent / "grounding" / "rows").glob("*.jsonl"):
        assert len([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]) == SAMPLES
    whole = run.path.read_bytes()
    for cut in chosen.sample(range(len(whole)), 50):
        run.path.write_bytes(whole[:cut])
        torn = read_run(run.path)
        assert torn.history == run.history[: len(torn.history)]


def test_an_evaluation_is_on_disk_a_second_after_it_ended(start: Start, tmp_path: Path) -> None:
    """With its table, while the next step is still being trained."""
    start(environment=OFFLINE, ends_at=5, pause=MAY_BE_LOST_S).wait()
    row = read_run(tmp_path).history[-1]
    assert row["train/global_step"] == 4
    assert row["eval/grounding_table"]["nrows"] == SAMPLES


# SIGTERM -------------------------------------------------------------------------------------------------------------


def test_sigterm_kills_and_the_run_is_preempted(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed
) -> None:
    """What is on its way is sent, the run says what happened to it, and a training that goes on is the same run."""
    before = set(own_server.runs)
    assert start(ends_at=DIES_AT, signum=signal.SIGTERM, pause=0).wait() == -signal.SIGTERM
    died = only(own_server, before)
    assert (died.state, died.exit_code) == ("preempted", 143)
    assert died.summary["outcome"] == "preempted"
    assert [row["train/global_step"] for row in died.history] == [2, 4, 4, 6, 8, 8, 10]
    assert start(resume=True).result()["run_id"] == died.id
    assert_same(only(own_server, before), undisturbed)


@pytest.mark.skipif(int(version("transformers").split(".")[0]) < 5, reason="older Trainers don't save at SIGTERM")
def test_the_trainer_saves_at_sigterm(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The Trainer's own handling goes on untouched: it saves some seconds later, and stops; both know of the run."""
    before = set(own_server.runs)
    job = start(ends_at=4, signum=signal.SIGTERM, options={"enable_jit_checkpoint": True}, pace=0.5)
    job.wait()
    saved = max(int(path.name.partition("-")[2]) for path in (tmp_path / "out").glob("checkpoint-*"))
    assert 4 < saved < 16, job.printed
    stopped = only(own_server, before)
    assert stopped.history[-1]["train/global_step"] >= saved
    assert stopped.summary["outcome"] == "preempted"
    assert (stopped.state, stopped.exit_code) == ("preempted", 143)
    start(resume=True).result()
    run = only(own_server, before)
    # The Trainer takes the mean of the steps since the checkpoint, where that lies between two losses.
    assert columns(run, "train/global_step", "eval/loss") == columns(undisturbed[0], "train/global_step", "eval/loss")


def test_sigterm_while_the_server_hangs(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The process dies within its seconds of grace; what could not be sent is on disk, and is sent later."""
    before = set(own_server.runs)
    own_server.fault("hang", where="file_stream")
    job = start(waits_at=10)
    wait_for(tmp_path / "go.reached", job)
    begun = time.monotonic()
    os.kill(job.pid, signal.SIGTERM)
    assert job.wait() == -signal.SIGTERM
    assert time.monotonic() - begun < GRACE_SECONDS + 2
    own_server.mend()
    start(resume=True).result()
    assert_same(only(own_server, before), undisturbed)


def test_a_handler_of_the_script_decides(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """It is called, and ends the process as it likes; the run is preempted all the same."""
    before = set(own_server.runs)
    assert start(ends_at=DIES_AT, signum=signal.SIGTERM, exits=True).wait() == 9
    died = only(own_server, before)
    assert died.summary["outcome"] == "preempted"
    assert (died.state, died.exit_code) == ("preempted", 143)
    start(resume=True).result()
    assert_same(only(own_server, before), undisturbed)


def test_killed_after_sigterm(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """Offline too: the rows until SIGTERM are on disk."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, signum=signal.SIGTERM, pause=0, environment=OFFLINE).wait()
    start(resume=True).result()
    assert_same(only(own_server, before), undisturbed)
