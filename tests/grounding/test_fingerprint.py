"""The fingerprint: what changes it, and what doesn't."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from oaml_callbacks.grounding import (
    BoxTarget,
    GroundingSample,
    MarkTarget,
    PointTarget,
    RefusalTarget,
    fingerprint,
    samples_from_dataset,
)

RULES = {"family": "qwen3_vl", "max_new_tokens": 128}


def picture() -> Image.Image:
    return Image.new("RGB", (8, 8), "white")


def made(folder: Path) -> list[GroundingSample]:
    folder.mkdir(exist_ok=True)
    picture().save(folder / "a.png")
    asked = ({"role": "user", "content": "Save"},)
    return [
        GroundingSample("a", folder / "a.png", asked, BoxTarget(0, 0, 0.5, 1), {"type": "icon"}),
        GroundingSample("b", picture(), asked, PointTarget(0.5, 0.5, 0.1)),
        GroundingSample("c", folder / "gone.png", asked, RefusalTarget()),
    ]


def replaced(index: int, **changes: Any) -> Callable[[list[GroundingSample]], None]:
    def change(samples: list[GroundingSample]) -> None:
        samples[index] = dataclasses.replace(samples[index], **changes)

    return change


def one_pixel(samples: list[GroundingSample]) -> None:
    image = picture()
    image.putpixel((7, 7), (255, 255, 254))
    samples[1] = dataclasses.replace(samples[1], image=image)


def one_pixel_of_a_file(samples: list[GroundingSample]) -> None:
    image = picture()
    image.putpixel((7, 7), (255, 255, 254))
    image.save(samples[0].image)  # type: ignore[arg-type]


def the_missing_picture(samples: list[GroundingSample]) -> None:
    picture().save(samples[2].image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        one_pixel,
        one_pixel_of_a_file,
        the_missing_picture,
        replaced(1, image=Image.new("RGB", (4, 16), "white")),
        replaced(0, target=BoxTarget(0, 0, 0.5000001, 1)),
        replaced(1, target=PointTarget(0.5, 0.5, 0.2)),
        replaced(2, target=MarkTarget(1)),
        replaced(0, messages=({"role": "user", "content": "Save."},)),
        replaced(0, messages=({"role": "system", "content": "Save"},)),
        replaced(0, groups={"type": "text"}),
        lambda samples: samples.pop(),
        lambda samples: samples.append(samples[0]),
    ],
)
def test_any_change_to_what_is_asked_or_graded_changes_it(tmp_path: Path, change: Any) -> None:
    samples = made(tmp_path)
    before = fingerprint(samples, rules=RULES)
    change(samples)
    assert fingerprint(samples, rules=RULES) != before


def test_any_change_to_a_rule_changes_it(tmp_path: Path) -> None:
    samples = made(tmp_path)
    rules: list[dict[str, Any]] = [RULES, {**RULES, "max_new_tokens": 64}, {**RULES, "space": "pixels"}, {}]
    assert len({fingerprint(samples, rules=each) for each in rules}) == len(rules)


def test_names_places_and_order_do_not_change_it(tmp_path: Path) -> None:
    samples = made(tmp_path / "one")
    moved = made(tmp_path / "two")
    shutil.move(tmp_path / "two" / "a.png", tmp_path / "two" / "b.png")
    replaced(0, image=tmp_path / "two" / "b.png", id="other", answer="CLICK()", target=BoxTarget(0.0, 0.0, 0.5, 1.0))(
        moved
    )
    moved.reverse()
    reordered = dict(reversed(RULES.items()))
    assert fingerprint(moved, rules=reordered) == fingerprint(samples, rules=RULES)


def test_it_is_the_same_in_every_process(tmp_path: Path) -> None:
    made(tmp_path)
    code = (
        "from oaml_callbacks.grounding import *; from pathlib import Path\n"
        "asked = ({'role': 'user', 'content': 'Save'},)\n"
        "sample = GroundingSample('a', 'a.png', asked, BoxTarget(0, 0, 0.5, 1), {'type': 'icon', 'platform': 'web'})\n"
        "print(fingerprint([sample], rules={'family': 'qwen3_vl', 'max_new_tokens': 128}))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(runs) == 1


def test_a_file_and_the_same_bytes_in_a_dataset_are_one_picture(tmp_path: Path) -> None:
    sample = made(tmp_path)[0]
    row = {"image": {"bytes": (tmp_path / "a.png").read_bytes(), "path": None}, "instruction": "Save"}
    rows = datasets.Dataset.from_list([{**row, "bbox": [0, 0, 0.5, 1], "groups": {"type": "icon"}}])
    stored = samples_from_dataset(rows.cast_column("image", datasets.Image()))
    assert fingerprint(stored, rules=RULES) == fingerprint([sample], rules=RULES)


def test_a_rule_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        fingerprint(made(tmp_path), rules={"reader": object()})
