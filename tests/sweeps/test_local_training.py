"""`oaml sweep local` with real trainings: few steps of the demo's model on few screens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.config import load_config
from oaml_callbacks.sweeps.local import run_local
from oaml_callbacks.sweeps.sweep_file import read_sweep
from oaml_callbacks.testing import read_run

CONFIGS = Path(__file__).parents[2] / "configs"
SHORT = [
    "--max-steps",
    "2",
    "--eval-steps",
    "1",
    "--save-steps",
    "1",
    "--logging-steps",
    "1",
    "--per-device-train-batch-size",
    "2",
    "demo_data.train_samples=4",
    "demo_data.eval_samples=4",
    "grounding.baseline=false",
]


def oaml(folder: Path, *arguments: str) -> Any:
    """What the command prints as JSON, run in `folder`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "OAML_"))}
    command = [sys.executable, "-m", "oaml_callbacks", "sweep", "local", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sweep(folder: Path) -> Path:
    command = ["oaml", "train", str(CONFIGS / "demo.yaml"), *SHORT, "--wandb", "${args_no_hyphens}"]
    lines = [
        "name: small",
        "method: random",
        "metric: {name: eval/grounding_accuracy, goal: maximize}",
        "parameters:",
        "  training.learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}",
        "  lora.lora_dropout: {min: 0.0, max: 0.1}",
        f"command: {json.dumps(command)}",
    ]
    path = folder / "sweep.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.newest_only
@pytest.mark.slow(seconds=45)
def test_real_trainings_are_searched_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, with W&B offline; and without W&B, which changes no number."""
    found = oaml(tmp_path, str(sweep(tmp_path)), "--trials", "1")
    (trial,) = found["trials"]
    assert (trial["state"], trial["evaluations"]) == ("finished", 2)
    out = tmp_path / "training_output" / "small"
    assert Path(found["output_dir"]) == out

    run = read_run(out)
    assert (run.id, run.group, run.name) == (trial["run_id"], "small", "trial-01")
    assert trial["value"] == max(run.column("eval/grounding_accuracy"))
    assert run.config["oaml"]["config"]["training"]["learning_rate"] == trial["values"]["training.learning_rate"]
    assert (Path(trial["adapter"]) / "adapter_model.safetensors").is_file()
    assert str(out / "wandb") in found["sync_command"] or "training_output/small/wandb" in found["sync_command"]

    best = load_config(found["best_config"])
    assert best.training["learning_rate"] == trial["values"]["training.learning_rate"]
    assert best.training["max_steps"] == 2
    assert Path(best.model_source()).resolve() == (CONFIGS / "demo" / "tiny-qwen3-vl").resolve()

    monkeypatch.chdir(tmp_path)
    plain = run_local(read_sweep(sweep(tmp_path)), trials=1, output_dir=Path("plain"), wandb=False)
    (untracked,) = plain.trials
    assert untracked.values == trial["values"]
    assert untracked.value == trial["value"]
    assert untracked.figures.items() >= run_figures(trial).items()
    assert not Path("plain", "wandb").exists()


def run_figures(trial: Any) -> dict[str, float]:
    """What the table shows beside the accuracy."""
    return {f"eval/grounding_{name}": trial[name] for name in ("accuracy_low", "accuracy_high", "distance")}
