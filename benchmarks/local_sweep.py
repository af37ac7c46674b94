"""Whether a local search finds something: 12 trials over the demo, its best against `configs/demo.yaml` itself.

    python benchmarks/local_sweep.py [--trials 12] [--seeds 1] [--picture docs/sweep.png]

To be run in the repository's folder. Prints a Markdown table. The best of twelve evaluations on the same samples looks
better than it is, so both configurations are trained again, with other seeds and on other screens, as many steps each.
Takes half an hour to an hour on two cores; interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tqdm import tqdm

from oaml_callbacks.sweeps.local import run_local
from oaml_callbacks.sweeps.search_result import SearchResult
from oaml_callbacks.sweeps.sweep_file import read_sweep
from oaml_callbacks.sweeps.trial import oaml_train
from oaml_callbacks.wilson import wilson_interval

SWEEP, OWN = Path("configs/demo-sweep.yaml"), Path("configs/demo.yaml")
SAMPLES = 128
"""Screens that the demo is evaluated on."""


def confirm(name: str, config: Path, seed: int, folder: Path) -> tuple[float, float]:
    """Train with another seed on other screens, if that isn't done; the best evaluation's accuracy and distance."""
    place = folder / f"{name}-seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    result = place / "result.json"
    if not result.is_file() or not result.stat().st_size:
        overrides = [
            f"training.output_dir={place.absolute()}",
            f"training.seed={seed}",
            f"demo_data.seed={100 + seed}",
        ]
        overrides += ["training.disable_tqdm=true", "grounding.baseline=false"]
        command = [*oaml_train(config, overrides, wandb=False, resume=False), "--overwrite"]
        with open(place / "log.txt", "wb") as log:
            printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, check=True).stdout
        result.write_bytes(printed)
    rows = json.loads(result.read_text(encoding="utf-8"))["evaluations"]
    best = max(rows, key=lambda row: (row["accuracy"], -(row["distance"] or 9)))
    return best["accuracy"], best["distance"]


def searched(result: SearchResult, own: bool) -> tuple[float, float]:
    """Accuracy and distance in the search: of the configuration's own values, or of the best."""
    trial: Any = result.trials[0] if own else result.best
    assert trial.own is own or trial is result.best
    return trial.value, trial.figure(result.metric, "grounding_distance")


def cell(figures: tuple[float, float]) -> str:
    """Accuracy with its interval, and distance."""
    accuracy, distance = figures
    low, high = wilson_interval(round(accuracy * SAMPLES), SAMPLES)
    return f"{accuracy:.3f} ({low:.3f} to {high:.3f}), {distance:.3f}"


def main() -> None:
    """Search, confirm, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1], help="trained again with each of these")
    parser.add_argument("--output-dir", type=Path, default=Path("training_output/demo-sweep"))
    parser.add_argument("--picture", type=Path, help="where the search's picture is copied to")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    result = run_local(read_sweep(SWEEP), trials=options.trials, output_dir=options.output_dir)
    assert result.best is not None
    assert result.best_config is not None
    configs = {
        "configs/demo.yaml": (OWN, True),
        f"the best of {len(result.trials)} trials": (result.best_config, False),
    }
    heads = ["the search's seed and screens", *(f"seed {seed}, other screens" for seed in options.seeds)]
    table = {name: [cell(searched(result, own))] for name, (_, own) in configs.items()}
    for seed in tqdm(options.seeds, desc="Train again"):
        for name, (config, own) in configs.items():
            table[name].append(cell(confirm("own" if own else "best", config, seed, options.output_dir / "confirm")))
    print(f"| accuracy with its 95 % interval, distance | {' | '.join(heads)} |")
    print(f"| --- |{' --- |' * len(heads)}")
    for name, cells in table.items():
        print(f"| {name} | {' | '.join(cells)} |")
    states = [trial.state for trial in result.trials]
    stopped, minutes = states.count("pruned"), result.seconds / 60
    print(f"\n{len(states)} trials, {stopped} stopped early, in {minutes:.0f} minutes; the best:")
    print(", ".join(f"{name} {value}" for name, value in result.best.values.items()))
    if options.picture is not None and result.picture is not None:
        shutil.copyfile(result.picture, options.picture)


if __name__ == "__main__":
    main()
