"""Whether somebody on this machine writes to a run, between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oaml_callbacks.run_lock import NAME, RunLock, is_locked

pytestmark = [
    pytest.mark.newest_only,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks"),
]

HOLDS = """
import sys
from pathlib import Path
from oaml_callbacks.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
lock.release()
print("released", flush=True)
sys.stdin.read()
"""

FORKS = """
import os, sys
from pathlib import Path
from oaml_callbacks.run_lock import RunLock, is_locked
folder = Path(sys.argv[1])
lock = RunLock(folder)
ready, up = os.pipe()
over, end = os.pipe()
if os.fork() == 0:
    os.close(end)
    os.write(up, b".")
    os.read(over, 1)
    os._exit(0)
os.read(ready, 1)
while_held = is_locked(folder)
lock.release()
print(while_held, is_locked(folder))
os.close(end)
"""
"""What is seen while a forked child lives."""


@contextmanager
def held_by_another(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLDS, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_another_process_holds_it_until_it_releases_it(tmp_path: Path) -> None:
    """And a run in another folder is none of its business."""
    other = tmp_path / "other"
    other.mkdir()
    with held_by_another(tmp_path) as process:
        assert is_locked(tmp_path)
        assert not is_locked(other)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert process.stdout.readline() == "released\n"
        assert not is_locked(tmp_path)


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    """Its lock file stays, and means nothing: the next one has the lock."""
    with held_by_another(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / NAME).exists()
        assert not is_locked(tmp_path)
        lock = RunLock(tmp_path)
        assert is_locked(tmp_path)
        lock.release()


def test_who_asks_takes_nothing(tmp_path: Path) -> None:
    """Asking leaves no file behind, and the lock with who has it."""
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    lock = RunLock(tmp_path)
    assert [is_locked(tmp_path), is_locked(tmp_path)] == [True, True]
    lock.release()
    assert not is_locked(tmp_path)


def test_who_asks_is_not_taken_for_who_writes(tmp_path: Path) -> None:
    """Several trainings may ask at the same moment, of a run that nobody writes to."""
    RunLock(tmp_path).release()
    asks = "import sys; from pathlib import Path; from oaml_callbacks.run_lock import is_locked; "
    asks += "print(sum(is_locked(Path(sys.argv[1])) for _ in range(10_000)))"
    command = [sys.executable, "-c", asks, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == ["0\n"] * 3


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_run_of_another_user_is_seen_to_be_locked() -> None:
    """Whoever may read the lock's file, and not write it, is told the truth."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        lock = RunLock(Path(place))
        (Path(place) / NAME).chmod(0o644)
        if (child := os.fork()) == 0:
            os.setuid(65534)
            os._exit(0 if is_locked(Path(place)) else 1)
        assert os.waitpid(child, 0)[1] == 0
        lock.release()


@pytest.mark.skipif(not hasattr(os, "fork") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_folder() -> None:
    """There is no lock in it, nor an error, nor a file."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        if (child := os.fork()) == 0:
            os.setuid(65534)
            try:
                lock = RunLock(Path(place))
                as_expected = not is_locked(Path(place))
                lock.release()
                os._exit(0 if as_expected else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert os.listdir(place) == []


def test_a_second_one_gets_nothing_and_takes_nothing_away(tmp_path: Path) -> None:
    """In another process or in this one; releasing twice is no error."""
    first = RunLock(tmp_path)
    second = RunLock(tmp_path)
    second.release()
    assert is_locked(tmp_path)
    first.release()
    first.release()
    assert not is_locked(tmp_path)
    with held_by_another(tmp_path):
        RunLock(tmp_path).release()
        assert is_locked(tmp_path)


def test_a_program_that_is_started_does_not_inherit_it(tmp_path: Path) -> None:
    """W&B's service, for one, outlives the run."""
    lock = RunLock(tmp_path)
    command = [sys.executable, "-c", "print('started', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        lock.release()
        assert not is_locked(tmp_path)
        process.kill()


def test_a_forked_child_does_not_keep_it(tmp_path: Path) -> None:
    """Such as a DataLoader's worker: the lock is its parent's, and goes when that lets go."""
    done = subprocess.run([sys.executable, "-c", FORKS, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("place", ["missing", "file", "blocked"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    """There is no lock then, nor an error: a run is opened all the same."""
    (tmp_path / "file").touch()
    (tmp_path / "blocked" / NAME).mkdir(parents=True)
    lock = RunLock(tmp_path / place)
    assert not is_locked(tmp_path / place)
    lock.release()
