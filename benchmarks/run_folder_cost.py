"""What a run folder costs a training: a log event, and an evaluation of 128 samples.

    python benchmarks/run_folder_cost.py [--events 100000]

Prints a Markdown table. Beside the pictures: an evaluation whose samples' pictures are kept already. With them: the
first evaluation, of 1080p screens in files, which are read, and linked.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from random import Random

from PIL import Image
from tqdm import tqdm
from transformers import TrainerState

from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.metrics import GroundingReport, grade
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget
from oaml_callbacks.run_folder.writer import RunFolder

SAMPLES = 128


def screens(folder: Path) -> list[Path]:
    """As many different 1080p screens as there are samples."""
    from oaml_callbacks.demo.screens import draw_screen

    dice = Random(1)
    folder.mkdir()
    paths = []
    for index in range(SAMPLES):
        image = draw_screen(dice).image.resize((1920, 1080), Image.Resampling.NEAREST)
        paths.append(folder / f"{index}.png")
        image.save(paths[-1])
    return paths


def evaluation(paths: list[Path]) -> GroundingReport:
    """An evaluation in which every answer is a sentence and a click."""
    rows = []
    for index, path in enumerate(paths):
        messages = ({"role": "user", "content": f"Goal: Click button {index}."},)
        sample = GroundingSample(f"sample-{index}", path, messages, BoxTarget(0.4, 0.4, 0.6, 0.5))
        answer = "Thought: The button is there.\nAction: CLICK(x=0.50, y=0.45)"
        rows.append(grade(sample, answer, Action("click", (0.5, 0.45))))
    return GroundingReport(tuple(rows), skipped=0, seconds=10.0)


def log_events(run: RunFolder, count: int) -> tuple[float, float, float]:
    """Median seconds of a log event: of all, of the first tenth and of the last tenth."""
    times = []
    for step in tqdm(range(1, count + 1), desc="Log events"):
        row = {"train/loss": 1 / step, "train/learning_rate": 1e-4, "train/grad_norm": 0.5, "train/epoch": step / 1000}
        begun = time.perf_counter()
        run.log({**row, "train/global_step": step})
        times.append(time.perf_counter() - begun)
    tenth = max(1, count // 10)
    return statistics.median(times), statistics.median(times[:tenth]), statistics.median(times[-tenth:])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        state = TrainerState(max_steps=options.events, num_train_epochs=1)
        run = RunFolder(Path(name) / "runs", "run", {}, state, resumes=False)
        run.begin(state)
        report = evaluation(screens(Path(name) / "screens"))
        metrics, times = report.metrics, []
        for step in range(21):
            state.global_step = step
            begun = time.perf_counter()
            run.evaluation(report, metrics, split="eval", state=state)
            times.append(time.perf_counter() - begun)
        event, first, last = log_events(run, options.events)
        run.close("finished")
    print("| what the run folder costs | time |")
    print("| --- | --- |")
    flat = f"the last tenth of {options.events:,} is {last / first:.2f} x the first"
    print(f"| a log event; {flat} | {event * 1e6:.0f} µs |")
    print(f"| an evaluation of {SAMPLES} samples, beside the pictures | {statistics.median(times[1:]) * 1e3:.0f} ms |")
    print(f"| the first one, with {SAMPLES} pictures of 1080p | {times[0] * 1e3:.0f} ms |")


if __name__ == "__main__":
    main()
