"""Sweep files, written for tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from oaml_callbacks.sweeps.check import check_sweep

CONFIG = """
model: {name: any}
lora: {r: 8}
data: {train: train.jsonl, eval: eval.jsonl}
training: {max_steps: 100, eval_steps: 20, learning_rate: 1e-4}
"""
COMMAND = "[oaml, train, run.yaml, --wandb, '${args_no_hyphens}']"
WHOLE = f"""\
method: bayes
metric: {{name: eval/grounding_accuracy, goal: maximize}}
command: {COMMAND}
parameters:
  lora.r: {{values: [4, 8]}}
"""


def written(folder: Path, text: str, config: str = CONFIG) -> Path:
    """A sweep file, and beside it the configuration `run.yaml`."""
    (folder / "run.yaml").write_text(config)
    path = folder / "sweep.yaml"
    path.write_text(dedent(text))
    return path


def with_parameters(*lines: str, **replaced: str) -> str:
    """A whole sweep file with these parameters, from line 5 on; `method="grid"` replaces that key's line."""
    kept = {line.partition(":")[0]: line for line in WHOLE.splitlines()[:4]}
    kept |= {key: f"{key}: {value}" for key, value in replaced.items()}
    order = ["method", "metric", "command", *(key for key in replaced if key not in kept or key not in WHOLE)]
    top = [kept[key] for key in dict.fromkeys([*order, "parameters"]) if kept[key]]
    return "\n".join([*top, *(f"  {line}" for line in lines)]) + "\n"


def faults(folder: Path, text: str, config: str = CONFIG) -> list[str]:
    """What `oaml sweep check` finds, each as `line key: what`."""
    checked = check_sweep(written(folder, text, config))
    return [f"{fault.line} {fault.key}: {fault.what}" for fault in checked.faults]
