"""What is sent afterwards: the command to type, the part of a run's file that the server lacks, and sending it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oaml_callbacks.sync import UNSENT, send, sync_command, unsent_parts, wandb_command, write_unsent
from oaml_callbacks.testing import read_run
from oaml_callbacks.transaction_log import TransactionLog, write_transaction_log

from .loopback import Loopback, loopback
from .run_parts import ROWS, RUN, part, records, rewinds_to, steps, write_parts

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("made"))


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_names_its_paths_in_order() -> None:
    """As a shell takes them, whatever is in their names."""
    paths = [Path("a b/offline-run-1-x"), Path("it's/offline-run-2-x/unsent.wandb")]
    program, *rest = shlex.split(sync_command(paths))
    assert Path(program).name == "wandb"
    assert rest == ["sync", *map(str, paths)]


def test_a_command_is_there_to_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's own `wandb` if it is this environment's; else by its path; else as Python's module."""

    def script(folder: str) -> Path:
        file = tmp_path / folder / "wandb"
        file.parent.mkdir()
        file.touch(mode=0o755)
        return file

    python = str(tmp_path / "environment" / "python")
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert wandb_command() == f"{python} -m wandb"
    other = script("other")
    assert wandb_command() == "wandb"
    own = script("environment")
    assert wandb_command() == str(own)
    monkeypatch.setenv("PATH", f"{own.parent}:{other.parent}")
    assert wandb_command() == "wandb"


def test_online_runs_have_to_be_asked_for() -> None:
    """`wandb sync` passes them over otherwise."""
    command = sync_command([Path("offline-run-1-x"), Path("run-2-x/unsent.wandb")])
    assert command.endswith("sync --include-online offline-run-1-x run-2-x/unsent.wandb")


# The part of a file --------------------------------------------------------------------------------------------------


def test_of_which_nothing_has_arrived_is_sent_as_it_is(made: Path, tmp_path: Path) -> None:
    """Nothing is written."""
    folder = part(made, tmp_path)
    assert write_unsent(folder, 0) == folder
    assert write_unsent(folder, 0, is_sure=False) == folder  # there is no row before the first to rewind to
    assert not (folder / UNSENT).exists()


@pytest.mark.parametrize("arrived", [1, 4, 5])
def test_without_the_rows_that_have_arrived(made: Path, tmp_path: Path, arrived: int) -> None:
    """Everything else is there: the run's name, its configuration, summary and end."""
    folder = part(made, tmp_path)
    made_of, whole = write_unsent(folder, arrived), read_run(folder)
    assert made_of == folder / UNSENT
    run = read_run(made_of)
    assert run.history == whole.history[arrived:]
    assert (run.id, run.config, run.summary, run.exit_code) == (RUN, whole.config, whole.summary, 0)
    assert rewinds_to(made_of) == []


@pytest.mark.parametrize("arrived", [5, 6])
def test_all_rows_of_a_killed_run_have_arrived(made: Path, tmp_path: Path, arrived: int) -> None:
    """There is nothing to send."""
    assert write_unsent(part(made, tmp_path, killed=True), arrived) is None


def test_where_nobody_knows_the_run_is_rewound_to_the_last_row_that_has_arrived(made: Path, tmp_path: Path) -> None:
    """And the rows after it are sent: those that were there are taken back first."""
    made_of = write_unsent(part(made, tmp_path), 2, is_sure=False)
    assert steps(made_of) == [2, 3, 4]
    assert made_of is not None
    assert rewinds_to(made_of) == [1]


@pytest.mark.parametrize(("is_sure", "rewinds"), [(True, []), (False, [4])])
def test_a_part_that_was_rewound_once_is_not_rewound_there_again(
    made: Path, tmp_path: Path, is_sure: bool, rewinds: list[int]
) -> None:
    """That would take back what has arrived of it."""
    folder = part(made, tmp_path, name="later")
    assert (steps(folder), rewinds_to(next(folder.glob("run-*.wandb")))) == ([3, 4, 5, 6, 7], [2])
    made_of = write_unsent(folder, 2, is_sure=is_sure)
    assert steps(made_of) == [5, 6, 7]
    assert made_of is not None
    assert rewinds_to(made_of) == rewinds


def test_a_later_part_of_which_nobody_knows_begins_where_it_begins(made: Path, tmp_path: Path) -> None:
    """Its first row's predecessor is of another file."""
    made_of = write_unsent(part(made, tmp_path, name="later"), 0, is_sure=False)
    assert steps(made_of) == [3, 4, 5, 6, 7]
    assert made_of is not None
    assert rewinds_to(made_of) == [2]


@pytest.mark.parametrize(("arrived", "last", "left"), [(0, 3, [4]), (1, 2, [3, 4]), (2, 0, [2, 3, 4])])
def test_the_servers_own_word_counts_if_it_has_more(
    made: Path, tmp_path: Path, arrived: int, last: int, left: list[int]
) -> None:
    """It may have taken rows and never said so."""
    assert steps(write_unsent(part(made, tmp_path), arrived, last=last)) == left


@pytest.mark.parametrize("arrived", [0, 2])
def test_a_torn_end_is_left_out(made: Path, tmp_path: Path, arrived: int) -> None:
    """`wandb sync` would call it a failure."""
    folder = part(made, tmp_path, killed=True)
    path = next(folder.glob("*.wandb"))
    path.write_bytes(path.read_bytes()[:-1])
    made_of = write_unsent(folder, arrived)
    assert made_of == folder / UNSENT
    log = TransactionLog(made_of)
    assert list(log)
    assert (log.torn, log.damaged) == (False, False)
    assert steps(made_of) == steps(path)[arrived:]


def test_it_is_written_anew_each_time(made: Path, tmp_path: Path) -> None:
    """What W&B noted of how far it had come with an earlier one is not true of it."""
    folder = part(made, tmp_path)
    write_unsent(folder, 1)
    (folder / f"{UNSENT}.syncstate").touch()
    assert steps(write_unsent(folder, 3)) == [3, 4]
    assert not (folder / f"{UNSENT}.syncstate").exists()


@pytest.mark.parametrize("content", [None, b"text", b":W&B"])
def test_a_file_of_somebody_else(tmp_path: Path, content: bytes | None) -> None:
    """There is nothing to be made of it."""
    if content == b":W&B":
        write_transaction_log(tmp_path / "run-x.wandb", [b"\xff\xff"])
    elif content is not None:
        (tmp_path / "run-x.wandb").write_bytes(content)
    with pytest.raises(ValueError, match=r"run-\*?x?\.wandb"):
        write_unsent(tmp_path, 0)
    assert unsent_parts([tmp_path]) == []


# Sending it ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback() as started:
        for name, value in started.environment().items():
            monkeypatch.setenv(name, value)
        yield started


def rows(server: Loopback) -> list[tuple[int, int]]:
    return [(row["_step"], row["row"]) for row in server.runs[RUN].history]


@pytest.mark.parametrize(("has", "arrived", "is_sure"), [(2, 2, True), (4, 2, False)])
def test_with_what_is_sent_the_run_is_whole(
    made: Path, tmp_path: Path, server: Loopback, has: int, arrived: int, is_sure: bool
) -> None:
    """Each row is there once, though the server had more than anybody knew."""
    folder = part(made, tmp_path)
    path, beginning = next(folder.glob("*.wandb")), part(made, tmp_path / "before", killed=True)
    before = [record for record in records(path) if not record.HasField("history") or record.history.step.num < has]
    write_transaction_log(next(beginning.glob("*.wandb")), [record.SerializeToString() for record in before])
    assert send([beginning], 60)
    assert len(rows(server)) == has
    made_of = write_unsent(folder, arrived, is_sure=is_sure)
    assert made_of is not None
    assert send([made_of], 60)
    assert rows(server) == [(row, row) for row in range(ROWS)]
    assert server.runs[RUN].summary["best"] == 0.5


def test_what_was_refused_may_be_sent_again(made: Path, tmp_path: Path, server: Loopback) -> None:
    """W&B's mark that it was sent is taken away; and within its time it is given up."""
    folder = part(made, tmp_path)
    server.fault("404", where="file_stream")
    assert not send([folder], 60)
    assert list(folder.glob("*.synced")) == []
    server.mend()
    server.fault("hang")
    assert not send([folder], 2)
    server.mend()
    assert send([folder], 60)
    assert rows(server) == [(row, row) for row in range(ROWS)]
