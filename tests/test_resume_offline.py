"""Parts of a run that were written offline are sent with one command, and are one run then."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from oaml_callbacks.testing import read_run, read_runs

from .loopback import OwnProcess
from .same_run import ARRIVE_S, DIES_AT, OFFLINE, Start, Undisturbed, assert_same, only, saved_run, sync

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone


@pytest.mark.parametrize("checkpoint", [True, "checkpoint-4"], ids=["last", "earlier"])
def test_offline_and_offline_again(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path, checkpoint: bool | str
) -> None:
    """Two parts with one id; steps that were trained twice are in the run once."""
    before = set(own_server.runs)
    assert start(ends_at=DIES_AT, pause=ARRIVE_S, environment=OFFLINE).wait() == -signal.SIGKILL
    result = start(resume=checkpoint, environment=OFFLINE).result()
    assert set(own_server.runs) == before
    parts = read_runs(tmp_path)
    assert [part.id for part in parts] == [result["run_id"]] * 2
    assert result["sync_command"].count("offline-run-") == 2
    sync(result["sync_command"], own_server, tmp_path)
    assert_same(only(own_server, before), undisturbed)


def test_offline_killed_again_and_again(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The last command sends every part, those of which nothing was written among them."""
    before = set(own_server.runs)
    for step, pause in ((6, 0.2), (10, ARRIVE_S), (14, 0.2)):
        start(resume=step > 6, ends_at=step, pause=pause, environment=OFFLINE).wait()
    result = start(resume=True, environment=OFFLINE).result()
    sync(result["sync_command"], own_server, tmp_path)
    assert_same(only(own_server, before), undisturbed, tables=False)


def test_online_and_then_offline(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The offline part, once sent, takes its place in the run on the server."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S).wait()
    result = start(resume=True, environment=OFFLINE).result()
    assert result["run_id"] == only(own_server, before).id
    sync(result["sync_command"], own_server, tmp_path)
    assert_same(only(own_server, before), undisturbed)


def test_online_but_unsent_and_then_offline(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The server was away before the kill: what it lacks of the online part is in the command too."""
    before = set(own_server.runs)
    own_server.fault("hang", where="file_stream")
    job = start(ends_at=DIES_AT, pause=ARRIVE_S)
    job.wait()
    job.kill()
    own_server.mend()
    assert len(only(own_server, before).history) == 0
    result = start(resume=True, environment=OFFLINE).result()
    sync(result["sync_command"], own_server, tmp_path)
    assert_same(only(own_server, before), undisturbed)


def test_offline_and_then_online(start: Start, own_server: OwnProcess, undisturbed: Undisturbed) -> None:
    """The part on disk is sent first, without any command."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S, environment=OFFLINE).wait()
    result = start(resume=True).result()
    assert_same(only(own_server, before), undisturbed)
    assert result["sync_command"] is None


def test_offline_on_two_machines(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Each machine has its part, and each part is sent from there, in their order."""
    before = set(own_server.runs)
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    start(ends_at=DIES_AT, pause=ARRIVE_S, environment=OFFLINE, at=one).wait()
    (part,) = one.glob("wandb/offline-run-*")
    away = tmp_path / "away"
    shutil.move(one, away)
    result = start(resume=True, environment=OFFLINE, at=other).result()
    sync(f"{sys.executable} -m wandb sync wandb/{part.name}", own_server, away)
    sync(result["sync_command"], own_server, other)
    assert_same(only(own_server, before), undisturbed)


def test_offline_and_then_online_without_the_files(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """On another machine the run is written again, from the log history, and a warning says what is missing."""
    before = set(own_server.runs)
    start(ends_at=DIES_AT, pause=ARRIVE_S, environment=OFFLINE).wait()
    known = saved_run(tmp_path, "checkpoint-8")["run_id"]
    shutil.rmtree(tmp_path / "wandb")
    job = start(resume=True)
    assert job.result()["run_id"] == known
    assert "is not on the server" in job.printed
    assert_same(only(own_server, before), undisturbed, tables=False)


@pytest.mark.parametrize("cut", [1, 400])
def test_a_torn_file_is_gone_on_with(
    start: Start, own_server: OwnProcess, undisturbed: Undisturbed, tmp_path: Path, cut: int
) -> None:
    """The last record is half written: it is read past, and what it held is written again."""
    before = set(own_server.runs)
    start(ends_at=9, pause=ARRIVE_S, environment=OFFLINE).wait()
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    whole = read_run(path)
    path.write_bytes(path.read_bytes()[:-cut])
    torn = read_run(path)
    assert not torn.damaged
    assert torn.history == whole.history[: len(torn.history)]
    result = start(resume=True, environment=OFFLINE).result()
    sync(result["sync_command"], own_server, tmp_path)
    assert_same(only(own_server, before), undisturbed, tables=False)
