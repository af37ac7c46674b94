"""README's code runs, and its tables say what is there."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.grounding import read_sft_rows, read_sft_samples

from . import builders

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


def block(holding: str) -> str:
    found: str
    (found,) = [code for code in BLOCKS if holding in code]
    return found


def names(screens: Path) -> dict[str, Any]:
    """What TRL's recipe takes from the example before it."""
    return {
        "model": builders.lora_model(),
        "processor": builders.processor(),
        "clicks": builders.evaluator(screens),
        "OpenAdaptWandbCallback": OpenAdaptWandbCallback,
    }


def test_the_first_example_is_all_one_needs(screens: Path, offline: Path) -> None:
    """Its dots filled in."""
    code = block("Trainer(..., args=")
    code = code.replace("Trainer(...,", "trainer = make_trainer(").replace("TrainingArguments(...,", "make_arguments(")
    space: dict[str, Any] = {
        "make_trainer": lambda args, callbacks: builders.trainer(screens, args, callbacks),
        "make_arguments": lambda **options: builders.arguments(offline, **options),
    }
    exec(code, space)
    space["trainer"].train()
    (callback,) = [c for c in space["trainer"].callback_handler.callbacks if isinstance(c, OpenAdaptWandbCallback)]
    assert len(builders.read_back(callback, offline).rows) == 8


def test_measuring_clicks(screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word, but for the model's name: a hub's can't be had in a test."""
    monkeypatch.chdir(offline)
    for name in ("train.jsonl", "eval.jsonl", "screens"):
        (offline / name).symlink_to(screens / name)
    space: dict[str, Any] = {}
    exec(block("save_strategy=").replace("Qwen/Qwen3-VL-2B-Instruct", str(builders.BASE)), space)
    assert space["trainer"].state.best_metric is not None
    assert space["clicks"].samples[0].image == offline / "screens" / "eval-0000.png"


def test_trl(screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl", reason="TRL is an optional dependency")
    from datasets import Dataset
    from PIL import Image

    monkeypatch.chdir(offline)
    rows = [
        {"images": [Image.open(row["images"][0])], "messages": row["messages"]}
        for row in read_sft_rows(screens / "train.jsonl")[:4]
    ]
    space = {**names(screens), "sft_train": Dataset.from_list(rows), "sft_eval": Dataset.from_list(rows[:2])}
    # TRL trains in bfloat16 by default, which it refuses to do on a CPU.
    exec(block("SFTConfig").replace("max_steps=4,", "max_steps=4, bf16=False,"), space)
    evaluations = [entry for entry in space["trainer"].state.log_history if "eval_loss" in entry]
    assert [entry["eval_grounding_samples"] for entry in evaluations] == [4, 4]


@pytest.mark.parametrize("holding", ["WandbLogger(", "read_run("])
def test_recipes_that_stand_alone(offline: Path, monkeypatch: pytest.MonkeyPatch, holding: str) -> None:
    monkeypatch.chdir(offline)
    exec(block(holding), {})


def test_the_row_that_is_shown_can_be_read(tmp_path: Path) -> None:
    (line,) = re.findall(r"```json\n(.*?)\n```", README, flags=re.S)
    (tmp_path / "eval.jsonl").write_text(line)
    (sample,) = read_sft_samples(tmp_path / "eval.jsonl")
    assert sample.target.box == tuple(json.loads(line)["bbox"])


def test_checking_samples_and_scoring_answers(screens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two commands as they stand, on the drawn screens, and answers in the family's form that they name."""
    from typer.testing import CliRunner

    from oaml_callbacks.cli import app

    monkeypatch.chdir(tmp_path)
    for name in ("train.jsonl", "eval.jsonl", "screens"):
        (tmp_path / name).symlink_to(screens / name)
    answers = []
    for sample in read_sft_samples("eval.jsonl"):
        assert sample.target.point is not None
        x, y = (round(1000 * share) for share in sample.target.point)
        answers.append(json.dumps({"id": sample.id, "answer": f'[{{"point_2d": [{x}, {y}], "label": "x"}}]'}))
    (tmp_path / "answers.jsonl").write_text("\n".join(answers))
    commands = re.findall(r"^oaml (grounding .*)$", README, flags=re.M)
    assert [command.split()[1] for command in commands] == ["check", "score"]
    check, score = (CliRunner().invoke(app, command.split()) for command in commands)
    assert check.exit_code == 0, check.output
    assert "8 of 8 hit their own target" in check.output
    assert score.exit_code == 0, score.output
    assert "8 of 8" in score.output


def test_every_option_is_in_the_table() -> None:
    options = set(inspect.signature(OpenAdaptWandbCallback).parameters)
    table = README.split("## Options")[1].split("\n\n")[2]
    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed == options


def test_every_file_that_is_named_exists() -> None:
    root = Path(__file__).parents[1]
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (root / target).exists(), target
