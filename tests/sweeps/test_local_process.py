"""A trial's process and its guard."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from oaml_callbacks.sweeps.guard import LOCK_TAKEN, take_lock
from oaml_callbacks.sweeps.trial import TrialProcess

from .searches import wait_for


def wait_for_lock(folder: Path, *, taken: bool = True) -> None:
    deadline = time.monotonic() + 60
    while True:
        if (lock := take_lock(str(folder / "trial.lock"))) is not None:
            os.close(lock)
        if (lock is None) == taken:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_trials_lock_is_held_as_long_as_its_command_lives(tmp_path: Path) -> None:
    process = TrialProcess([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, os.environ)
    wait_for_lock(tmp_path)
    second = TrialProcess(["true"], tmp_path, os.environ)
    assert second.status(30) == LOCK_TAKEN
    assert process.end("TERM", 20) == 128 + signal.SIGTERM
    lock = take_lock(str(tmp_path / "trial.lock"))
    assert lock is not None
    os.close(lock)


def test_a_trial_that_does_not_end_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    process = TrialProcess([sys.executable, "-c", code], tmp_path, os.environ)
    wait_for(tmp_path / "result.json")
    begun = time.monotonic()
    assert process.end("TERM", 0.5) == 128 + signal.SIGKILL
    assert time.monotonic() - begun < 30


def test_a_trial_does_not_outlive_its_guard(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    process = TrialProcess([sys.executable, "-c", code], tmp_path, os.environ)
    wait_for(tmp_path / "result.json")
    os.kill(process._guard.pid, signal.SIGKILL)
    assert process.status(30) == 128 + signal.SIGKILL
    begun = time.monotonic()
    wait_for_lock(tmp_path, taken=False)
    assert time.monotonic() - begun < 30
