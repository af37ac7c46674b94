"""One row per log event and no value twice, whatever else is attached to the Trainer."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from transformers import Trainer, TrainerCallback
from transformers.integrations.integration_utils import WandbCallback

from oaml_callbacks import OpenAdaptWandbCallback, open_runs, stock
from oaml_callbacks.testing import RecordedRun, read_run, read_runs

from . import builders

LOG_EVENTS = 8  # ten steps: five losses, two evaluations, the training's end


class CountsLogEvents(TrainerCallback):
    """How often the Trainer logged."""

    def __init__(self) -> None:
        self.count = 0

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        self.count += 1


def assert_one_row_per_event(run: RecordedRun, events: int = LOG_EVENTS) -> None:
    assert len(run.rows) == events
    losses = [(row["train/global_step"], key) for row in run.rows for key in ("train/loss", "eval/loss") if key in row]
    assert max(Counter(losses).values()) == 1


def in_callbacks(screens: Path, folder: Path, **options: Any) -> tuple[Trainer, OpenAdaptWandbCallback]:
    ours = OpenAdaptWandbCallback(grounding=None, **options)
    return builders.trainer(screens, builders.arguments(folder), [ours]), ours


def added_later(screens: Path, folder: Path, **options: Any) -> tuple[Trainer, OpenAdaptWandbCallback]:
    trainer = builders.trainer(screens, builders.arguments(folder))
    ours = OpenAdaptWandbCallback(grounding=None, **options)
    trainer.add_callback(ours)
    return trainer, ours


def stock_removed(screens: Path, folder: Path, **options: Any) -> tuple[Trainer, OpenAdaptWandbCallback]:
    trainer, ours = in_callbacks(screens, folder, **options)
    trainer.remove_callback(WandbCallback)
    return trainer, ours


def stock_listed_twice(screens: Path, folder: Path, **options: Any) -> tuple[Trainer, OpenAdaptWandbCallback]:
    trainer, ours = in_callbacks(screens, folder, **options)
    trainer.add_callback(WandbCallback)
    return trainer, ours


Arrangement = Callable[..., tuple[Trainer, OpenAdaptWandbCallback]]
ARRANGEMENTS = [in_callbacks, added_later, stock_removed, stock_listed_twice]


@pytest.mark.parametrize("arrange", ARRANGEMENTS)
def test_a_training_is_written_once_and_opened_by_us(screens: Path, offline: Path, arrange: Arrangement) -> None:
    trainer, ours = arrange(screens, offline, tags=["ours"])
    counter = CountsLogEvents()
    trainer.add_callback(counter)
    trainer.train()
    run = builders.read_back(ours, offline)
    assert counter.count == LOG_EVENTS
    assert_one_row_per_event(run)
    assert run.tags == ("ours",)
    assert run.summary["viewer_url"].endswith(run.id)
    assert len(read_runs(offline)) == 1


@pytest.mark.parametrize("arrange", ARRANGEMENTS)
def test_evaluate_and_predict_without_training_write_a_row_each(
    screens: Path, offline: Path, arrange: Arrangement
) -> None:
    trainer, ours = arrange(screens, offline)
    trainer.evaluate()
    trainer.predict(trainer.eval_dataset)  # type: ignore[arg-type]
    run = builders.read_back(ours, offline)
    assert len(run.rows) == 2
    assert len(run.column("eval/loss")) == len(run.column("test/loss")) == 1
    assert len(read_runs(offline)) == 1


@pytest.mark.parametrize("arrange", ARRANGEMENTS)
def test_a_log_call_before_anything_else_is_written_once(screens: Path, offline: Path, arrange: Arrangement) -> None:
    trainer, ours = arrange(screens, offline)
    trainer.log({"warmup_score": 1.0})
    trainer.train()
    run = builders.read_back(ours, offline)
    assert_one_row_per_event(run, LOG_EVENTS + 1)
    assert run.column("train/warmup_score") == [1.0]
    assert run.exit_code == 0
    assert "viewer_url" in run.summary


LATE = """
import sys
from pathlib import Path
from tests import builders
screens, folder = map(Path, sys.argv[1:])
trainer = builders.trainer(screens, builders.arguments(folder))
assert "oaml_callbacks.callback" not in sys.modules
from oaml_callbacks import OpenAdaptWandbCallback
trainer.add_callback(OpenAdaptWandbCallback(grounding=None, tags=["ours"]))
trainer.train()
"""


def test_a_package_imported_after_the_trainer_was_built_still_opens_the_run(screens: Path, offline: Path) -> None:
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", LATE, str(screens), str(offline)], cwd=root, check=True)
    run = read_run(offline)
    assert_one_row_per_event(run)
    assert run.tags == ("ours",)
    assert run.summary["viewer_url"].endswith(run.id)
    assert run.exit_code == 0


def test_the_users_own_run_is_used_and_left_open(screens: Path, offline: Path) -> None:
    mine = wandb.init(project="mine", notes="My notes.", config={"mine": 1})
    trainer, ours = in_callbacks(screens, offline)
    trainer.train()
    ours.close()
    assert wandb.run is mine
    mine.log({"after": 1.0})
    mine.finish()
    run = builders.read_back(ours, offline)
    assert run.project == "mine"
    assert len(run.rows) == LOG_EVENTS + 1
    assert run.config["mine"] == 1
    assert run.config["learning_rate"] == 1e-3
    assert run.notes is not None
    assert run.notes.startswith("My notes.")
    assert run.summary["viewer_url"] in run.notes


def test_a_run_that_the_user_finished_is_gone_on_with(screens: Path, offline: Path) -> None:
    trainer, ours = in_callbacks(screens, offline)
    trainer.train()
    first = ours.run_id
    wandb.finish()
    trainer.evaluate()
    builders.read_back(ours, offline)
    segments = read_runs(offline)
    assert [run.id for run in segments] == [first, first]
    assert [len(run.rows) for run in segments] == [LOG_EVENTS, 1]


def test_two_trainers_one_after_the_other_have_a_run_each(screens: Path, offline: Path) -> None:
    (first, a), (second, b) = in_callbacks(screens, offline), in_callbacks(screens, offline)
    first.train()
    second.train()
    builders.read_back(b, offline)
    runs = read_runs(offline)
    assert [run.id for run in runs] == [a.run_id, b.run_id]
    for run in runs:
        assert_one_row_per_event(run)
        assert run.exit_code == 0


def test_two_trainers_alive_at_once_each_keep_to_their_own_run(screens: Path, offline: Path) -> None:
    (first, a), (second, b) = in_callbacks(screens, offline), in_callbacks(screens, offline)
    first.evaluate()
    second.evaluate()
    first.evaluate()
    second.evaluate()
    builders.read_back(b, offline)
    a.close()
    rows = Counter[str]()
    for run in read_runs(offline):
        rows[run.id] += len(run.column("eval/loss"))
    assert rows == {a.run_id: 2, b.run_id: 2}


class TrainsAnother(TrainerCallback):
    """Starts a second training in the middle of the first."""

    def __init__(self, other: Trainer) -> None:
        self.other = other

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.epoch == 1:
            self.other.train()


def test_a_training_inside_a_training_gets_a_run_beside_it(screens: Path, offline: Path) -> None:
    inner, b = in_callbacks(screens, offline)
    outer, a = in_callbacks(screens, offline)
    outer.add_callback(TrainsAnother(inner))
    outer.train()
    b.close()
    builders.read_back(a, offline)
    runs = {run.id: run for run in read_runs(offline)}
    assert set(runs) == {a.run_id, b.run_id}
    for run in runs.values():
        assert_one_row_per_event(run)
        assert run.exit_code == 0


@pytest.mark.parametrize("stock_first", [True, False])
def test_stock_alone_in_another_trainer_is_left_as_it_is(screens: Path, offline: Path, stock_first: bool) -> None:
    """Its Trainer even shares its arguments with one of ours."""
    args = builders.arguments(offline)
    ours = OpenAdaptWandbCallback(grounding=None)
    with_ours, with_stock = builders.trainer(screens, args, [ours]), builders.trainer(screens, args)
    if stock_first:
        with_stock.train()
        wandb.finish()
        with_ours.train()
        builders.read_back(ours, offline)
    else:
        with_ours.train()
        ours.close()
        with_stock.train()
        wandb.finish()
        wandb.teardown()
    for run in read_runs(offline):
        assert_one_row_per_event(run)
        assert ("viewer_url" in run.summary) == (run.id == ours.run_id)
    assert len(read_runs(offline)) == 2


def test_a_hyperparameter_search_has_a_run_per_trial(screens: Path, offline: Path) -> None:
    pytest.importorskip("optuna", reason="the search needs a backend")
    mine = wandb.init(project="mine")  # of the whole search; nobody's trial
    ours = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(
        screens,
        builders.arguments(offline, run_name="search"),
        [ours],
        model_init=lambda trial: builders.lora_model(),
    )
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)},
        hp_name=lambda trial: f"trial-{trial.number}",
        n_trials=2,
        backend="optuna",
    )
    ours.close()
    assert wandb.run is mine
    mine.finish()
    builders.read_back(ours, offline)
    trials = [run for run in read_runs(offline) if run.id != mine.id]
    assert [run.name for run in trials] == ["trial-0", "trial-1"]
    assert {run.group for run in trials} == {"search"}
    assert len({run.config["learning_rate"] for run in trials}) == 2
    for run in trials:
        assert_one_row_per_event(run)
        assert run.exit_code == 0
        assert run.config["learning_rate"] == pytest.approx(max(run.column("train/learning_rate")), rel=0.2)


def test_a_training_after_a_search_has_a_run_of_its_own(screens: Path, offline: Path) -> None:
    pytest.importorskip("optuna", reason="the search needs a backend")
    ours = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(
        screens, builders.arguments(offline), [ours], model_init=lambda trial: builders.lora_model()
    )
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2)},
        hp_name=lambda trial: "trial",
        n_trials=1,
        backend="optuna",
    )
    trainer.train()
    builders.read_back(ours, offline)
    trial, final = read_runs(offline)
    assert (trial.name, final.name) == ("trial", None)
    assert trial.id != final.id
    assert_one_row_per_event(trial)
    assert_one_row_per_event(final)


def stock_only_rows(screens: Path, args: Any, folder: Path) -> int:
    builders.trainer(screens, args).train()
    wandb.finish()
    wandb.teardown()
    return len(read_run(folder).rows)


def test_stock_is_itself_again_when_ours_is_gone_though_the_arguments_are_shared(screens: Path, offline: Path) -> None:
    args = builders.arguments(offline)
    trainer, ours = builders.trainer(screens, args, [OpenAdaptWandbCallback(grounding=None)]), None
    trainer.train()
    open_runs.make_room()
    del trainer, ours
    gc.collect()
    assert stock_only_rows(screens, args, offline) == LOG_EVENTS


def test_stock_is_itself_again_when_ours_is_removed(screens: Path, offline: Path) -> None:
    trainer = builders.trainer(screens, builders.arguments(offline), [OpenAdaptWandbCallback(grounding=None)])
    trainer.remove_callback(OpenAdaptWandbCallback)
    gc.collect()
    trainer.train()
    wandb.finish()
    wandb.teardown()
    run = read_run(offline)
    assert len(run.rows) == LOG_EVENTS
    assert "viewer_url" not in run.summary


def test_no_claims_pile_up(screens: Path, offline: Path) -> None:
    args = builders.arguments(offline)
    for _ in range(3):
        builders.trainer(screens, args, [OpenAdaptWandbCallback(grounding=None)])
        gc.collect()
    gc.collect()
    ours = OpenAdaptWandbCallback(grounding=None)
    keep = builders.trainer(screens, args, [ours])
    assert [one.claimant() for one in stock._claims if one.args() is args] == [ours]
    assert keep.args is args


class AsksForTheRun(TrainerCallback):
    """Uses `wandb.run` when the training begins, as it may next to stock's callback."""

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        assert wandb.run is not None
        wandb.run.config["asked"] = True


def test_a_callback_before_ours_finds_the_run_open(screens: Path, offline: Path) -> None:
    ours = OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline), [AsksForTheRun(), ours]).train()
    assert builders.read_back(ours, offline).config["asked"] is True


def test_a_callback_that_was_pickled_silences_stock_in_another_process(screens: Path, offline: Path) -> None:
    script = (
        "import pickle, sys\nfrom pathlib import Path\nfrom tests import builders\n"
        "screens, folder = map(Path, sys.argv[1:])\n"
        "ours = pickle.loads((folder / 'ours.pickle').read_bytes())\n"
        "builders.trainer(screens, builders.arguments(folder), [ours]).train()\n"
    )
    (offline / "ours.pickle").write_bytes(pickle.dumps(OpenAdaptWandbCallback(grounding=None, tags=["ours"])))
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", script, str(screens), str(offline)], cwd=root, check=True)
    run = read_run(offline)
    assert_one_row_per_event(run)
    assert run.tags == ("ours",)


def test_a_user_who_finishes_the_run_in_mid_training_gets_the_rest_in_its_next_segment(
    screens: Path, offline: Path
) -> None:
    class Finishes(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 5:
                wandb.finish()

    trainer, ours = in_callbacks(screens, offline)
    trainer.add_callback(Finishes())
    trainer.train()
    assert wandb.run is not None
    assert wandb.run.id == ours.run_id
    builders.read_back(ours, offline)
    assert open_runs._holders == []
    segments = read_runs(offline)
    assert {run.id for run in segments} == {ours.run_id}
    assert sum(len(run.rows) for run in segments) == LOG_EVENTS


def test_nothing_is_kept_of_runs_that_are_over(screens: Path, offline: Path) -> None:
    trainer, ours = in_callbacks(screens, offline)
    trainer.evaluate()
    assert open_runs._holders == [ours]
    ours.close()
    assert open_runs._holders == []
    ours.close()
