"""`oaml sweep agent`: real trials of a real agent, one agent on a GPU, and what a killed one leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oaml_callbacks.cli_sweep import app
from oaml_callbacks.sweeps import gpu_lock
from oaml_callbacks.train import newest_checkpoint

from ..loopback import Loopback

pytestmark = [pytest.mark.newest_only, pytest.mark.slow(80)]
ROOT = Path(__file__).parents[2]
CONFIG = f"""
model: {{name: {ROOT / "configs/demo/tiny-qwen3-vl"}}}
lora: {{target_modules: '.*language_model.*q_proj'}}
data: {{train: SCREENS/train.jsonl, eval: SCREENS/eval.jsonl}}
training:
  output_dir: out
  eval_steps: 2
  save_steps: 2
  save_total_limit: 2
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 1
grounding: {{max_new_tokens: 12, max_samples: 2, max_rows: 0, baseline: false}}
"""
SWEEP = """
method: grid
metric: {name: eval/grounding_accuracy, goal: maximize}
program: oaml
command: [oaml, train, run.yaml, --wandb, '${args_no_hyphens}']
parameters:
  training.max_steps: {values: [1000, 2]}  # the first trial is still at it when its agent is killed
  lora.r: {values: [2, 4]}
run_cap: 2
"""


def until(happened: Callable[[], object], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def agent(sweep: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "oaml_callbacks", "sweep", "agent", sweep]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def test_two_trials_of_a_sweep_whose_first_agent_is_killed(
    server: Loopback, screens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.yaml").write_text(CONFIG.replace("SCREENS", str(screens)))
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # no GPU is needed to be kept apart by its name
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    oaml = CliRunner()
    started = oaml.invoke(app, ["start", "sweep.yaml"])
    assert started.exit_code == 0, started.output
    (sweep,) = server.sweeps.all.values()

    first = agent(sweep.path)
    until(lambda: sweep.given_out)
    place = Path("out", sweep.id, sweep.given_out[0])
    until(lambda: newest_checkpoint(place))
    second = oaml.invoke(app, ["agent", sweep.path])
    assert second.exit_code == 2
    assert f"another agent has GPU 0 (process {first.pid})" in second.stderr

    first.send_signal(signal.SIGKILL)
    first.wait()
    cut_off = server.runs[sweep.given_out[0]]
    until(lambda: cut_off.exit_codes)  # W&B's agent was told, and ended the trial in order
    assert newest_checkpoint(place) is not None
    assert cut_off.summary["outcome"] == "interrupted"
    until(gpu_is_free)  # which W&B's agent kept until its trial had ended
    third = agent(sweep.path)
    assert third.wait(timeout=200) == 0

    assert [server.runs[run].config["lora.r"] for run in sweep.given_out] == [2, 4]
    last = server.runs[sweep.given_out[1]]
    assert (last.state, last.summary["outcome"]) == ("finished", "finished")
    assert 0 <= last.summary["eval/grounding_accuracy"] <= 1
    assert Path("out", sweep.id, last.id, "final", "adapter_model.safetensors").is_file()
    assert sweep.state == "FINISHED"


def gpu_is_free() -> bool:
    try:
        with gpu_lock.gpu_locks(["0"]):
            return True
    except gpu_lock.GpuTaken:
        return False
