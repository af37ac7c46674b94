"""How a training ended is how its run is marked."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from transformers import TrainerCallback

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.testing import read_run, read_runs

from . import builders

ROOT = Path(__file__).parents[1]


class Boom(TrainerCallback):
    """Ends the training by an exception at the third step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 3:
            raise RuntimeError("secret=hunter2")


DIES = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
from pathlib import Path
from tests import builders
from tests.test_outcome import Boom
from oaml_callbacks import OpenAdaptWandbCallback
screens, folder, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
steps = 100_000 if how == "interrupted" else 10
args = builders.arguments(folder, max_steps=steps, eval_strategy="no", logging_steps=1)
callbacks = [OpenAdaptWandbCallback(grounding=None)] + ([Boom()] if how in ("uncaught", "caught") else [])
trainer = builders.trainer(screens, args, callbacks)
try:
    trainer.train()
except RuntimeError:
    if how == "uncaught":
        raise
"""


def run_script(screens: Path, folder: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DIES, str(screens), str(folder), how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("how", "exit_code", "outcome"),
    [("uncaught", 1, "failed: RuntimeError"), ("caught", 1, "failed: RuntimeError"), ("well", 0, "finished")],
)
def test_the_runs_end_is_the_trainings(screens: Path, offline: Path, how: str, exit_code: int, outcome: str) -> None:
    run_script(screens, offline, how).communicate()
    run = read_run(offline)
    assert run.exit_code == exit_code
    assert run.summary["outcome"] == outcome


def test_ctrl_c_is_marked_as_such(screens: Path, offline: Path) -> None:
    process = run_script(screens, offline, "interrupted")
    assert process.stdout is not None
    for line in process.stdout:
        if "'loss'" in line:  # the training has begun
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=120)
    run = read_run(offline)
    assert run.exit_code == 255
    assert run.summary["outcome"] == "interrupted"


def test_a_training_that_died_in_a_notebook_is_failed_and_the_next_has_its_own_run(
    screens: Path, offline: Path
) -> None:
    dying = OpenAdaptWandbCallback(grounding=None)
    args = builders.arguments(offline, eval_strategy="no")
    with pytest.raises(RuntimeError):
        builders.trainer(screens, args, [dying, Boom()]).train()
    again = OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline), [again]).train()
    assert wandb.run is not None
    assert wandb.run.id == again.run_id
    builders.read_back(again, offline)
    first, second = read_runs(offline)
    assert first.exit_code == 1
    assert first.summary["outcome"] == "failed: RuntimeError"
    assert "hunter2" not in str(first.summary)
    assert second.exit_code == 0
    assert second.summary["outcome"] == "finished"


class Interrupts(TrainerCallback):
    """Ctrl-C at the third step, once."""

    def __init__(self) -> None:
        self.done = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 3 and not self.done:
            self.done = True
            raise KeyboardInterrupt


def test_ctrl_c_that_is_caught_is_marked_too_and_an_evaluation_after_it_does_not_hide_it(
    screens: Path, offline: Path
) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline, eval_strategy="no"), [callback, Interrupts()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.evaluate()
    run = builders.read_back(callback, offline)
    assert run.exit_code == 255
    assert run.summary["outcome"] == "interrupted"
    assert len(run.column("eval/loss")) == 1


def test_a_training_that_is_begun_again_and_ends_well_is_finished(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback, Interrupts()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.train()
    run = builders.read_back(callback, offline)
    assert run.exit_code == 0
    assert run.summary["outcome"] == "finished"


def test_closing_in_a_finally_tells_the_truth(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback, Boom()])
    with pytest.raises(RuntimeError), contextlib.closing(callback):
        trainer.train()
    run = builders.read_back(callback, offline)
    assert (run.exit_code, run.summary["outcome"]) == (1, "failed: RuntimeError")


def test_a_callback_that_is_used_again_after_a_death_leaves_the_first_run_failed(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    with pytest.raises(RuntimeError):
        builders.trainer(screens, builders.arguments(offline), [callback, Boom()]).train()
    builders.trainer(screens, builders.arguments(offline), [callback]).train()
    builders.read_back(callback, offline)
    first, second = read_runs(offline)
    assert (first.exit_code, first.summary["outcome"]) == (1, "failed: RuntimeError")
    assert (second.exit_code, second.summary["outcome"]) == (0, "finished")


def test_the_users_own_run_says_how_the_last_training_in_it_ended(screens: Path, offline: Path) -> None:
    mine = wandb.init(project="mine")
    first, second = OpenAdaptWandbCallback(grounding=None), OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline), [first]).train()
    with pytest.raises(RuntimeError):
        builders.trainer(screens, builders.arguments(offline), [second, Boom()]).train()
    mine.finish()
    run = builders.read_back(second, offline)
    assert run.summary["outcome"] == "failed: RuntimeError"
    assert run.notes is not None
    assert run.notes.count("[Viewer]") == 1
