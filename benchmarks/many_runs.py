"""Run folders for `viewer_speed.py`: a thousand small runs, and one of 10,000 samples and 50 evaluations."""

from __future__ import annotations

import json
import random
from pathlib import Path

from transformers import TrainerState

from oaml_callbacks.demo.screens import write_samples
from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.metrics import GradedSample, GroundingReport, grade
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget
from oaml_callbacks.run_folder.writer import RunFolder

SCREENS = 64
"""Drawn screens, which all samples share."""
FACTS = {"host": "here", "model": "Qwen/Qwen3-VL-2B-Instruct", "lora_r": 16, "samples_per_step": 16}


def drawn_samples(folder: Path, count: int) -> list[GroundingSample]:
    """Samples that ask for a button on a drawn screen of 1280 by 720."""
    path = write_samples(folder, name="screens", count=SCREENS, seed=1)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    samples = []
    for index in range(count):
        row = rows[index % len(rows)]
        text = next(message["content"] for message in row["messages"] if message["role"] == "user")
        samples.append(
            GroundingSample(
                id=f"sample-{index:05}",
                image=path.parent / row["images"][0],
                messages=({"role": "user", "content": f"{text} ({index})"},),
                target=BoxTarget(*row["bbox"]),
                groups={"platform": ("web", "desktop", "mobile")[index % 3], "type": ("text", "icon")[index % 2]},
            )
        )
    return samples


def learnt(samples: list[GroundingSample], share: float, dice: random.Random) -> GroundingReport:
    """An evaluation in which about `share` of the clicks hit."""
    return GroundingReport(tuple(_graded(sample, share, dice) for sample in samples), skipped=0, seconds=60.0)


def _graded(sample: GroundingSample, share: float, dice: random.Random) -> GradedSample:
    centre = sample.target.point
    assert centre is not None
    if dice.random() < 0.01:
        return grade(sample, "I can't see such a button.", Action(status="unreadable"))
    spread = 0.005 if dice.random() < share else 0.2
    point = (dice.gauss(centre[0], spread), dice.gauss(centre[1], spread))
    answer = f"Thought: The button is there.\nAction: CLICK(x={point[0]:.2f}, y={point[1]:.2f})"
    return grade(sample, answer, Action("click", point))


def write_run(parent: Path, run_id: str, samples: list[GroundingSample], *, evaluations: int, losses: int) -> None:
    """Write a run with the package's own writer."""
    dice = random.Random(run_id)
    state = TrainerState(max_steps=losses, num_train_epochs=1)
    folder = RunFolder(parent, run_id, {**FACTS, "name": f"run {run_id}"}, state, resumes=False)
    folder.describe(project="clicks", sync_command=f"wandb sync wandb/offline-run-{run_id}")
    for step in range(1, losses + 1):
        folder.log(
            {"train/loss": 2 / step + dice.random() / 10, "train/learning_rate": 1e-4, "train/global_step": step}
        )
    for number in range(evaluations):
        state.global_step = number * losses // max(1, evaluations - 1)
        report = learnt(samples, number / evaluations, dice)
        metrics = report.metrics
        folder.evaluation(report, metrics, split="eval", state=state, baseline=number == 0)
        if number:
            folder.log(
                {**{f"eval/{name}": value for name, value in metrics.items()}, "train/global_step": state.global_step}
            )
    state.global_step = losses
    folder.close("finished")
