"""Searches without a server. Trials are real processes that take no time: see `fake_trial`."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from PIL import Image
from rich.console import Console

from oaml_callbacks.config import load_config
from oaml_callbacks.sweeps.check import MANY_TRIALS
from oaml_callbacks.sweeps.local import run_local
from oaml_callbacks.sweeps.search import SearchFailed
from oaml_callbacks.sweeps.search_result import SearchResult
from oaml_callbacks.sweeps.study import search_lock
from oaml_callbacks.sweeps.summary import print_search, search_as_json
from oaml_callbacks.sweeps.sweep_file import SweepError, read_sweep

from .fake_trial import EVALUATIONS, accuracy, fake
from .searches import RANKS, RATE, calls, made, search, sweep_file

pytestmark = pytest.mark.usefixtures("quick")


def printed(result: SearchResult) -> str:
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_search(result, console)
    return console.export_text()


def test_a_search_ends_with_the_best_of_its_trials(found: SearchResult) -> None:
    assert [trial.state for trial in found.trials] == ["finished"] * 4
    for trial in found.trials:
        assert trial.value == accuracy(trial.values["training.learning_rate"], EVALUATIONS)
    assert found.best is not None
    assert found.best.value == max(trial.value or 0 for trial in found.trials)
    assert found.ranked()[0] is found.best


def test_bayes_begins_with_the_configurations_own_values(found: SearchResult) -> None:
    assert found.trials[0].values == {"training.learning_rate": 3e-4, "lora.r": 8}
    assert [trial.own for trial in found.trials] == [True] + [False] * 3


def test_the_best_configuration_is_one_that_oaml_train_takes(found: SearchResult) -> None:
    assert found.best is not None
    assert found.best_config is not None
    text = found.best_config.read_text(encoding="utf-8")
    best, own = load_config(found.best_config), load_config(found.output_dir.parent / "config.yaml")
    assert best.training["learning_rate"] == found.best.values["training.learning_rate"]
    assert best.lora.r == found.best.values["lora.r"]
    assert best.input_path(str(best.data.train)).resolve() == own.input_path("train.jsonl").resolve()
    assert f"Trial {found.best.number}: eval/grounding_accuracy {found.best.value:.3f}" in text
    assert "learning_rate: " in text
    assert "# found by the search; was 0.0003" in text


def test_the_picture_is_drawn(found: SearchResult) -> None:
    assert found.picture is not None
    with Image.open(found.picture) as picture:
        assert picture.size[0] > 1500
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 500


def test_the_table_has_the_best_first_and_what_to_do_next(found: SearchResult) -> None:
    text = printed(found)
    assert found.best is not None
    first = text.splitlines()[1].split()
    assert first[0] == str(found.best.number)
    assert f"{found.best.value:.3f}" in first
    for told in ("best.yaml", "oaml view", "search.png", "the configuration's own", "what mattered"):
        assert told in text


def test_a_program_reads_the_result_as_json(found: SearchResult) -> None:
    read = json.loads(json.dumps(search_as_json(found), allow_nan=False))
    assert read["best"]["number"] == found.best.number if found.best else False
    assert Path(read["best_config"]).is_absolute()
    assert len(read["trials"]) == 4
    assert read["trials"][0]["accuracy_low"] == pytest.approx(read["trials"][0]["value"] - 0.05)


def test_trials_are_grouped_named_and_kept_apart(found: SearchResult) -> None:
    folder = found.output_dir / "trial-002"
    (arguments,) = calls(folder)
    assert f'training.output_dir="{folder.absolute()}"' in arguments
    assert {'wandb.group="tests"', 'wandb.run_name="trial-02"', 'wandb.tags=["local-sweep"]'} <= set(arguments)


def test_more_trials_of_a_search_that_is_done_go_on_with_it(found: SearchResult, tmp_path: Path) -> None:
    search(tmp_path, made(tmp_path), 1)
    result = search(tmp_path, made(tmp_path), 3)
    assert [trial.values for trial in result.trials] == [trial.values for trial in found.trials[:3]]
    assert len(calls(tmp_path / "search" / "trial-001")) == 1


def test_another_seed_proposes_others(found: SearchResult, tmp_path: Path) -> None:
    other = search(tmp_path, made(tmp_path), 2, seed=1)
    assert other.trials[1].values != found.trials[1].values


def test_a_random_search_draws_each_trial_anew(tmp_path: Path) -> None:
    result = search(tmp_path, made(tmp_path, method="random"), 2)
    assert len({trial.values["training.learning_rate"] for trial in result.trials}) == 2
    assert not any(trial.own for trial in result.trials)


def test_a_grid_ends_with_its_last_point(tmp_path: Path) -> None:
    sweep = made(tmp_path, "training.learning_rate: {values: [1e-3, 2e-3]}", RANKS, method="grid")
    result = search(tmp_path, sweep, 100)
    assert len(result.trials) == 4
    assert len({tuple(trial.values.values()) for trial in result.trials}) == 4
    assert result.best is not None
    assert result.best.values["training.learning_rate"] == 2e-3


def test_a_large_grid_says_how_many_and_asks_for_yes(tmp_path: Path) -> None:
    sweep = made(tmp_path, "training.seed: {min: 1, max: 100}", "lora.r: {min: 1, max: 100}", method="grid")
    with pytest.raises(SweepError, match=r"10,000 points, .* 10,000 trials are many.*--yes"):
        search(tmp_path, sweep, None)
    assert not (tmp_path / "search").exists()
    assert MANY_TRIALS == 1000


def test_without_a_number_of_trials_the_file_must_say_it(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"no run_cap.*--trials 12"):
        search(tmp_path, made(tmp_path), None)
    assert len(search(tmp_path, made(tmp_path, more="run_cap: 1"), None).trials) == 1


def test_a_failed_trial_is_told_and_does_not_end_the_search(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "oaml_callbacks")
    sweep = made(tmp_path, "training.learning_rate: {value: 1e-3}", "lora.r: {values: [13, 8]}", method="grid")
    result = search(tmp_path, sweep, None)
    states = {trial.values["lora.r"]: trial.state for trial in result.trials}
    assert states == {13: "failed", 8: "finished"}
    assert "RuntimeError: 13 is no rank of mine" in caplog.text
    assert f"{result.output_dir / 'trial-00'}" in caplog.text
    assert "failed" in printed(result)


def test_three_failures_in_a_row_end_the_search_with_the_likely_cause(tmp_path: Path) -> None:
    sweep = made(tmp_path, RATE, "lora.r: {value: 13}")
    with pytest.raises(SearchFailed, match=r"3 trials failed .*\n  trial 1: RuntimeError: 13 is no rank"):
        search(tmp_path, sweep, 9)
    assert len(list((tmp_path / "search").glob("trial-*"))) == 3


def test_a_trial_without_a_finite_value_has_failed(tmp_path: Path) -> None:
    result = search(tmp_path, made(tmp_path, RATE, "lora.r: {value: 14}"), 1)
    (trial,) = result.trials
    assert (trial.state, trial.value, result.best, result.best_config) == ("failed", None, None, None)
    assert "no finite value" in str(trial.why)
    assert "No trial finished" in printed(result)


def test_a_bad_trial_is_stopped_and_shown_as_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACE", "0.4")
    rates = "training.learning_rate: {values: [2e-3, 1e-4]}"
    stops = "early_terminate: {type: hyperband, min_iter: 2, eta: 3}"
    result = search(tmp_path, made(tmp_path, rates, more=stops), 3, own=False)
    by_rate: dict[float, list[Any]] = {}
    for trial in result.trials:
        by_rate.setdefault(trial.values["training.learning_rate"], []).append(trial)
    worse = [trial for trial in by_rate.get(1e-4, []) if trial.number > by_rate[2e-3][0].number]
    assert worse, "no trial of the bad rate came after the good one"
    for trial in worse:
        assert trial.state == "pruned"
        assert 2 <= trial.evaluations < EVALUATIONS
        assert trial.value == accuracy(1e-4, trial.evaluations)
    assert result.best is not None
    assert result.best.values["training.learning_rate"] == 2e-3
    assert "stopped after" in printed(result)
    for trial in worse:  # in order, and not as one that failed or whose machine went away
        progress = (trial.folder / f"run-{trial.folder.name}" / "oaml" / "progress.json").read_text(encoding="utf-8")
        assert json.loads(progress)["outcome"] == "finished"
        assert (trial.folder / "result.json").stat().st_size


def test_a_trial_that_was_stopped_is_no_finished_one_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a trial's stop and its note in the study."""
    monkeypatch.setenv("PACE", "0.4")
    monkeypatch.setattr("oaml_callbacks.sweeps.pruning.is_beaten", lambda values, *_: len(values) == 2)
    sweep = made(tmp_path, more="early_terminate: {type: hyperband, min_iter: 2, eta: 3}")
    search(tmp_path, sweep, 1)
    with closing(sqlite3.connect(tmp_path / "search" / "study.db")) as connection, connection:
        connection.execute("UPDATE trials SET state = 'RUNNING'")
    (trial,) = search(tmp_path, sweep, 1).trials
    assert trial.state == "pruned"
    assert len(calls(trial.folder)) == 1


@pytest.mark.parametrize("wandb", [True, False])
def test_a_trial_at_its_last_evaluation_is_not_stopped(
    wandb: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaml_callbacks.sweeps.pruning.is_beaten", lambda values, *_: len(values) == EVALUATIONS)
    monkeypatch.setattr("oaml_callbacks.sweeps.search.POLL_SECONDS", 0.001)
    monkeypatch.setenv("END", "0.5")  # it is still at work after its last evaluation
    sweep = made(tmp_path, more="early_terminate: {type: hyperband, min_iter: 2, eta: 3}")
    (trial,) = search(tmp_path, sweep, 1, wandb=wandb).trials
    assert (trial.state, trial.evaluations) == ("finished", EVALUATIONS)


def test_without_wandb_the_checkpoints_tell(tmp_path: Path, found: SearchResult) -> None:
    result = search(tmp_path, made(tmp_path), 2, wandb=False)
    assert [trial.value for trial in result.trials] == [trial.value for trial in found.trials[:2]]
    assert all(trial.evaluations == EVALUATIONS for trial in result.trials)
    arguments = calls(tmp_path / "search" / "trial-001")[0]
    assert 'training.report_to="none"' in arguments
    assert "--wandb" not in arguments
    assert result.sync_command is None


def test_a_changed_file_is_refused_with_what_differs(tmp_path: Path) -> None:
    search(tmp_path, made(tmp_path), 1)
    with pytest.raises(SweepError, match=r"parameters.lora.r.values: \[4, 8\] then, \[4, 16\] now") as caught:
        search(tmp_path, made(tmp_path, RATE, "lora.r: {values: [4, 16]}"), 2)
    assert "learning_rate" not in str(caught.value)
    (tmp_path / "config.yaml").write_text((tmp_path / "config.yaml").read_text().replace("r: 8", "r: 2"))
    with pytest.raises(SweepError, match=r"config\.lora\.r: 8 then, 2 now"):
        search(tmp_path, made(tmp_path), 2)


def test_two_searches_in_one_folder_are_refused(tmp_path: Path) -> None:
    with search_lock(tmp_path / "search"), pytest.raises(SweepError, match=rf"another search .*process {os.getpid()}"):
        search(tmp_path, made(tmp_path), 1)
    search(tmp_path, made(tmp_path), 1)


def test_the_files_own_pruner_may_be_named(tmp_path: Path) -> None:
    sweep = made(tmp_path, more="early_terminate: {type: hyperband, min_iter: 2}")
    search(tmp_path, sweep, 1)
    assert len(search(tmp_path, sweep, 1, pruner="hyperband").trials) == 1
    with pytest.raises(SweepError, match='pruner: "hyperband" then, "none" now'):
        search(tmp_path, sweep, 2, pruner="none")


def test_a_study_of_something_else_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/search/study.db")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(SweepError, match=r"study.db is a study of something else"):
        search(tmp_path, made(tmp_path), 2)
    assert study.user_attrs == {}


def test_trials_without_their_study_are_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "search" / "trial-001").mkdir(parents=True)
    with pytest.raises(SweepError, match=r"trial-001 is there from a search whose study.db isn't"):
        search(tmp_path, made(tmp_path), 1)


def test_a_broken_study_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "study.db").write_bytes(b"no database" * 1000)
    with pytest.raises(SweepError, match=r"study.db can't be read as a search's study"):
        search(tmp_path, made(tmp_path), 1)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("grounding_labels_ok", "isn't logged while a trial trains"),
        ("train_loss", "isn't logged while a trial trains"),
    ],
)
def test_a_metric_that_is_known_at_the_end_alone_is_refused(tmp_path: Path, metric: str, told: str) -> None:
    path = sweep_file(tmp_path)
    path.write_text(path.read_text().replace("eval/grounding_accuracy", metric))
    with pytest.raises(SweepError, match=told):
        search(tmp_path, read_sweep(path), 1)


def test_the_other_way_round_the_least_is_best(tmp_path: Path) -> None:
    path = sweep_file(tmp_path)
    text = path.read_text().replace("eval/grounding_accuracy", "eval/grounding_distance").replace("maxi", "mini")
    path.write_text(text)
    result = search(tmp_path, read_sweep(path), 3)
    assert result.best is not None
    assert result.best.value == min(trial.value for trial in result.trials if trial.value is not None)


def test_a_picture_that_cannot_be_drawn_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oaml_callbacks.sweeps.pictures.draw_search", full)
    result = search(tmp_path, made(tmp_path), 1)
    assert result.best is not None
    assert result.picture is None
    assert "couldn't be drawn: OSError" in caplog.text


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = made(tmp_path)
    monkeypatch.setattr("oaml_callbacks.sweeps.local.find_spec", lambda name: None)
    with pytest.raises(SweepError, match=r'pip install "oaml-callbacks\[sweep\]"'):
        run_local(sweep, trials=1, output_dir=tmp_path / "search", runner=fake)
