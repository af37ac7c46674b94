"""Where a run that a checkpoint knows is gone on with in an environment that stands in the way."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import wandb

from oaml_callbacks import WandbLogger, opening
from oaml_callbacks.connection import RunConnection
from oaml_callbacks.opening import Limits, Opening, is_offline, open_run
from oaml_callbacks.resuming import run_folders
from oaml_callbacks.run_lock import is_locked
from oaml_callbacks.saved_run import SavedRun
from oaml_callbacks.sync import send
from oaml_callbacks.testing import RecordedRun, read_run, read_runs

from . import small_training
from .builders import read_back
from .loopback import Loopback
from .outages import break_it
from .same_run import comparable
from .test_run_goes_on import joined


def test_a_run_that_was_finished_is_taken_back_to_the_checkpoint(offline: Path) -> None:
    """By the user, after the training: from an earlier checkpoint no step is there twice."""
    ours = small_training.callback()
    trainer = small_training.trainer(offline, [ours])
    trainer.train()
    wandb.finish()
    whole = closed(offline)
    trainer.train(resume_from_checkpoint=str(offline / "out" / "checkpoint-8"))
    read_back(ours, offline)
    assert len(read_runs(offline)) == 2
    assert comparable(joined(offline)) == comparable(whole.history)


def closed(folder: Path) -> RecordedRun:
    """The run in a folder, once W&B's service has written its end: a moment after `finish` has returned."""
    deadline = time.monotonic() + 20
    while (run := read_run(folder)).exit_code is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return run


def test_a_run_that_was_finished_by_others_stays_unlocked(offline: Path) -> None:
    """Once its callback has gone on with it in another folder."""
    ours = small_training.callback(grounding=None)
    trainer = small_training.trainer(offline, [ours])
    trainer.train()
    first = ours.run_folder
    assert first is not None
    wandb.finish()
    trainer.evaluate()
    assert ours.run_folder != first
    assert not is_locked(first)
    ours.close()


@pytest.mark.parametrize("variables", [{"WANDB_RESUME": "allow"}, {"WANDB_RUN_ID": "others", "WANDB_RESUME": "must"}])
def test_variables_that_name_a_run_do_not_stop_a_rewind(
    offline: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """The SDK raises where both are given; here the checkpoint's run comes first."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    wandb.teardown()  # which reads them anew
    run = open_run(Opening({"project": "p"}, run_id="abcd1234", resume="rewind", last_kept=2), Limits())
    run.log({"a": 1})
    run.finish()
    wandb.teardown()  # the service closes a run's file a moment after finish() has returned
    assert run.id == "abcd1234"
    assert [row["_step"] for row in read_run(offline).history] == [3]


def test_rows_are_numbered_on_where_the_server_was_lost_while_opening(offline: Path) -> None:
    """A run that was to be gone on with online, and is opened offline after all, such as without a key."""
    run = open_run(Opening({"project": "p"}, run_id="abcd1234", resume="append", last_kept=2), Limits(), offline=True)
    run.log({"a": 1})
    run.finish()
    assert [row["_step"] for row in closed(offline).history] == [3]


def test_a_setting_that_wandb_refuses_is_no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised by the question whether W&B is offline."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_CONSOLE", "nonsense")
    wandb.teardown()
    assert not is_offline()


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become somebody else")
def test_folders_of_another_user_are_passed_over(tmp_path: Path) -> None:
    """A checkpoint's run folders that this user may not look into are none."""
    folder = tmp_path / "private" / "wandb" / "run-20260101_000000-abcd1234"
    folder.mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        if parent not in (Path("/"), Path("/tmp")):
            parent.chmod(0o755)
    if (child := os.fork()) == 0:
        os.setuid(65534)
        os._exit(0 if run_folders(SavedRun("abcd1234", folders=[str(folder)])) == [] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_run_beside_the_process_run_outlives_another_ones_failure(offline: Path) -> None:
    """W&B's service isn't ended under a run of the user's that isn't `wandb.run`."""
    mine = wandb.init(reinit="create_new")
    assert wandb.run is None
    opening.let_go()
    mine.log({"x": 1})
    mine.finish()
    assert [row["x"] for row in closed(offline).history] == [1]


@pytest.mark.slow(seconds=12)
def test_a_strict_run_is_ended_after_it_has_raised(server: Loopback, tmp_path: Path) -> None:
    """In bounded time, and with the command that sends its rows."""
    tracker = WandbLogger(enabled=True, strict=True, start_timeout=4, finish_timeout=10)
    break_it(server, "500", "midway")
    with pytest.raises(RuntimeError, match="can't be reached"):
        _log_for(tracker, 30.0)
    with pytest.raises(RuntimeError, match="Send it with: "):
        tracker.finish(1)
    assert tracker.state == "finished"
    assert read_run(tmp_path).exit_code == 1


def _log_for(tracker: WandbLogger, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tracker.log_metrics({"loss": 1.0})
        time.sleep(0.1)


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("mended", [True, False])
def test_a_run_that_was_finished_offline_is_sent_as_a_whole(server: Loopback, tmp_path: Path, mended: bool) -> None:
    """By the user, where the server had not opened it: what follows comes after it, in the same run."""
    server.fault("500")
    ours = small_training.callback(grounding=None, start_timeout=8, finish_timeout=20)
    trainer = small_training.trainer(tmp_path, [ours])
    trainer.train()
    wandb.finish()
    if mended:
        server.mend()
    trainer.evaluate()
    server.mend()
    ours.close()
    (run,) = server.runs.values()
    assert ours.sync_command is None
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))
    assert [row["train/global_step"] for row in run.history][-2:] == [16, 16]


def test_a_project_whose_name_sounds_like_a_failure_is_sent(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `wandb sync` prints has the names of the project and the folder in it."""
    folder = tmp_path / "failed-runs"
    folder.mkdir()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(folder))
    tracker = WandbLogger(enabled=True, project="Failed-clicks")
    tracker.log_metrics({"loss": 1.0})
    tracker.finish()
    assert send(tracker.connection.unsent, 60)
    (run,) = server.runs.values()
    assert len(run.history) == 1


@pytest.mark.parametrize("arrived", [0, 2, 3])
def test_an_earlier_part_is_not_sent_twice(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrived: int
) -> None:
    """It was sent when the training began, and nobody could say whether it had arrived."""
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    earlier = _part(3)
    if arrived:
        with wandb.init(id="abcd1234") as run:
            for row in range(arrived):
                run.log({"row": row})
    connection = RunConnection()
    connection.open(
        Opening({}, "abcd1234", resume="rewind", last_kept=2, unreachable="it didn't say", earlier=[earlier])
    )
    connection.log({"row": 3})
    assert connection.state == "offline"
    connection.finish(0)
    assert connection.sync_command is None
    assert [(row["_step"], row["row"]) for row in server.runs["abcd1234"].history] == [(row, row) for row in range(4)]


def _part(rows: int) -> Path:
    with wandb.init(id="abcd1234", mode="offline") as run:
        for row in range(rows):
            run.log({"row": row})
        folder = Path(run.dir).parent
    wandb.teardown()  # the service closes a run's file a moment after finish() has returned
    return folder


def test_a_try_that_was_cut_off_is_not_in_the_command(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has arrived with it is left out of what is to be sent by hand."""
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    server.fault("403", where="UpsertBucket", count=1)
    connection = RunConnection(finish_timeout=40)
    connection.open(Opening({}, "abcd1234"))
    assert connection.state == "offline"
    for row in range(3):
        connection.log({"row": row})
    server.fault("drop", where="file_stream", after=1, count=1)  # before it numbers about the machine are sent
    server.fault("404", where="file_stream", after=1)
    connection.finish(0)
    assert [row["_step"] for row in server.runs["abcd1234"].history] == list(range(3))
    assert connection.sync_command is not None
    server.mend()
    assert send(connection.unsent, 60)
    assert [row["_step"] for row in server.runs["abcd1234"].history] == list(range(3))


def test_the_rows_of_a_run_by_a_users_own_id_are_not_taken_for_others(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline they are numbered from 0 whatever the server has, and are not there because such numbers are."""
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    with wandb.init(id="mine") as run:
        run.log({"row": 0})
        run.log({"row": 1})
    wandb.teardown()
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    monkeypatch.setenv("WANDB_RESUME", "allow")
    server.fault("403", where="UpsertBucket", count=1)
    connection = RunConnection()
    connection.open(Opening.of({}, None, beside=False))
    assert connection.state == "offline"
    connection.log({"row": 2})
    connection.finish(0)
    assert connection.sync_command is None
    assert [row["row"] for row in server.runs["mine"].history] == [0, 1, 2]


def test_rows_of_another_process_are_not_taken_for_ours(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's shared mode: several processes write to one run, each with steps of its own."""
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "shared")
    with wandb.init(id="abcd1234") as run:
        for row in range(5):
            run.log({"row": row})
    wandb.teardown()
    assert len(server.runs["abcd1234"].history) == 5
    connection = RunConnection(finish_timeout=40)
    connection.open(Opening({}, "abcd1234"))
    server.fault("404", where="file_stream", count=1)  # W&B's service gives up
    for row in range(5, 8):
        connection.log({"row": row})
    connection.finish(0)
    assert connection.sync_command is None
    assert sorted(row["row"] for row in server.runs["abcd1234"].history) == list(range(8))
