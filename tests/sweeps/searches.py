"""Searches for tests: sweep files over a small training configuration, whose trials take no time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from oaml_callbacks.sweeps.local import run_local
from oaml_callbacks.sweeps.search_result import SearchResult
from oaml_callbacks.sweeps.sweep_file import Sweep, read_sweep

from .fake_trial import fake

CONFIG = """\
model: {name: tiny}
lora: {r: 8}
data: {train: train.jsonl, eval: eval.jsonl}
training: {learning_rate: 3e-4, output_dir: out}
"""
RATE = "training.learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}"
RANKS = "lora.r: {values: [4, 8]}"


def sweep_file(folder: Path, *parameters: str, method: str = "bayes", more: str = "", command: str = "") -> Path:
    """Write a sweep file, and the training configuration it is over."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
    lines = [
        "name: tests",
        f"method: {method}",
        "metric: {name: eval/grounding_accuracy, goal: maximize}",
        "parameters:",
        *(f"  {parameter}" for parameter in parameters or (RATE, RANKS)),
        f"command: [oaml, train, {config}, --wandb, {command} '${{args_no_hyphens}}']",
        more,
    ]
    path = folder / "sweep.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def made(folder: Path, *parameters: str, **options: Any) -> Sweep:
    """The same, read."""
    return read_sweep(sweep_file(folder, *parameters, **options))


def search(folder: Path, sweep: Sweep, trials: int | None = 3, **options: Any) -> SearchResult:
    """Search with trials that take no time."""
    return run_local(sweep, trials=trials, output_dir=folder / "search", runner=fake, **options)


def wait_for(path: Path, seconds: float = 120) -> None:
    """Wait until there is something in a file."""
    deadline = time.monotonic() + seconds
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.05)


def calls(folder: Path) -> list[list[str]]:
    """The arguments with which a trial was started, each time."""
    lines = (folder / "calls.txt").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
