"""How a training goes on with a checkpoint's run: by what the server says of it, or else its files on this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import wandb

from oaml_callbacks import on_server, service
from oaml_callbacks.resuming import Going, how_to_go_on, run_folders
from oaml_callbacks.run_lock import RunLock
from oaml_callbacks.saved_run import ResumePlan, SavedRun, as_row
from oaml_callbacks.testing import read_run

from .loopback import ENTITY, PROJECT, Kind, Loopback

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone

Mode = Literal["online", "offline"]

ID = "abcd1234"
HISTORY: list[dict[str, Any]] = [{"loss": 1.0 / step, "epoch": step / 10, "step": step} for step in (2, 4, 6, 8, 10)]
AT = 4
"""So many of them were on the run when the checkpoint was saved."""
APPENDS = ResumePlan(AT - 1, rewind=False, again=[4])
"""Nothing is missing; the checkpoint's last row came after what it knows."""
ANEW = ResumePlan(-1, rewind=False, again=[0, 1, 2, 3, 4])
SECONDS = 30.0


def opened(mode: Mode) -> wandb.Run:
    # On disk within a second, as `opening` has it.
    settings = wandb.Settings(console="off", x_disable_stats=True, x_transaction_log_flush_interval=1)
    return wandb.init(id=ID, mode=mode, settings=settings)


def written(rows: int, *, mode: Mode = "online") -> Path:
    """A run with the first rows of the history, and steps that were trained after its end; gives its folder."""
    steps = [*HISTORY, *({"loss": 0.0, "step": step} for step in (12, 14, 16))]
    with opened(mode) as run:
        for entry in steps[:rows]:
            run.log(as_row(entry))
        folder = Path(run.dir).parent
    wandb.teardown()  # until then the file may lack its end
    return folder


def saved(*folders: Path, **given: Any) -> SavedRun:
    known = {"project": PROJECT, "entity": ENTITY, "step": AT, "logged": AT, "tail": AT, "online": True}
    return SavedRun(ID, **{**known, "folders": [str(folder) for folder in folders], **given})


def going_on(
    run: SavedRun, *, offline: bool = False, seconds: float = SECONDS, history: Sequence[Mapping[str, Any]] = HISTORY
) -> Going:
    return how_to_go_on(run, history, offline=offline, seconds=seconds)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# The server says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "plan"),
    [
        pytest.param(4, APPENDS, id="all rows"),
        pytest.param(6, ResumePlan(3, rewind=True, again=[4]), id="later rows"),
        pytest.param(2, ResumePlan(1, rewind=False, again=[2, 3, 4]), id="rows behind"),
        pytest.param(0, ANEW, id="no rows"),
    ],
)
def test_how_far_the_run_has_come_there(
    server: Loopback, caplog: pytest.LogCaptureFixture, rows: int, plan: ResumePlan
) -> None:
    """The rest is written, and what came later is taken back: on a machine that has none of the run's files."""
    written(rows)
    assert going_on(saved()) == Going(ID, plan)
    assert warnings(caplog) == []


def test_what_the_last_row_says_of_the_training_decides_among_rows_of_others(server: Loopback) -> None:
    """Where not each of the last rows is the log history's, that row's own step tells which were lost."""
    written(2)
    assert going_on(saved(step=9, tail=0)).plan == ResumePlan(1, rewind=False, again=[2, 3, 4])


@pytest.mark.parametrize("online", [True, False])
def test_a_run_that_is_not_there(server: Loopback, caplog: pytest.LogCaptureFixture, online: bool) -> None:
    """One that the server had is another run from now on; one that it never had is written under its own id."""
    assert going_on(saved(online=online)) == Going(None if online else ID, ANEW)
    (warning,) = warnings(caplog)
    assert ("was deleted" if online else "is not on the server") in warning


def test_a_run_that_was_deleted(server: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    """Its id stays taken, whatever of it is on this machine: there is a new one."""
    folder = written(4)
    server.delete_run(ID)
    assert going_on(saved(folder)) == Going(None, ANEW)
    (warning,) = warnings(caplog)
    assert "was deleted" in warning


def test_a_run_of_another_project_is_not_this_one(server: Loopback) -> None:
    """An id is a project's own."""
    written(4)
    assert going_on(saved(project="others", online=False)).plan == ANEW


def test_whose_project_is_not_known_is_looked_for_in_the_users_own(server: Loopback) -> None:
    """As W&B's variables name it."""
    written(4)
    assert going_on(saved(project=None, entity=None)) == Going(ID, APPENDS)


# What it lacks is sent first ----------------------------------------------------------------------------------------


def test_an_offline_beginning_is_sent(server: Loopback) -> None:
    """Then the server has it, and is asked again."""
    folder = written(4, mode="offline")
    assert list(server.runs) == []
    assert going_on(saved(folder, online=False)) == Going(ID, APPENDS)
    assert len(server.runs[ID].history) == 4


def test_rows_that_were_on_their_way_are_sent(server: Loopback) -> None:
    """The server was lost between two rows, and then the process: its file has what the server lacks."""
    run = opened("online")
    folder = Path(run.dir).parent
    for entry in HISTORY[:2]:
        run.log(as_row(entry))
    deadline = time.monotonic() + 30
    while ID not in server.runs or len(server.runs[ID].history) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.fault("500", where="file_stream")
    for entry in HISTORY[2:4]:
        run.log(as_row(entry))
    service.finish_run(run, 1, 3.0)
    server.mend()
    assert (len(server.runs[ID].history), len(read_run(folder).history)) == (2, 4)
    assert going_on(saved(folder)) == Going(ID, APPENDS)
    assert [row["_step"] for row in server.runs[ID].history] == [0, 1, 2, 3]


def test_what_cannot_be_sent_is_kept(server: Loopback) -> None:
    """The run goes on offline, from its file, with what was written before to be sent together with it."""
    folder = written(4, mode="offline")
    server.fault("403", where="file_stream")
    going = going_on(saved(folder, online=False))
    assert going == Going(ID, APPENDS, "an earlier part of the run could not be sent", [folder])


def test_it_takes_no_longer_than_it_may(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending and asking again have what is left of the time, not each their own."""
    monkeypatch.setattr(on_server, "ASK_SECONDS", 60.0)
    folder = written(4, mode="offline")
    server.fault("hang", where="Run", after=1)  # after it has said that it hasn't the run
    begun = time.monotonic()
    going = going_on(saved(folder, online=False), seconds=8.0)
    assert time.monotonic() - begun < 8.0 + 2.0
    assert going.unreachable
    assert going.plan == APPENDS


# Nobody can be asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["refuse", "401", "403", "404", "500", "hang", "drop", "garbage"])
def test_a_server_that_does_not_answer_is_no_missing_run(
    server: Loopback, caplog: pytest.LogCaptureFixture, kind: Kind
) -> None:
    """The run keeps its id, and goes on from its file; why is told by who opens it."""
    folder = written(4, mode="offline")
    server.fault(kind)
    begun = time.monotonic()
    going = going_on(saved(folder), seconds=3.0)
    assert time.monotonic() - begun < 3.0 + 2.0
    assert going.unreachable
    assert (going.run_id, going.plan, going.earlier) == (ID, APPENDS, [folder])
    assert warnings(caplog) == []


def test_a_key_that_the_server_does_not_know(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names it, and no run is given up for it."""
    written(4)
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    wandb.teardown()
    going = going_on(saved())
    assert going.run_id == ID
    assert going.unreachable is not None
    assert "invalid API key" in going.unreachable
    assert "b" * 40 not in going.unreachable


def test_without_the_files_the_run_is_taken_to_have_what_it_was_given(server: Loopback) -> None:
    """Nobody knows better, and what is lost is rather little."""
    server.fault("403")
    going = going_on(saved())
    assert (going.plan, going.earlier) == (APPENDS, [])


# Offline ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "plan"),
    [
        pytest.param(4, APPENDS, id="all rows"),
        pytest.param(6, ResumePlan(3, rewind=True, again=[4]), id="later rows"),
        pytest.param(2, ResumePlan(1, rewind=False, again=[2, 3, 4]), id="rows behind"),
        pytest.param(0, ANEW, id="no rows"),
    ],
)
def test_offline_the_files_say_it(server: Loopback, rows: int, plan: ResumePlan) -> None:
    """Nothing is asked, nor sent; each part that isn't on the server is named."""
    folder = written(rows, mode="offline")
    assert going_on(saved(folder), offline=True) == Going(ID, plan, None, [folder])
    assert server.requests == []


def test_the_newest_part_with_rows_counts(server: Loopback) -> None:
    """A later part that died before its first row says nothing of the run."""
    folder = written(4, mode="offline")
    later = folder.with_name(f"offline-run-29990101_000000-{ID}")
    later.mkdir()
    (later / f"run-{ID}.wandb").touch()
    going = going_on(saved(folder), offline=True)
    assert going.plan == APPENDS
    assert going.earlier[0] == folder


# Another writes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offline", [True, False])
def test_a_run_that_is_still_written_to(server: Loopback, caplog: pytest.LogCaptureFixture, offline: bool) -> None:
    """By another training: this one gets a run of its own, and nobody is asked. Once that has ended, it has it."""
    folder = written(4, mode="offline" if offline else "online")
    asked = len(server.requests)
    lock = RunLock(folder)
    assert going_on(saved(folder), offline=offline) == Going(None, ANEW)
    (warning,) = warnings(caplog)
    assert "still being written to" in warning
    assert len(server.requests) == asked
    lock.release()
    assert going_on(saved(folder), offline=offline).run_id == ID


# The run's folders --------------------------------------------------------------------------------------------------


def made(place: Path, *names: str) -> list[Path]:
    folders = [place / name for name in names]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def test_a_runs_folders_are_found_oldest_first(tmp_path: Path) -> None:
    """Those that the checkpoint doesn't know too, whether they are of an online part or not."""
    parts = made(
        tmp_path, f"run-20260101_000000-{ID}", f"offline-run-20260102_000000-{ID}", f"run-20260103_000000-{ID}"
    )
    (tmp_path / f"run-20260104_000000-{ID}").touch()  # no folder
    assert run_folders(saved(parts[1])) == parts


@pytest.mark.parametrize(("mine", "other"), [("1", "sweep-1"), ("[ab]", "a"), ("a*", "ab"), ("x", "x-1")])
def test_another_runs_folders_are_none_of_them(tmp_path: Path, mine: str, other: str) -> None:
    """Whatever is in their ids: one may end as the other does, or read as a pattern."""
    folder, _ = made(tmp_path, f"run-20260101_000000-{mine}", f"run-20260101_000000-{other}")
    assert run_folders(SavedRun(mine, folders=[str(folder)])) == [folder]


def test_the_home_directory_is_this_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint names it `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (folder,) = made(tmp_path / "wandb", f"run-20260101_000000-{ID}")
    assert run_folders(SavedRun(ID, folders=[f"~/wandb/{folder.name}"])) == [folder]


def test_folders_that_are_gone_are_none(tmp_path: Path) -> None:
    """Such as on another machine."""
    assert run_folders(saved(tmp_path / "gone" / f"run-20260101_000000-{ID}")) == []
    assert run_folders(saved()) == []
