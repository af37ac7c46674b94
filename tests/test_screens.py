from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from oaml_callbacks.demo.screens import COLOURS, SIZE, draw_screen, write_samples


def test_controls_lie_on_the_screen_and_apart() -> None:
    """Every box is inside the picture, and no button covers another: a click has one meaning."""
    rng = Random(0)
    for _ in range(60):
        screen = draw_screen(rng)
        assert screen.image.size == SIZE
        assert screen.target in screen.controls
        boxes = [control.box for control in screen.controls]
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            assert 0 <= x1 < x2 < SIZE[0]
            assert 0 <= y1 < y2 < SIZE[1]
            assert all(x2 < a or c < x1 or y2 < b or d < y1 for a, b, c, d in boxes[:i])


def test_the_target_is_one_of_several_named_buttons_and_has_its_colour() -> None:
    """The goal can't be met without reading it, and the button that it names is where the box says."""
    rng = Random(1)
    for _ in range(30):
        screen = draw_screen(rng)
        named = [control for control in screen.controls if control.named]
        assert len(named) >= 3
        assert len({control.name for control in named}) == len(named)
        x1, y1, _, y2 = screen.target.box
        assert screen.image.getpixel((x1 + 10, (y1 + y2) // 2)) == COLOURS[screen.target.name][0]
        assert screen.target.name in screen.goal


def test_the_targets_are_spread_over_layouts_and_the_screen() -> None:
    """A model that always clicks one place, or learns one layout, can't do well."""
    rng = Random(2)
    screens = [draw_screen(rng) for _ in range(80)]
    assert len({screen.layout for screen in screens}) == 5
    assert len({screen.theme for screen in screens}) == 4
    cells = {((b[0] + b[2]) * 2 // SIZE[0], (b[1] + b[3]) * 2 // SIZE[1]) for b in (s.target.box for s in screens)}
    assert len(cells) >= 10  # of the screen's 16 quarters by quarters


def test_the_same_seed_draws_the_same_screen() -> None:
    """A demo that runs twice shows the same samples."""
    first, second = draw_screen(Random(3)), draw_screen(Random(3))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.controls == second.controls


def test_write_samples_writes_rows_that_lead_to_pictures(tmp_path: Path) -> None:
    """A row is openadapt-ml's SFT form and the box; the answer is the box's centre."""
    done: list[int] = []
    path = write_samples(tmp_path, name="train", count=3, seed=0, progress=done.append)
    assert path == tmp_path / "train.jsonl"
    assert done == [1, 2, 3]
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["images"] for row in rows] == [[f"screens/train-000{i}.png"] for i in range(3)]
    for row in rows:
        with Image.open(tmp_path / row["images"][0]) as image:
            assert image.size == SIZE
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        x1, y1, x2, y2 = row["bbox"]
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        expected = f"Action: CLICK(x={(x1 + x2) / 2:.2f}, y={(y1 + y2) / 2:.2f})"
        assert row["messages"][-1]["content"].endswith(expected)


def test_train_and_evaluation_share_no_picture(tmp_path: Path) -> None:
    """Another seed, other pictures: the evaluation measures nothing that was trained on."""
    for name, seed in (("train", 0), ("eval", 1)):
        write_samples(tmp_path, name=name, count=40, seed=seed)
    pictures = {name: [p.read_bytes() for p in sorted((tmp_path / "screens").glob(f"{name}-*.png"))]
                for name in ("train", "eval")}  # fmt: skip
    assert len(set(pictures["train"] + pictures["eval"])) == 80


def test_no_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count=0"):
        write_samples(tmp_path, name="train", count=0, seed=0)
