"""A trial that takes no time: writes what a training would, by the package's own writer, and learns by a formula.

    python fake_trial.py CONFIG KEY=VALUE... [--wandb] [--resume]

`lora.r=13` fails, `lora.r=14` logs no finite value. `PACE` in the environment is the seconds between two evaluations,
`END` those after the last. SIGINT saves a checkpoint and exits with 130, as `oaml train` does; where the search stops
it, it ends as if it were done.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oaml_callbacks.run_folder.writer import RunFolder
from oaml_callbacks.sweeps.guard import STOP
from oaml_callbacks.yaml_lines import parse_value

EVALUATIONS, EVERY, SAMPLES = 4, 10, 64


def fake(config: Path, overrides: Sequence[str], *, wandb: bool, resume: bool) -> list[str]:
    """A runner: see `run_local`."""
    switches = [*(["--wandb"] if wandb else []), *(["--resume"] if resume else [])]
    return [sys.executable, str(Path(__file__)), str(config), *overrides, *switches]


def accuracy(learning_rate: float, evaluation: int) -> float:
    """Best at 2e-3, and better with each of the evaluations, of which the first is 1."""
    reached = 1 - 0.4 * abs(math.log10(learning_rate / 2e-3))
    return round(max(0.0, reached * (0.5 + 0.125 * evaluation)) * SAMPLES) / SAMPLES


def main(arguments: list[str]) -> int:
    given = {name: parse_value(text) for name, has, text in (word.partition("=") for word in arguments[1:]) if has}
    out = Path(given["training.output_dir"])
    with open(out / "calls.txt", "a", encoding="utf-8") as calls:
        calls.write(json.dumps(arguments[1:]) + "\n")
    if given.get("lora.r") == 13:
        print("loading the model\nRuntimeError: 13 is no rank of mine", file=sys.stderr)  # noqa: T201
        return 1
    interrupts: list[int] = []
    stops: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    signal.signal(STOP, lambda number, frame: stops.append(number))
    at = _resumed(out) if "--resume" in arguments else 0
    state: Any = SimpleNamespace(global_step=at * EVERY, max_steps=EVALUATIONS * EVERY, epoch=0.0, num_train_epochs=1)
    state.log_history = []
    folder = (
        RunFolder(out, f"run-{out.name}", {"name": "fake"}, state, resumes=at > 0) if "--wandb" in arguments else None
    )
    if folder is not None:
        folder.describe(project="fake")
        folder.begin(state)
    history = _state(out, at).get("log_history", []) if at else []
    for evaluation in range(at + 1, EVALUATIONS + 1):
        time.sleep(float(os.environ.get("PACE", "0")))
        if stops:
            break
        state.global_step = evaluation * EVERY
        value = accuracy(given["training.learning_rate"], evaluation) if given.get("lora.r") != 14 else math.nan
        row = {"eval_grounding_accuracy": value, "eval_grounding_distance": 1 - value}
        row |= {"eval_grounding_accuracy_low": value - 0.05, "eval_grounding_accuracy_high": value + 0.05}
        history.append({**row, "step": state.global_step})
        if folder is not None:
            folder.log({**{f"eval/{k[5:]}": v for k, v in row.items()}, "train/global_step": state.global_step})
        if folder is None or interrupts or evaluation == EVALUATIONS:
            _save(out / f"checkpoint-{state.global_step}", history)
        if interrupts:
            if folder is not None:
                folder.close("interrupted")
            return 130
    time.sleep(float(os.environ.get("END", "0")))
    if folder is not None:
        folder.close("finished")
    rows = [{"step": row["step"], "accuracy": row["eval_grounding_accuracy"]} for row in history]
    print(json.dumps({"evaluations": rows, "adapter": str(out / "final"), "best_checkpoint": None}))  # noqa: T201
    return 0


def _resumed(out: Path) -> int:
    steps = [int(path.name.partition("-")[2]) for path in out.glob("checkpoint-*")]
    return max(steps, default=0) // EVERY


def _state(out: Path, at: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"checkpoint-{at * EVERY}" / "trainer_state.json").read_text("utf-8"))
    return found


def _save(folder: Path, history: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    state = {"global_step": history[-1]["step"], "max_steps": EVALUATIONS * EVERY, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
