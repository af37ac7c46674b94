"""Trainings that are gone on with inside one process, or whose checkpoints know nothing of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from oaml_callbacks.testing import RecordedRun, read_run, read_runs

from . import small_training
from .builders import read_back
from .same_run import ROWS, STEPS, comparable, saved_run


class Raises(TrainerCallback):
    """Fails once, at a step."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.at, self.error = at, error

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.at:
            self.at = -1
            raise self.error


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    """The run of a training that nothing happened to."""
    from oaml_callbacks.testing import offline_wandb

    folder = tmp_path_factory.mktemp("whole")
    with offline_wandb(folder):
        ours = small_training.callback()
        small_training.trainer(folder, [ours]).train()
        return read_back(ours, folder)


def parts(folder: Path) -> list[list[int]]:
    """The steps of each part's rows."""
    return [[row["_step"] for row in part.history] for part in read_runs(folder)]


def joined(folder: Path) -> list[dict[str, Any]]:
    """Rows as `wandb sync` puts the parts together: one that begins at a step takes the place of what was there."""
    rows: list[dict[str, Any]] = []
    for part in read_runs(folder):
        first = part.history[0]["_step"] if part.history else len(rows)
        assert first <= len(rows), "a hole"
        rows = [*rows[:first], *part.history]
    return rows


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_same_trainer_goes_on(offline: Path, whole: RecordedRun, error: type[BaseException]) -> None:
    """Interrupted between two checkpoints, and trained on from the last: the same run, and every step once."""
    ours = small_training.callback()
    trainer = small_training.trainer(offline, [ours, Raises(11, error)])
    with pytest.raises(error):
        trainer.train()
    first = ours.run_id
    trainer.train(resume_from_checkpoint=True)
    run = read_back(ours, offline)
    assert run.id == first
    assert comparable(joined(offline)) == comparable(whole.history)
    assert run.summary["outcome"] == "finished"
    assert run.summary["best/grounding_accuracy"] == whole.summary["best/grounding_accuracy"]


def test_a_trainer_that_goes_on_where_it_stopped_stays_with_its_run(offline: Path, whole: RecordedRun) -> None:
    """Nothing was written since the checkpoint, so nothing has to be taken back: one part."""
    ours = small_training.callback()
    trainer = small_training.trainer(offline, [ours, Raises(9, RuntimeError)])
    with pytest.raises(RuntimeError):
        trainer.train()
    trainer.train(resume_from_checkpoint=True)
    read_back(ours, offline)
    assert parts(offline) == [list(range(ROWS + 1))]
    assert comparable(read_run(offline).history) == comparable(whole.history)


@pytest.mark.parametrize("restores", [False, True])
def test_a_checkpoint_that_was_made_without_us(offline: Path, whole: RecordedRun, restores: bool) -> None:
    """It has no entry for our callback. The next checkpoint is saved all the same, and has one."""
    first = small_training.trainer(offline, [Raises(6, RuntimeError)], report_to="none")
    with pytest.raises(RuntimeError):
        first.train()
    ours = small_training.callback()
    small_training.trainer(offline, [ours], restore_callback_states_from_checkpoint=restores).train(
        resume_from_checkpoint=True
    )
    run = read_back(ours, offline)
    assert saved_run(offline, "checkpoint-8")["run_id"] == run.id
    assert [row["train/global_step"] for row in run.history] == [row["train/global_step"] for row in whole.history]
    assert [row["_step"] for row in run.history] == list(range(ROWS + 1))


def test_two_callbacks_of_ours(offline: Path) -> None:
    """The Trainer keeps a list of both then; training, saving and going on work, with the run of one of them."""
    both = [small_training.callback(), small_training.callback(grounding=None)]
    with pytest.raises(RuntimeError):
        small_training.trainer(offline, [*both, Raises(6, RuntimeError)]).train()
    ids = {ours.run_id for ours in both}
    for ours in both:
        ours.close()
    again = [small_training.callback(), small_training.callback(grounding=None)]
    trainer = small_training.trainer(offline, again)
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == STEPS
    for ours in again:
        ours.close()
    assert len(ids & {ours.run_id for ours in again}) == 1  # the other is one of its own, as it is still written to


def test_a_run_that_the_user_has_finished_is_gone_on_with(offline: Path, whole: RecordedRun) -> None:
    """`wandb.finish()` in the middle of a training: the rows after it are in a second part of the same run."""
    import wandb

    class Finishes(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 7:
                wandb.finish()

    ours = small_training.callback()
    small_training.trainer(offline, [ours, Finishes()]).train()
    run = read_back(ours, offline)
    assert len(read_runs(offline)) == 2
    assert {part.id for part in read_runs(offline)} == {run.id}
    assert comparable(joined(offline)) == comparable(whole.history)


def test_a_checkpoint_has_no_secrets(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of the options, nor the key, nor where the home directory is."""
    secret = "hf_" + "Ab1" * 11
    home = offline / "home"
    monkeypatch.setenv("HOME", str(home))
    home.mkdir()
    monkeypatch.setenv("WANDB_DIR", str(home))
    monkeypatch.setenv("WANDB_API_KEY", "c" * 40)
    ours = small_training.callback(config={"api_key": secret}, notes=secret, tags=[secret], run_name=secret)
    small_training.trainer(offline, [ours]).train()
    state = (offline / "out" / "checkpoint-16" / "trainer_state.json").read_text(encoding="utf-8")
    saved = saved_run(offline, "checkpoint-16")
    read_back(ours, home)
    assert secret not in state
    assert "c" * 40 not in state
    assert all(folder.startswith("~/wandb/") for folder in saved["folders"])
    assert str(home) not in json.dumps(saved)
