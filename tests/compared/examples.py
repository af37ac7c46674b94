"""Runs that were evaluated on the same samples, as folders: what the tests of comparing share."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.grounding.metrics import GradedSample, GroundingReport, grade
from oaml_callbacks.grounding.samples import GroundingSample
from oaml_callbacks.grounding.targets import BoxTarget

from ..graded import report
from ..run_folders import write_run

BUTTONS = ("Save", "Cancel", "Export", "Help", "Archive", "Print", "Share", "Undo")
SET = {"fingerprint": "f" * 64, "samples": 32, "rules": {"family": "openadapt", "max_new_tokens": 64}}


def sample(number: int, *, groups: bool = True, instruction: str | None = None) -> GroundingSample:
    """Sample `number`: a button at a place of its own."""
    left, top = number % 8 * 0.11 + 0.05, number // 8 % 8 * 0.11 + 0.05
    kinds = {"kind": "icon" if number % 4 == 0 else "text", "platform": ("web", "desktop")[number % 2]}
    return GroundingSample(
        id=f"screen-{number:03d}",
        image=Image.new("RGB", (160, 90), (number * 16 % 256, number * 40 % 256, 90)),
        messages=({"role": "user", "content": instruction or f"Click {BUTTONS[number % 8]}."},),
        target=BoxTarget(left, top, left + 0.08, top + 0.08),
        groups=kinds if groups else {},
    )


def answered(
    number: int, how: str = "right", *, make: Callable[[int], GroundingSample] = sample, answer: str | None = None
) -> GradedSample:
    """Sample `number`, answered `right`, `wrong` or `unreadable`."""
    asked = make(number)
    assert asked.target.point is not None
    x, y = asked.target.point
    if how == "unreadable":
        return grade(asked, answer or "I see no such button.", Action(status="unreadable"))
    if how == "wrong":
        x, y = round((x + 0.37) % 1, 2), round((y + 0.29) % 1, 2)
    return grade(asked, answer or f"CLICK(x={x:.2f}, y={y:.2f})", Action("click", (x, y)))


def evaluated(
    count: int, wrong: Collection[int] = (), unreadable: Collection[int] = (), **options: Any
) -> GroundingReport:
    """An evaluation of `count` samples."""
    hows = {**dict.fromkeys(wrong, "wrong"), **dict.fromkeys(unreadable, "unreadable")}
    return report(answered(number, hows.get(number, "right"), **options) for number in range(count))


def write_pair(folder: Path, **of_second: Any) -> tuple[Path, Path]:
    """Two runs on the same 32 samples: the second alone has 10 right, the first alone 2."""
    first = write(folder, "aaaa1111", evaluated(32, wrong=range(12)), name="first")
    given = {"sets": {"eval": SET}, "name": "second", "lora_r": 32, **of_second}
    second = write(folder, "bbbb2222", evaluated(32, wrong=[10, 11, 30], unreadable=[31]), **given)
    return first, second


def write(folder: Path, run_id: str, *reports: GroundingReport, **options: Any) -> Path:
    """A run with the base model's evaluation, all wrong, and these."""
    samples = [row.sample for row in reports[0].rows]
    base = evaluated(len(samples), wrong=range(len(samples)), make=samples.__getitem__)
    return write_run(folder, run_id, reports=[base, *reports], **{"sets": {"eval": SET}, **options})


def write_example(folder: Path) -> None:
    """The two runs of `docs/compare.md`, below `training_output`."""
    runs: Mapping[str, tuple[str, float, dict[str, Any]]] = {
        "k3x9a2bq": ("lora-8", 0.72, {"lora_r": 8, "learning_rate": 1e-4}),
        "p7m2zz01": ("lora-32", 0.85, {"lora_r": 32, "learning_rate": 3e-4}),
    }
    about = {**SET, "samples": 128}
    for place, (run_id, (name, right, facts)) in enumerate(runs.items()):
        luck = random.Random(place)
        wrong = [number for number in range(128) if luck.random() > right]
        report = evaluated(128, wrong=wrong[:-2], unreadable=wrong[-2:])
        links = {"totals": {"train_runtime": 86.0 + 31 * place, "total_flos": 5.4e15 + 2e14 * place}}
        write(
            folder / "training_output",
            run_id,
            report,
            name=name,
            every=120,
            links=links,
            sets={"eval": about},
            **facts,
        )
