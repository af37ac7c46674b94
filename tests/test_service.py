"""Ending a run in bounded time, and W&B's service with it, where no other run uses it."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oaml_callbacks import WandbLogger
from oaml_callbacks.service import WRITE_SECONDS, end_service, finish_run, tear_down
from oaml_callbacks.testing import offline_wandb, read_run

from .loopback import Loopback, loopback

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone

if TYPE_CHECKING:
    import wandb

LIMIT = 2.0
"""Seconds that an end may take."""
STOP = 2.0
"""And so many more, for a process that is killed and the threads that wait for it."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that this process's runs are sent to; their files are in the test's folder."""
    import wandb

    with loopback() as started, offline_wandb(tmp_path):
        for name, value in started.environment().items():
            monkeypatch.setenv(name, value)
        yield started
        started.mend()
        for run in list(wandb.setup()._active_runs):
            run.finish()
        wandb.teardown()
        monkeypatch.undo()


def opened(run_id: str, **init: Any) -> wandb.Run:
    import wandb

    settings = wandb.Settings(
        x_disable_stats=True,
        x_file_stream_transmit_interval=1,
        x_file_stream_retry_wait_min_seconds=1,
        x_transaction_log_flush_interval=1,
        finish_timeout=LIMIT,
    )
    return wandb.init(id=run_id, settings=settings, **init)


def service() -> subprocess.Popen[bytes]:
    import wandb

    connection: Any = wandb.setup()._connection
    process: subprocess.Popen[bytes] = connection._proc._process
    return process


def wandb_thread() -> threading.Thread:
    """What speaks with the service."""
    import wandb

    singleton: Any = wandb.setup()
    thread: threading.Thread = singleton._asyncer._thread
    return thread


def with_something_on_its_way(server: Loopback, run: wandb.Run) -> None:
    """The server says nothing any more, and there is an alert for it, which W&B tries for many minutes to send."""
    run.log({"loss": 2})
    wait_until(lambda: server.runs[run.id].history)
    server.fault("hang")
    run.log({"loss": 1})
    run.alert("Something", "has happened.")


def wait_until(what: Any) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def losses(server: Loopback, run_id: str) -> list[int]:
    return [row["loss"] for row in server.runs[run_id].history]


def test_an_end_is_bounded_and_the_next_run_is_opened_as_ever(server: Loopback, tmp_path: Path) -> None:
    """The service is ended; what it had not sent is on disk, end included, and the next run has another one."""
    run = opened("a")
    with_something_on_its_way(server, run)
    process, thread, begun = service(), wandb_thread(), time.monotonic()
    assert not finish_run(run, 3, LIMIT)
    assert LIMIT <= time.monotonic() - begun < LIMIT + STOP
    assert process.poll() is not None
    assert thread not in threading.enumerate()
    (folder,) = (tmp_path / "wandb").glob("run-*-a")
    recorded = read_run(folder)
    assert (recorded.column("loss"), recorded.exit_code) == ([2, 1], 3)

    server.mend()
    following = opened("b")
    following.log({"loss": 5})
    assert finish_run(following, 0, 30.0)
    assert service() is not process
    assert (losses(server, "b"), server.runs["b"].state) == ([5], "finished")


def test_a_limit_is_no_shorter_than_writing_to_disk_takes(server: Loopback, tmp_path: Path) -> None:
    """Whoever has no time left must not lose the last second's rows."""
    run = opened("a")
    with_something_on_its_way(server, run)
    begun = time.monotonic()
    assert not finish_run(run, 0, -1.0)
    assert time.monotonic() - begun < WRITE_SECONDS + STOP
    (folder,) = (tmp_path / "wandb").glob("run-*-a")
    assert read_run(folder).column("loss") == [2, 1]


def test_a_service_that_another_run_uses_is_left_alone(server: Loopback) -> None:
    """The other run is written to as before, and arrives as a whole."""
    other = opened("other")
    run = opened("a", reinit="create_new")
    with_something_on_its_way(server, run)
    process, begun = service(), time.monotonic()
    assert not finish_run(run, 0, LIMIT)
    assert time.monotonic() - begun < LIMIT + STOP
    end_service()
    assert service() is process
    assert process.poll() is None
    other.log({"loss": 7})
    server.mend()
    other.log({"loss": 6})
    wait_until(lambda: losses(server, "other") == [7, 6])
    other.finish()
    assert server.runs["other"].state == "finished"


def test_a_run_that_has_arrived_leaves_the_service_to_the_next(server: Loopback) -> None:
    """It takes seconds to start."""
    first = opened("a")
    process = service()
    first.log({"loss": 1})
    assert finish_run(first, 0, 30.0)
    assert process.poll() is None
    assert finish_run(opened("b"), 1, 30.0)
    assert service() is process
    assert [server.runs[run].exit_code for run in ("a", "b")] == [0, 1]


def test_what_finishing_raises_is_raised(server: Loopback) -> None:
    """Such as of a run that `wandb.teardown()` has ended already."""
    import wandb
    from wandb.sdk.lib import module

    run = opened("a")
    wandb.teardown()
    try:
        # Or, where a thread has been given the number of the one that has ended: "inside async loop".
        with pytest.raises(Exception, match=r"teardown|async loop"):
            finish_run(run, 0, LIMIT)
    finally:
        module.unset_globals()  # type: ignore[no-untyped-call] # or it would be `wandb.run` for later tests


def test_where_there_is_no_service_nothing_is_ended(server: Loopback) -> None:
    """Before the first run, and after the last; a service without runs is ended."""
    end_service()
    opened("a").finish()
    process = service()
    end_service()
    assert process.poll() is not None
    end_service()


@pytest.mark.parametrize("stopped", [False, True])
def test_tearing_down_is_bounded_and_the_next_run_is_opened_as_ever(server: Loopback, stopped: bool) -> None:
    """W&B's own waits for ever for a service that doesn't end."""
    opened("a").finish()
    process = service()
    if stopped:
        process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    tear_down(LIMIT)
    assert time.monotonic() - begun < LIMIT + STOP
    assert process.poll() == (-signal.SIGKILL if stopped else 0)
    run = opened("b")
    run.log({"loss": 1})
    run.finish()
    assert losses(server, "b") == [1]


def test_a_service_that_is_killed_ends_the_logging_with_one_warning(
    offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised, what was written stays readable, and the next run has a service again."""
    tracker = WandbLogger(enabled=True)
    tracker.log_metrics({"loss": 2.0}, step=1)
    time.sleep(WRITE_SECONDS)
    process = service()
    process.kill()
    process.wait()
    for step in range(2, 5):
        tracker.log_metrics({"loss": 1.0}, step=step)
        time.sleep(0.2)
    assert tracker.state == "failed"
    tracker.finish()
    (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith("oaml_callbacks")]
    assert "W&B's service is gone" in warning
    assert "Nothing more is logged" in warning
    assert read_run(offline).column("train/loss") == [2.0]
    with WandbLogger(enabled=True) as after:
        after.log_metrics({"loss": 3.0}, step=1)
    assert after.state == "finished"
