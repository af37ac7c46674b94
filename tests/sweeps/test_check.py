"""`oaml sweep check`: what W&B's schema lets through, and what the training configuration doesn't take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oaml_callbacks.cli_sweep import app
from oaml_callbacks.sweeps.check import check_sweep
from oaml_callbacks.sweeps.metrics import better, is_known, known_metrics

from .files import CONFIG, WHOLE, faults, with_parameters, written

pytestmark = pytest.mark.newest_only


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_found_in_a_file_that_is_right(tmp_path: Path) -> None:
    assert faults(tmp_path, WHOLE) == []


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("lora.rank: {values: [4]}", "5 parameters.lora.rank: there is no such key; did you mean lora.r?"),
        ("training.learning_rat: {value: 1.0}", "did you mean training.learning_rate?"),
        ("learning_rates: {value: 1.0}", "did you mean training.learning_rate?"),
        ("lora.r: {values: [4, 0]}", "5 parameters.lora.r.values.1: expected a whole number greater than 0, found 0"),
        ("lora.r: {values: [4, eight]}", "5 parameters.lora.r.values.1: expected a whole number, found 'eight'"),
        ("lora.r: {min: 4.0, max: 8.5}", "5 parameters.lora.r: expected a whole number, found 5.7"),
        ("lora.lora_dropout: {min: 0.5, max: 1.5}", "lora_dropout.max: expected a number less than 1, found 1.5"),
        ("lora.lora_dropout: {distribution: normal, mu: 0.1, sigma: 0.2}", "greater than or equal to 0, found -0.3"),
        ("lora.bias: {values: [none, lora_onyl]}", "values.1: expected one of none, all, lora_only"),
        ("lora.r: {value: null}", "5 parameters.lora.r.value: W&B's agent passes nothing as the text None"),
        ("lora.r: {min: 8, max: 4}", "5 parameters.lora.r.min: the range is upside down: min 8 is above max 4"),
        ("lora.r: {min: 8, max: 8}", "the range is empty: min and max are both 8. Write value: 8"),
        ("training.learning_rate: {min: 1, max: 2.5}", "W&B takes neither whole numbers nor fractions from 1 to 2.5"),
        ("training.learning_rate: {distribution: log_uniform, min: 1e-5, max: 1e-3}", "mean log_uniform_values?"),
        ("learning_rate: {distribution: uniform, min: .inf, max: 1}", "min: expected a finite number, found inf"),
        ("lora.r: {distribution: q_uniform, min: 5, max: 7, q: 4}", "no multiple of 4 lies in 5 to 7"),
        ("lora.r: {min: 1, max: 1" + "0" * 400 + "}", "5 parameters.lora.r.max: expected a finite number, found 1000"),
        ("lora.lora_dropout: {distribution: q_log_uniform, min: -9, max: 9, q: 1.0e-320}", "less than 1, found 8103"),
        ("lora.r: {values: [4, 8, 4]}", "5 parameters.lora.r.values: 4 stands there 2 times; keep one"),
        ("lora.r: {values: [4, 8], probabilities: [0.5, 0.6]}", "expected probabilities that sum to 1, found 1.1"),
        ("lora.r: {values: [4, 8], probabilities: [1]}", "expected one for each of the 2 values, found 1"),
        ("training.num_train_epochs: {values: [1, 2]}", "without effect: training.max_steps ends the training"),
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_searched_is_told(tmp_path: Path, parameter: str, told: str) -> None:
    found = faults(tmp_path, with_parameters(parameter))
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    "parameter",
    [
        "r: {values: [4, 8]}",
        "lora.r: {min: 4, max: 8}",
        "lora.r: {distribution: q_log_uniform_values, min: 4, max: 64, q: 4}",
        "training.learning_rate: {distribution: log_uniform, min: -11.5, max: -6.9}",
        "training.eval_strategy: {values: ['no', steps]}",
        "training.bf16: {values: [true, false]}",
        "wandb.tags: {values: [[a], [a, b]]}",
        "lora.target_modules: {values: ['.*(q|v)_proj', [q_proj, v_proj]]}",
    ],
)
def test_a_parameter_that_oaml_train_takes_is_let_through(tmp_path: Path, parameter: str) -> None:
    assert faults(tmp_path, with_parameters(parameter)) == []


def test_one_parameter_under_two_names_is_told(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, with_parameters("lora.r: {value: 4}", "r: {value: 8}"))
    assert found == "6 parameters.r: this is the parameter of line 5; keep one of them"


def test_a_parameter_that_the_command_sets_is_told(tmp_path: Path) -> None:
    command = "[oaml, train, run.yaml, --wandb, r=3, '${args_no_hyphens}']"
    (found,) = faults(tmp_path, with_parameters("lora.r: {value: 4}", command=command))
    assert found.startswith("5 parameters.lora.r: the command (line 3) sets it for all trials")


@pytest.mark.parametrize(
    ("replaced", "told"),
    [
        ({"metric": "{name: eval_grounding_accuracy, goal: maximize}"}, "did you mean eval/grounding_accuracy?"),
        ({"metric": "{name: eval/grounding_acuracy, goal: maximize}"}, "did you mean eval/grounding_accuracy?"),
        ({"metric": "{name: eval/web_loss}"}, "2 metric.name: nobody logs eval/web_loss"),
        ({"metric": "{name: val_bleu}"}, "2 metric.name: nobody logs val_bleu; expected a key of README"),
        ({"metric": "{name: eval/grounding_accuracy, goal: minimize}"}, "2 metric.goal: minimize looks for the worst"),
        ({"metric": "{name: eval/grounding_accuracy}"}, "(W&B's goal where none is given) looks for the worst"),
        ({"metric": "{name: eval/loss, goal: maximize}"}, "write goal: minimize"),
        ({"metric": ""}, "isn't there"),
        ({"early_terminate": "{type: hyperband, min_iter: 9}"}, "9 evaluations, and a trial makes 5: none is stopped"),
        ({"early_terminate": "{type: hyperband, min_iter: 1, eta: .inf}"}, "eta: expected a finite number, found inf"),
        ({"early_terminate": "{type: hyperband, max_iter: 2, s: 1}"}, "leave nowhere to stop"),
        ({"command": "[oaml, train, none.yaml, --wandb, '${args_no_hyphens}']"}, "there is no training configuration"),
        ({"command": "[oaml, train, run.yaml, --wandb, eval_strategy=no, '${args_no_hyphens}']"}, "nobody logs eval/"),
        ({"command": "[oaml, train, run.yaml, --wandb, lora.r=no, '${args_no_hyphens}']"}, "isn't right: lora.r=no"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_made_is_told(tmp_path: Path, replaced: dict[str, str], told: str) -> None:
    if replaced == {"metric": ""}:
        (found,) = faults(tmp_path, WHOLE.replace("metric: {name: eval/grounding_accuracy, goal: maximize}\n", ""))
        assert found.startswith("1 method: bayes needs to know what to improve")
        return
    (found,) = faults(tmp_path, with_parameters("lora.lora_alpha: {value: 4}", **replaced))
    assert told in found


def test_early_termination_needs_a_metric_that_is_logged_again_and_again(tmp_path: Path) -> None:
    metric = "{name: best/grounding_accuracy, goal: maximize}"
    rule = "{type: hyperband, min_iter: 2}"
    (found,) = faults(tmp_path, with_parameters("lora.r: {value: 4}", metric=metric, early_terminate=rule))
    assert "is known at the end alone" in found


def test_hyperband_counts_the_evaluations_of_the_longest_trial(tmp_path: Path) -> None:
    rule = "{type: hyperband, min_iter: 9}"
    longer = with_parameters("training.max_steps: {values: [100, 200]}", early_terminate=rule)
    assert faults(tmp_path, longer) == []


def test_a_configuration_without_evaluation_rows_logs_no_metric(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, WHOLE, CONFIG.replace(", eval: eval.jsonl", ""))
    assert found.startswith("3 command: without data.eval nobody logs eval/grounding_accuracy")


def test_a_configuration_beside_the_file_and_not_here_says_where_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (found,) = faults(tmp_path, WHOLE)
    assert found.endswith(f"It is relative to where the command is started: cd {tmp_path}")


def test_faults_of_form_and_of_meaning_are_told_together(tmp_path: Path) -> None:
    text = with_parameters("lora.r: {valeus: [4]}", "lora.rank: {value: 4}", method="grids")
    assert [found.split(":")[0] for found in faults(tmp_path, text)] == [
        "1 method", "5 parameters.lora.r", "6 parameters.lora.rank"
    ]  # fmt: skip


def test_a_grid_over_a_continuous_range_is_told(tmp_path: Path) -> None:
    range_ = "training.learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 1e-3}"
    (found,) = faults(tmp_path, with_parameters("lora.r: {min: 1, max: 3}", range_, method="grid"))
    assert found.startswith("6 parameters.training.learning_rate: a grid over the continuous range 1e-05 to 0.001")


@pytest.mark.parametrize("range_", ["max: .inf, q: 0.1", "max: 0.5, q: 1.0e-320", "max: 0.5, q: .nan"])
def test_a_grid_over_a_range_without_end_is_told(tmp_path: Path, range_: str) -> None:
    lines = f"lora.lora_dropout: {{distribution: q_uniform, min: 0, {range_}}}"
    assert "a grid over the continuous range" in faults(tmp_path, with_parameters(lines, method="grid"))[0]


TEN_THOUSAND = [
    "lora.r: {min: 1, max: 100}", "lora.lora_alpha: {min: 1, max: 100}",
]  # fmt: skip


def test_a_grid_of_ten_thousand_points_says_how_many_trials(tmp_path: Path) -> None:
    path = written(tmp_path, with_parameters(*TEN_THOUSAND, method="grid"))
    checked = check_sweep(path)
    assert checked.trials == 10_000
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "the grid has 10,000 points" in result.stdout
    assert "--yes" in result.stdout


def test_a_grid_of_ten_thousand_points_is_not_started_without_yes(tmp_path: Path) -> None:
    path = written(tmp_path, with_parameters(*TEN_THOUSAND, method="grid"))
    result = CliRunner().invoke(app, ["start", str(path)])
    assert result.exit_code == 2
    assert "--yes starts 10,000 trials" in result.stderr


def test_a_run_cap_makes_a_large_grid_small(tmp_path: Path) -> None:
    checked = check_sweep(written(tmp_path, with_parameters(*TEN_THOUSAND, method="grid", run_cap="12")))
    assert (checked.trials, checked.many) == (12, None)


def test_faults_are_json_for_a_program(tmp_path: Path) -> None:
    path = written(tmp_path, with_parameters("lora.r: {values: [4, 0]}"))
    result = CliRunner().invoke(app, ["check", str(path), "--json"])
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert shown["faults"][0]["line"] == 5
    assert shown["faults"][0]["key"] == "parameters.lora.r.values.1"


def test_exit_codes_tell_faults_from_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    runner = CliRunner()
    fine = runner.invoke(app, ["check", str(written(tmp_path, WHOLE))])
    assert fine.exit_code == 0
    assert "nothing wrong. bayes search over 1 parameter that maximizes eval/grounding_accuracy" in fine.stdout
    assert runner.invoke(app, ["check", str(tmp_path / "none.yaml")]).exit_code == 2


def test_every_metric_is_one_that_the_keys_name() -> None:
    assert {"eval/grounding_accuracy", "eval/loss", "best/grounding_distance", "train/loss"} <= set(known_metrics())
    assert not {"eval/grounding_table", "viewer_url", "oaml.git"} & set(known_metrics())
    assert is_known("eval/grounding_accuracy/text")
    for name in ("eval/web_grounding_accuracy", "eval/web_loss", "eval/grounding_table/text"):
        assert not is_known(name)  # `oaml train` has one evaluation set


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("eval/grounding_accuracy_low", "maximize"),
        ("best/grounding_distance", "minimize"),
        ("eval/grounding_samples_per_second", "maximize"),
        ("eval/grounding_seconds", "minimize"),
        ("eval/web_loss", "minimize"),
        ("eval/grounding_samples", None),
        ("baseline/grounding_accuracy", None),
    ],
)
def test_which_way_is_better(metric: str, way: str | None) -> None:
    assert better(metric) == way
