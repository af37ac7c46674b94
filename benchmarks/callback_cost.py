"""What the callback costs, against transformers' own `WandbCallback` in the same process, W&B offline.

    python benchmarks/callback_cost.py [--events 100000] [--python OTHER/bin/python]

Prints a Markdown table: time per log event of eight scalars (interleaved blocks, median), import time beyond
`transformers.TrainerCallback`, and time and memory per event from the first to the last of many, run folder included.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from oaml_callbacks.testing import offline_wandb

BLOCK = 50
IMPORT = """
import time
from transformers import TrainerCallback
start = time.perf_counter()
from oaml_callbacks import OpenAdaptWandbCallback
print(time.perf_counter() - start)
"""


def eight_scalars(step: int) -> dict[str, float]:
    """What a Trainer logs of a step, and a little more."""
    return {
        "loss": 1.0 / (step + 1),
        "grad_norm": 0.5,
        "learning_rate": 1e-4,
        "epoch": step / 1000,
        "entropy": 0.25,
        "num_tokens": 1000.0 * step,
        "mean_token_accuracy": 0.75,
        "memory": 12.5,
    }


def events(folder: Path, *, runs_dir: str = "") -> tuple[Callable[[int], None], Callable[[int], None]]:
    """One log event of the stock callback alone, and one of ours beside a stock callback that stands aside.

    Args:
        folder: The Trainer's output folder.
        runs_dir: Where ours writes a run folder; without it none is written, as by the stock callback.
    """
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from transformers.integrations.integration_utils import WandbCallback

    from oaml_callbacks import OpenAdaptWandbCallback

    def trainer_objects() -> tuple[TrainingArguments, TrainerState, TrainerControl]:
        args = TrainingArguments(output_dir=str(folder), report_to="wandb", use_cpu=True)
        return args, TrainerState(), TrainerControl()

    stock_class: Any = WandbCallback
    stock, aside, ours = (
        stock_class(),
        stock_class(),
        OpenAdaptWandbCallback(grounding=None, alerts=True, runs_dir=runs_dir),
    )
    original = stock_class.on_log.__wrapped__  # as it is where this package isn't used
    theirs, mine = trainer_objects(), trainer_objects()
    ours.on_init_end(*mine)

    def stock_event(step: int) -> None:
        theirs[1].global_step = step
        original(stock, *theirs, logs=eight_scalars(step))

    def our_event(step: int) -> None:
        mine[1].global_step = step
        logs = eight_scalars(step)
        aside.on_log(*mine, logs=logs)
        ours.on_log(*mine, logs=logs)

    # Ours first: it would use a run that is open. The stock callback then needs one of its own.
    ours.on_train_begin(*mine)
    our_event(0)
    import wandb

    theirs_run = wandb.init(project="stock", reinit="create_new")
    stock._initialized = True
    stock._wandb = theirs_run  # `wandb.log` and `wandb.run.summary` of this run, beside the one that is global
    return stock_event, our_event


def time_block(event: Callable[[int], None], first: int) -> float:
    """Seconds per event, over one block."""
    start = time.perf_counter()
    for step in range(first, first + BLOCK):
        event(step)
    return (time.perf_counter() - start) / BLOCK


def compare(folder: Path, blocks: int, *, runs_dir: str = "") -> tuple[float, float, float]:
    """Medians of stock and ours in seconds per event, and the median of the ratios of neighbouring blocks."""
    stock_event, our_event = events(folder, runs_dir=runs_dir)
    stock: list[float] = []
    ours: list[float] = []
    for block in range(blocks):
        pair = [(stock_event, stock), (our_event, ours)]
        for event, times in pair if block % 2 else reversed(pair):
            times.append(time_block(event, 1 + block * BLOCK))
    ratio = statistics.median(b / a for a, b in zip(stock, ours, strict=True))
    return statistics.median(stock), statistics.median(ours), ratio


def grow(folder: Path, count: int) -> list[tuple[int, float, float]]:
    """`(events so far, median seconds per event, resident MiB)` for ten stretches of `count` events of ours."""
    from tqdm import tqdm

    _, our_event = events(folder, runs_dir=str(folder / "runs"))
    process = psutil.Process()
    stretches = []
    for stretch in tqdm(range(10), desc="Log events", unit=f"x{count // 10}"):
        times = [
            time_block(our_event, step) for step in range(stretch * count // 10, (stretch + 1) * count // 10, BLOCK)
        ]
        memory = process.memory_info().rss / 2**20
        stretches.append(((stretch + 1) * count // 10, statistics.median(times), memory))
    return stretches


def import_time(python: str) -> tuple[str, float]:
    """transformers' version in that environment, and the median seconds of ten imports in fresh processes."""
    times = [float(subprocess.check_output([python, "-c", IMPORT], text=True).split()[-1]) for _ in range(10)]
    version = subprocess.check_output(
        [python, "-c", "import transformers; print(transformers.__version__)"], text=True
    )
    return version.split()[-1], statistics.median(times)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="log events of the long run")
    parser.add_argument("--blocks", type=int, default=200, help=f"interleaved blocks of {BLOCK} events")
    parser.add_argument("--python", action="append", default=[], help="measure the import with this Python too")
    options = parser.parse_args()

    imports = [import_time(python) for python in [sys.executable, *options.python]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with offline_wandb(folder / "compare"):
            stock, ours, ratio = compare(folder, options.blocks)
        with offline_wandb(folder / "with_folder"):
            _, with_folder, _ = compare(folder, options.blocks, runs_dir=str(folder / "runs"))
        with offline_wandb(folder / "grow"):
            stretches = grow(folder, options.events)

    (_, first_time, first_memory), (_, last_time, last_memory) = stretches[0], stretches[-1]
    print("| what | measured | against |")
    print("| --- | --- | --- |")
    print(f"| a log event of 8 scalars | {ours * 1e6:.0f} µs | {ratio:.2f} x stock's {stock * 1e6:.0f} µs |")
    print(f"| the same, with the run folder | {with_folder * 1e6:.0f} µs | {with_folder / stock:.2f} x stock's |")
    for version, seconds in imports:
        print(f"| import, transformers {version} | {seconds * 1e3:.0f} ms | beyond `transformers.TrainerCallback` |")
    print(
        f"| an event with the run folder, last 10 % of {options.events:,} | {last_time * 1e6:.0f} µs "
        f"| {last_time / first_time:.2f} x the first 10 % |"
    )
    print(f"| memory, after all of them | {last_memory - first_memory:+.1f} MiB | the first 10 % |")


if __name__ == "__main__":
    main()
