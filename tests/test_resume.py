"""A training that was killed goes on with its run: on the server it is one run, as if nothing had happened."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from .loopback import OwnProcess
from .same_run import (
    ARRIVE_S,
    DIES_AT,
    ROWS,
    STEPS,
    Start,
    Undisturbed,
    assert_same,
    columns,
    comparable,
    only,
    saved_run,
    sync,
    wait_for,
)

# Killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dies_at", "checkpoint"),
    [(DIES_AT, True), (DIES_AT, "checkpoint-4"), (15, True)],
    ids=["last", "earlier", "after_the_best"],
)
def test_killed_and_gone_on_with(
    start: Start,
    own_server: OwnProcess,
    undisturbed: Undisturbed,
    tmp_path: Path,
    dies_at: int,
    checkpoint: bool | str,
) -> None:
    """Steps that are trained a second time are in the run once, and the summary keeps what it had."""
    before = set(own_server.runs)
    assert start(ends_at=dies_at, pause=ARRIVE_S).wait() == -signal.SIGKILL
    died = only(own_server, before)
    assert len(died.history) > saved_run(tmp_path, "checkpoint-8")["step"], "nothing to rewind"
    result = start(resume=checkpoint).result()
    assert result["run_id"] == died.id
    assert_same(only(own_server, before), undisturbed)
    assert result["sync_command"] is None


def test_workers_that_outlive_the_training_do_not_keep_its_run(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed
) -> None:
    """A DataLoader's worker notices seconds later that the training was killed; the run isn't taken to be alive."""
    before = set(own_server.runs)
    options = {"dataloader_num_workers": 1}
    start(ends_at=DIES_AT, pause=ARRIVE_S, options=options).wait()
    start(resume=True, options=options).result()
    assert_same(only(own_server, before), undisturbed)


def test_a_training_that_is_made_longer(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """From the last checkpoint of one that came to its end: the row of that end is taken back."""
    before = set(own_server.runs)
    start().result()
    start(resume=True, options={"max_steps": STEPS + 4}).result()
    run = only(own_server, before)
    assert columns(run, "_step", "train/global_step")[-1] == [ROWS + 3, STEPS + 4]
    assert comparable(run.history[:ROWS]) == comparable(undisturbed[0].history[:ROWS])
    assert run.summary["best/global_step"] == 12


def test_rows_that_were_on_their_way_are_sent_from_the_files(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The checkpoint is newer than the server's last row: no hole, and the tables are there too."""
    before = set(own_server.runs)
    own_server.fault("hang", where="file_stream", after=0)
    job = start(ends_at=9, pause=ARRIVE_S)
    job.wait()
    job.kill()
    own_server.mend()
    died = only(own_server, before)
    assert len(died.history) < saved_run(tmp_path, "checkpoint-8")["step"], "no hole"
    assert start(resume=True).result()["run_id"] == died.id
    assert_same(only(own_server, before), undisturbed)


@pytest.mark.parametrize("arrives", [True, False], ids=["on_the_server", "on_disk"])
def test_rows_of_others_among_ours(start: Start, own_server: OwnProcess, tmp_path: Path, arrives: bool) -> None:
    """What the script logs by itself is taken back with the steps, and logged again with them."""
    before = set(own_server.runs)
    if not arrives:
        own_server.fault("hang", where="file_stream")
    job = start(ends_at=DIES_AT, pause=ARRIVE_S, logs_too=True)
    job.wait()
    job.kill()
    own_server.mend()
    start(resume=True, logs_too=True).result()
    run = only(own_server, before)
    assert [row["_step"] for row in run.history] == list(range(STEPS + ROWS + 1))
    assert [row["mine"] for row in run.history if "mine" in row] == list(range(1, STEPS + 1))
    assert [row["train/global_step"] for row in run.history if "train/loss" in row] == list(range(2, STEPS + 1, 2))


def test_a_checkpoint_between_two_losses(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """Each row's step is there once; the loss after it is the Trainer's mean since the checkpoint."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S, options={"save_steps": 3}).wait()
    start(resume=True, options={"save_steps": 3}).result()
    run = only(own_server, before)
    assert columns(run, "train/global_step", "eval/loss") == columns(undisturbed[0], "train/global_step", "eval/loss")


def test_on_another_machine_the_hole_is_filled_from_the_log_history(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Only the checkpoint came along; it has no tables."""
    before = set(own_server.runs)
    own_server.fault("hang", where="file_stream", after=0)
    start(ends_at=9, pause=0.2).wait()
    own_server.mend()
    shutil.rmtree(tmp_path / "wandb")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    start(resume=True, at=elsewhere).result()
    assert_same(only(own_server, before), undisturbed, tables=False)


def test_killed_again_and_again(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """Each time before anything was sent or written to disk, so that the checkpoint alone knows of it."""
    before = set(own_server.runs)
    start(ends_at=3, pause=ARRIVE_S).wait()
    begun = set(own_server.runs)
    assert len(begun) == len(before) + 1
    for step in (6, 10, 14):
        start(resume=step > 6, ends_at=step, pause=0.3).wait()
    start(resume=True).result()
    assert_same(only(own_server, begun), undisturbed, tables=False)


# Other trainings ---------------------------------------------------------------------------------------------------


def test_a_fresh_training_in_the_same_folder_is_a_new_run(start: Start, own_server: OwnProcess) -> None:
    """What lies in the output folder is no reason to go on."""
    before = set(own_server.runs)
    first, second = start().result(), start().result()
    assert first["run_id"] != second["run_id"]
    assert set(own_server.runs) - before == {first["run_id"], second["run_id"]}


def test_new_run_gets_an_id_and_the_whole_history(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed
) -> None:
    """Two trainings that go on from one checkpoint are two runs, and each has all rows."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S).wait()
    died = only(own_server, before)
    again = start(resume=True, new_run=True).result()
    assert again["run_id"] != died.id
    assert len(own_server.runs[died.id].history) == len(died.history), "the first run was touched"
    assert_same(own_server.runs[again["run_id"]], undisturbed, tables=False)


def test_a_run_that_lives_is_left_alone(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """A copy of its checkpoint gets an own run, and a warning says why."""
    before = set(own_server.runs)
    living = start(waits_at=10)
    wait_for(tmp_path / "go.reached", living)
    copied = start(resume="checkpoint-8")
    result = copied.result()
    assert "still being written to" in copied.printed
    (tmp_path / "go").touch()
    first = living.result()
    assert first["run_id"] != result["run_id"]
    assert set(own_server.runs) - before == {first["run_id"], result["run_id"]}
    assert_same(own_server.runs[first["run_id"]], undisturbed)
    assert_same(own_server.runs[result["run_id"]], undisturbed, tables=False)


# What the server says ------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_rewind(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """The run goes on plainly: nothing is missing, what was trained again is there twice, and a warning says so."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S).wait()
    died = only(own_server, before)
    own_server.refuse_rewind()
    job = start(resume=True)
    job.result()
    assert "doesn't rewind" in job.printed
    run = only(own_server, before)
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))
    steps = [row["train/global_step"] for row in run.history if "train/loss" in row]
    assert steps == [2, 4, 6, 8, 10, 10, 12, 14, 16]
    assert len(run.history) == len(undisturbed[0].history) + 1
    assert run.id == died.id


def test_a_run_that_was_deleted(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """A new run with the whole history, and a warning."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S).wait()
    died = only(own_server, before)
    own_server.delete_run(died.id)
    job = start(resume=True)
    result = job.result()
    assert result["run_id"] != died.id
    assert "was deleted on the server" in job.printed
    assert_same(own_server.runs[result["run_id"]], undisturbed, tables=False)


def test_another_user(start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Who may not write to the run keeps the rows on disk, and is told how to send them."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S).wait()
    died = only(own_server, before)
    job = start(resume=True, environment={"WANDB_API_KEY": "b" * 40})
    result = job.result()
    assert result["run_id"] == died.id
    assert "sync" in result["sync_command"]
    assert result["steps"] == undisturbed[1]["steps"]
    assert own_server.runs[died.id].history == died.history
    assert "It goes on offline" in job.printed
    sent = sync(result["sync_command"], own_server, tmp_path)
    assert_same(own_server.runs[died.id], undisturbed)
    assert "error" not in sent.lower()


# W&B off ---------------------------------------------------------------------------------------------------------


def test_off_in_between(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """What was trained with W&B off is on the run all the same."""
    before = set(own_server.runs)
    start(ends_at=6, pause=ARRIVE_S).wait()
    died = only(own_server, before)
    start(resume=True, options={"report_to": "none"}, ends_at=DIES_AT).wait()
    assert own_server.runs[died.id].history == died.history
    start(resume=True).result()
    run = only(own_server, before)
    keys = ("train/global_step", "train/loss", "eval/loss")
    assert columns(run, *keys) == columns(undisturbed[0], *keys)
    assert [row["_step"] for row in run.history] == list(range(ROWS + 1))


def test_off_from_the_start(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """The run begins with what the checkpoint's log history knows."""
    before = set(own_server.runs)
    start(options={"report_to": "none"}, ends_at=DIES_AT).wait()
    assert set(own_server.runs) == before
    start(resume=True).result()
    run = only(own_server, before)
    keys = ("train/global_step", "train/loss", "eval/loss")
    assert columns(run, *keys) == columns(undisturbed[0], *keys)


# Inside one process --------------------------------------------------------------------------------------------------


def test_the_trainer_may_restore_callbacks(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """`restore_callback_states_from_checkpoint` makes a new callback; the user's goes on in its place."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S).wait()
    job = start(resume=True, options={"restore_callback_states_from_checkpoint": True}, tags=["mine"])
    job.result()
    run = only(own_server, before)
    assert_same(run, undisturbed)
    assert run.tags == ["mine"]
