"""`wandb.teardown()` ends every run of the process, and leaves `wandb.run` set: the next training has its own."""

from __future__ import annotations

from pathlib import Path

import wandb

from oaml_callbacks.testing import read_runs

from . import small_training
from .builders import read_back
from .same_run import STEPS


def trained(folder: Path) -> str:
    """The id of a small training's run."""
    ours = small_training.callback(grounding=None)
    small_training.trainer(folder, [ours]).train()
    run = read_back(ours, folder)
    assert ours.run_id == run.id
    assert run.column("train/global_step")[-1] == STEPS
    assert run.exit_code == 0
    return run.id


def test_a_run_of_the_users_that_was_torn_down_is_not_written_to(offline: Path) -> None:
    """Its rows would go nowhere."""
    wandb.init(id="mine").log({"x": 1})
    wandb.teardown()
    trained(offline)
    first, second = read_runs(offline)
    assert (first.id, first.column("x"), len(first.history)) == ("mine", [1], 1)
    assert second.id != "mine"


def test_nor_is_one_of_an_earlier_training(offline: Path) -> None:
    """Its callback has kept it open, for evaluations that may follow."""
    earlier = small_training.callback(grounding=None)
    small_training.trainer(offline / "earlier", [earlier]).train()
    wandb.teardown()
    assert trained(offline) != earlier.run_id
    assert [run.column("train/global_step")[-1] for run in read_runs(offline)] == [STEPS, STEPS]
