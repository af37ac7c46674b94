"""W&B's service, which writes a run's files and sends them: ending a run and itself in time, and seeing its end.

`run.finish()` with `finish_timeout` ends in that time only if nothing was on its way: W&B's clock starts when the
service comes to the run's end, and an alert or an artifact before it is tried 20 times (for more than 10 minutes, seen
with 0.31). What is to be sent is on disk by then, so a service that is late can be ended.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from .clean_text import error_text

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

WRITE_SECONDS = 1.5
"""Longer than rows may wait to be written to disk."""
REAP_SECONDS = 1.0
"""How long a process that is killed, and the threads that wait for it, may take to be gone."""
TEARDOWN_SECONDS = 2.0
"""How long a service may take to end in order; an idle one takes a tenth of a second."""


def finish_run(run: wandb.Run, exit_code: int, seconds: float) -> bool:
    """Finish the run, and end W&B's service where it takes longer.

    A service that other runs of this process use is not ended.

    Args:
        run: The run.
        exit_code: 0 finished, anything else failed.
        seconds: How long it may take.

    Returns:
        Whether everything was sent in that time, as far as the service knows.

    Raises:
        Exception: What `run.finish` raises.
    """
    raised: list[Exception] = []

    def finish() -> None:
        try:
            run.finish(exit_code=exit_code)
        except Exception as error:  # noqa: BLE001 - raised again below, by who waits
            raised.append(error)

    thread = threading.Thread(target=finish, name="oaml-finish", daemon=True)
    thread.start()
    thread.join(max(seconds, WRITE_SECONDS))
    if thread.is_alive():
        end_service(run)
        return False
    if raised:
        raise raised[0]
    if getattr(run, "_finish_timed_out", False):
        end_service()  # its own end takes up to 20 s more where no server answers
        return False
    return True


def others_are_open(but: wandb.Run | None = None) -> bool:
    """Whether a run of this process is open that would end with W&B's service; not every one is `wandb.run`."""
    import wandb

    runs = getattr(wandb.setup(), "_active_runs", ())
    return any(run is not but and not getattr(run, "_is_finished", False) for run in list(runs))


def end_service(of: wandb.Run | None = None) -> None:
    """End W&B's service at once, if no run but `of` is open in this process; the next run starts another one."""
    import wandb

    singleton: Any = wandb.setup()
    process = _process(singleton)
    if others_are_open(of) or process is None:
        return
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(REAP_SECONDS)
    _tear_down(singleton)


def tear_down(seconds: float = TEARDOWN_SECONDS) -> None:
    """End W&B's service in order, or at once where that takes longer; the next run starts another one.

    `wandb.teardown()` waits for ever for a service that doesn't end, as one did whose disk was full (seen with 0.31).

    Args:
        seconds: How long it may take.
    """
    import wandb

    singleton: Any = wandb.setup()
    process = _process(singleton)
    thread = threading.Thread(target=_tear_down, args=(singleton,), name="oaml-teardown", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive() and process is not None:
        process.kill()
        thread.join(REAP_SECONDS)


def _process(singleton: Any) -> subprocess.Popen[bytes] | None:
    process = getattr(getattr(getattr(singleton, "_connection", None), "_proc", None), "_process", None)
    return process if isinstance(process, subprocess.Popen) else None


def _tear_down(singleton: Any) -> None:
    import wandb

    try:
        wandb.teardown()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it misses the process, and has forgotten it by then
        logger.debug("%s", error_text(error))
        _end_thread(singleton)


def _end_thread(singleton: Any) -> None:
    """End what a teardown that missed its process has left: W&B's thread, which would log errors later on."""
    join = getattr(getattr(singleton, "_asyncer", None), "join", None)
    if join is not None:
        thread = threading.Thread(target=join, name="oaml-join", daemon=True)
        thread.start()
        thread.join(REAP_SECONDS)


def is_gone(error: Exception) -> bool:
    """Whether W&B's service no longer answers."""
    return isinstance(error, OSError) or "mailbox" in type(error).__module__


def is_torn_down(error: Exception) -> bool:
    """Whether W&B as a whole was ended, and every run with it: by `wandb.teardown()`."""
    # The second is raised by a thread that has been given the number of W&B's own, which has ended.
    return type(error).__name__ == "AlreadyJoinedError" or "inside async loop" in str(error)


def was_torn_down(run: wandb.Run) -> bool:
    """Whether that has happened to the process's run, or its service is gone; it stays in `wandb.run` all the same."""
    try:
        config: Any = run.config  # has no types
        config.update({})
    except Exception as error:  # noqa: BLE001 - whatever else is wrong with it is told at its first row
        return is_torn_down(error) or is_gone(error)
    return False
