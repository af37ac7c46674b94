"""`oaml openadapt-ml-train`: openadapt-ml's own command, run for real on drawn screens and a tiny Qwen3-VL."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from oaml_callbacks.cli_openadapt_ml import (
    OPENADAPT_ML_TRAIN_HELP,
    OPENADAPT_ML_TRAIN_SETTINGS,
    openadapt_ml_train,
)
from oaml_callbacks.testing import read_run

from . import builders

pytest.importorskip("trl", reason="TRL is an optional dependency")
pytest.importorskip("openadapt_ml.training.trl_trainer", reason="openadapt-ml is installed by make")

app = typer.Typer()
app.command(help=OPENADAPT_ML_TRAIN_HELP, no_args_is_help=True, context_settings=OPENADAPT_ML_TRAIN_SETTINGS)(
    openadapt_ml_train
)
Run = Callable[..., Result]
CONFIG = {
    "model": {"name": str(builders.BASE), "load_in_4bit": False},
    "lora": {"r": 4, "lora_alpha": 8},
    "synthetic_data": {"num_sessions": 1, "seed": 1, "output_dir": "drawn"},
    "training": {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
        "save_strategy": "no",
    },
}


@pytest.fixture
def oaml(screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a configuration and rows; without Unsloth, as its own option has it."""
    monkeypatch.chdir(offline)
    monkeypatch.setenv("OPENADAPT_DISABLE_UNSLOTH", "1")  # the option sets it, and it is put back so
    (offline / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    for name in ("train", "eval"):
        lines = (screens / f"{name}.jsonl").read_text().splitlines()[:2]
        (offline / f"{name}.jsonl").write_text("\n".join(lines))
    (offline / "screens").symlink_to(screens / "screens")
    arguments = [*sys.argv]

    def run(*options: str) -> Result:
        result = CliRunner().invoke(app, options)
        assert sys.argv == arguments
        return result

    return run


def test_its_jsonl_is_trained_on_and_tracked(oaml: Run, offline: Path) -> None:
    import wandb

    options = ("--wandb-project", "clicks", "--eval-jsonl", "eval.jsonl", "--eval-steps", "1", "--output-dir", "own")
    result = oaml("--config", "run.yaml", "--no-unsloth", "--jsonl", "train.jsonl", *options, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["adapter"] == str(offline / "own" / "final")
    assert (offline / "own" / "final" / "adapter_model.safetensors").is_file()
    wandb.teardown()
    run = read_run(offline)
    assert (run.id, run.project) == (told["run_id"], "clicks")
    assert run.column("eval/grounding_samples") == [2]
    assert [(row["step"], row["accuracy"] is not None) for row in told["evaluations"]] == [(0, True), (1, True)]
    assert "Starting training (JSONL)" in result.stderr


def test_without_wandb_it_is_its_own_command(oaml: Run, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On its synthetic screens, with the repairs that today's transformers needs."""
    monkeypatch.setenv("WANDB_DISABLED", "true")  # transformers 4 reports to all that is installed
    result = oaml("--config", "run.yaml", "--no-unsloth")
    assert result.exit_code == 0, result.output
    assert "Training complete. Checkpoint saved to: training_output/final" in result.stdout
    assert list((offline / "drawn").rglob("*.png"))
    assert not list(offline.rglob("*.wandb"))
    assert not list((offline / "training_output").glob("*/run.json"))


def test_with_wandb_and_no_rows_it_says_which_option_gives_them(oaml: Run, offline: Path) -> None:
    result = oaml("--config=run.yaml", "--jsonl", "train.jsonl", "--wandb")
    assert result.exit_code == 0, result.output
    assert "--eval-jsonl eval.jsonl" in result.stderr
    assert re.search(r"^W&B run +\w+$", result.stdout, flags=re.M)
    assert re.search(r"^adapter +training_output/final$", result.stdout, flags=re.M)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--config", "no_yaml.yaml"], "no_yaml.yaml is no YAML"),
        (["--config", "no_model.yaml"], "no_model.yaml names no model: expected `model: {name: "),
        (["--config", "empty_section.yaml"], "empty_section.yaml: training has no settings"),
        (["--config", "run.yaml", "--jsonl", "empty.jsonl"], "No valid training samples"),
        (["--config", "run.yaml", "--jsonl", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--config", "run.yaml", "--demo-dir", "nowhere", "--captures-dir", "."], "No training samples"),
        (["--config", "run.yaml", "--eval-jsonl", "eval.jsonl"], "of use with --wandb alone"),
        (["--config", "run.yaml", "--wandb", "--eval-jsonl", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--config", "run.yaml", "--wandb", "--eval-jsonl", "empty.jsonl"], "empty.jsonl"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(oaml: Run, offline: Path, options: list[str], message: str) -> None:
    (offline / "no_yaml.yaml").write_text("model: [")
    (offline / "no_model.yaml").write_text("training: {}")
    (offline / "empty_section.yaml").write_text("model: {name: x}\ntraining:\n")
    (offline / "empty.jsonl").write_text("")
    result = oaml(*options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_its_own_parser_says_what_it_does_not_know(oaml: Run, capfd: pytest.CaptureFixture[str]) -> None:
    for options, message in (
        (("--jsonl", "train.jsonl"), "the following arguments are required: --config"),
        (("--config", "run.yaml", "--jsnol", "x"), "unrecognized arguments: --jsnol x"),
    ):
        result = oaml(*options)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert "usage: oaml openadapt-ml-train" in result.stderr


def test_a_package_that_is_missing_is_named(oaml: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openadapt_capture", None)
    result = oaml("--config", "run.yaml", "--capture", "recording")
    assert result.exit_code == 2, result.output
    assert "pip install openadapt-capture" in result.stderr


def test_the_help_lists_its_own_options() -> None:
    script = Path(sys.modules["openadapt_ml"].__path__[0], "scripts", "train.py").read_text()
    own = set(re.findall(r'^ +"(--[a-z-]+)"', script, flags=re.M)) | set(
        re.findall(r'argument\("(--[a-z-]+)"', script)
    )
    assert {"--config", "--jsonl"} <= own
    # `--use-unsloth` is the default, and changes nothing.
    assert own - {"--use-unsloth"} <= set(re.findall(r"--[a-z-]+", OPENADAPT_ML_TRAIN_HELP))
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "Exit codes: 0 trained" in result.stdout
