"""`oaml sweep make`: a sweep file from a configuration, which `oaml sweep check` and W&B's own reader take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from oaml_callbacks.cli_sweep import app
from oaml_callbacks.sweeps.check import check_sweep
from oaml_callbacks.sweeps.make import SweepOptions, make_sweep
from oaml_callbacks.sweeps.sweep_file import Parameter, Sweep, SweepError, read_sweep

from .files import CONFIG

pytestmark = pytest.mark.newest_only
CONFIGS = sorted(path for path in (Path(__file__).parents[2] / "configs").glob("*.yaml") if "sweep" not in path.stem)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path


def made(*overrides: str, config: str = "run.yaml", **options: Any) -> Sweep:
    path = Path("made.yaml")
    path.write_text(make_sweep(Path(config), overrides, SweepOptions(**options)))
    return read_sweep(path)


def parameters(sweep: Sweep) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in sweep.parameters}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["make", *arguments])


@pytest.mark.parametrize("method", ["bayes", "random", "grid"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_ours_makes_a_file_without_faults(config: Path, method: Any) -> None:
    data = [] if "demo" in config.stem else ["data.train=train.jsonl", "data.eval=eval.jsonl"]
    path = Path("sweep.yaml")
    path.write_text(make_sweep(config, data, SweepOptions(method=method)))
    checked = check_sweep(path)
    assert (checked.faults, checked.many) == ((), None)
    assert checked.trials is not None
    assert max(map(len, path.read_text().splitlines())) <= 120 or str(config) in path.read_text()


def test_ranges_lie_around_the_configurations_own_values() -> None:
    sweep = made()
    found = parameters(sweep)
    rate = found["training.learning_rate"]
    assert (rate.kind, rate.min, rate.max) == ("log_uniform_values", 1e-5, 1e-3)
    assert found["lora.r"].values == (4, 8, 16, 32)
    assert found["lora.lora_alpha"].values == (16, 32, 64)
    assert found["lora.lora_dropout"].values == (0.0, 0.05, 0.1)
    assert found["training.max_steps"].values == (50, 100, 200)
    assert found["training.gradient_accumulation_steps"].values == (2, 4, 8)  # the batch is 1
    assert (sweep.metric, sweep.goal, sweep.method) == ("eval/grounding_accuracy", "maximize", "bayes")


def test_a_configuration_by_epochs_is_searched_by_epochs() -> None:
    Path("run.yaml").write_text(CONFIG.replace("max_steps: 100, ", "per_device_train_batch_size: 4, "))
    found = parameters(made())
    assert found["training.num_train_epochs"].values == (1, 3, 6)
    assert found["training.per_device_train_batch_size"].values == (2, 4)
    assert "training.max_steps" not in found


def test_hyperband_is_counted_in_evaluations() -> None:
    rule = made().early_terminate  # 100 steps, an evaluation every 20
    assert rule is not None
    assert rule.counts(5) == [2]
    assert made("training.eval_steps=100").early_terminate is None
    assert made(early_stop=False).early_terminate is None


def test_a_grid_has_lists_alone_and_says_its_size() -> None:
    sweep = made(method="grid")
    assert all(parameter.kind == "categorical" for parameter in sweep.parameters)
    assert sweep.run_cap is None
    assert "method: grid  # all 216 combinations" in Path("made.yaml").read_text()


def test_wandbs_own_reader_finds_the_same_values() -> None:
    sweep = made(parameters={"training.weight_decay": "1e-6..1e-2", "lora.bias": "none,all"})
    assert yaml.safe_load(Path("made.yaml").read_text()) == sweep.content  # YAML 1.1, for which 1e-6 is text


def test_overrides_become_part_of_the_command() -> None:
    sweep = made("data.eval=some where.jsonl", "wandb.tags=[a, 'b: c']")
    assert sweep.content["command"] == [
        "oaml", "train", "run.yaml", "data.eval=some where.jsonl", "wandb.tags=[a, 'b: c']", "--wandb",
        "${args_no_hyphens}",
    ]  # fmt: skip


@pytest.mark.parametrize("rank", ["lora.r=4", "r=4"])
def test_what_is_fixed_for_all_trials_is_not_searched(rank: str) -> None:
    found = parameters(made("training.max_steps=20", rank))
    assert not {"training.max_steps", "lora.r"} & set(found)
    assert {"training.learning_rate", "lora.lora_alpha"} <= set(found)


def test_where_the_runs_go_is_the_configurations() -> None:
    sweep = made("wandb.project=clicks", "wandb.entity=a-team")
    assert (sweep.content["project"], sweep.content["entity"]) == ("clicks", "a-team")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("4,8,16", {"kind": "categorical", "values": (4, 8, 16)}),
        ("4", {"kind": "constant", "values": (4,)}),
        ("2..9", {"kind": "int_uniform", "min": 2, "max": 9}),
    ],
)
def test_a_parameter_is_given_as_values_or_as_a_range(given: str, expected: dict[str, Any]) -> None:
    found = parameters(made(parameters={"lora.r": given}))["lora.r"]
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "kind"), [("1e-6..1e-2", "log_uniform_values"), ("0..0.1", "uniform"), ("0.01..0.05", "uniform")]
)
def test_a_wide_range_is_searched_by_its_logarithm(given: str, kind: str) -> None:
    assert parameters(made(parameters={"weight_decay": given}))["training.weight_decay"].kind == kind


def test_the_command_line_changes_every_part() -> None:
    result = run(
        "run.yaml", "-o", "mine.yaml", "--method", "random", "--metric", "eval/loss", "--param", "r=4,8", "--name",
        "mine",         "--drop", "lora.lora_dropout", "--drop", "lora_alpha", "--no-early-stop", "--run-cap", "50",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    sweep = read_sweep(Path("mine.yaml"))
    assert (sweep.method, sweep.metric, sweep.goal, sweep.name, sweep.run_cap, sweep.early_terminate) == (
        "random", "eval/loss", "minimize", "mine", 50, None
    )  # fmt: skip
    found = parameters(sweep)
    assert found["lora.r"].values == (4, 8)
    assert not {"lora.lora_dropout", "lora.lora_alpha", "r"} & set(found)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.yaml"], "none.yaml: the configuration can't be read"),
        (["run.yaml", "lora.rank=4"], "lora.rank: there is no such key"),
        (["run.yaml", "--param", "lora.rank=4,8"], "parameters.lora.rank: there is no such key; did you mean lora.r?"),
        (["run.yaml", "--param", "lora.r=16..4"], "parameters.lora.r.min: the range is upside down"),
        (["run.yaml", "--param", "lora.r=a..b"], "expected two numbers"),
        (["run.yaml", "--param", "lora.r"], "expected KEY=VALUES"),
        (["run.yaml", "--param", "lora.r=4,[8"], "--param lora.r=4,[8"),
        (
            ["run.yaml", "--param", "training.weight_decay=0..0.1", "--method", "grid"],
            "a grid over the continuous range",
        ),
        (["run.yaml", "--drop", "lora.bias"], "this isn't searched"),
        (["run.yaml", "--metric", "accuracy"], "nobody logs accuracy"),
        (["run.yaml", "--goal", "minimize"], "looks for the worst eval/grounding_accuracy"),
    ],
)
def test_a_mistake_is_told_and_writes_nothing(arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not Path("sweep.yaml").exists()


def test_paths_with_dots_are_values_and_no_range() -> None:
    found = parameters(made(parameters={"data.train": "../a.jsonl,../b.jsonl"}))["data.train"]
    assert found.values == ("../a.jsonl", "../b.jsonl")


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind() -> None:
    Path("folder.yaml").mkdir()
    result = run("run.yaml", "-o", "folder.yaml", "--overwrite")
    assert (result.exit_code, "can't be written" in result.stderr) == (2, True)
    assert sorted(path.name for path in Path().iterdir()) == ["folder.yaml", "run.yaml"]


def test_a_file_that_is_there_is_kept() -> None:
    Path("sweep.yaml").write_text("mine")
    assert "is there already" in run("run.yaml").stderr
    assert Path("sweep.yaml").read_text() == "mine"
    assert run("run.yaml", "--overwrite").exit_code == 0
    assert Path("sweep.yaml").read_text() != "mine"


def test_nothing_left_to_search_is_told() -> None:
    names = list(parameters(made()))
    with pytest.raises(SweepError, match="nothing is left"):
        make_sweep(Path("run.yaml"), (), SweepOptions(dropped=names))
