"""The demo does what README says: a LoRA learns to click, and the run in W&B shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oaml_callbacks.testing import read_run

OAML = "from oaml_callbacks.cli import main; main()"
CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.slow(seconds=120)
@pytest.mark.timeout(900)  # two whole trainings; a machine that others use takes several times as long
@pytest.mark.parametrize("name", ["demo", pytest.param("demo-qwen2.5-vl", marks=pytest.mark.newest_only)])
def test_accuracy_rises_and_distance_falls(offline: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OAML, "train", str(CONFIGS / f"{name}.yaml"), "--wandb"],
        cwd=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = read_run(offline)
    accuracy = [run.summary["baseline/grounding_accuracy"], *run.column("eval/grounding_accuracy")]
    distance = [run.summary["baseline/grounding_distance"], *run.column("eval/grounding_distance")]
    assert len(accuracy) >= 5
    assert accuracy[0] < 0.1
    assert max(accuracy) > 0.85
    assert run.summary["best/grounding_accuracy"] == max(accuracy)
    assert distance[0] > 0.2
    assert distance[-1] < 0.05
    assert run.column("eval/grounding_samples") == [128] * (len(accuracy) - 1)
    assert run.exit_code == 0
    assert run.config["oaml"]["config"]["lora"]["r"] == 8
    for said in ("accuracy", "base model", " sync ", run.summary["viewer_url"], run.summary["dashboard_url"]):
        assert said in done.stdout
    assert "it/s" in done.stderr  # the progress bar
