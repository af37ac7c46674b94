"""The run folder of a real training: a Trainer, a tiny Qwen3-VL under LoRA, W&B offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.runs import Runs

from .builders import arguments, evaluator, read_back, trainer


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_training_leaves_a_folder_that_says_what_its_w_and_b_run_says(offline: Path, screens: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=evaluator(screens))
    trainer(screens, arguments(offline), [callback]).train()
    callback.close()
    recorded = read_back(callback, offline)
    folder = offline / "training_output" / str(callback.run_id)

    rows = lines(folder / layout.HISTORY)
    assert len(rows) == len(recorded.rows)
    for row, of_run in zip(rows, recorded.rows, strict=True):
        numbers = {name: value for name, value in of_run.items() if isinstance(value, (int, float)) and name[0] != "_"}
        for name, value in numbers.items():
            assert row[name] in (value, str(value).replace("inf", "Infinity").replace("nan", "NaN"))
    assert [one["step"] for one in lines(folder / layout.EVALUATIONS)] == [0, 5, 10]  # the base model's first

    run = Runs(offline / "training_output").run(str(callback.run_id)).run()
    assert (run["state"], run["outcome"], run["step"], run["max_steps"]) == ("ended", "finished", 10, 10)
    assert run["sync_command"] == callback.sync_command
    assert [one["accuracy"] for one in run["evaluations"]][1:] == recorded.column("eval/grounding_accuracy")
    assert run["config"]["lora_r"] == 4


def test_it_lies_where_it_is_wanted_or_nowhere(offline: Path, screens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, variable, expected in (("here", "there", "here"), (None, "there", "there"), ("", "there", None)):
        monkeypatch.setenv("OAML_RUNS_DIR", str(offline / variable))
        runs_dir = str(offline / given) if given else given
        callback = OpenAdaptWandbCallback(grounding=None, runs_dir=runs_dir)
        trainer(screens, arguments(offline, max_steps=1, eval_strategy="no"), [callback]).train()
        callback.close()
        found = {name for name in ("here", "there") if (offline / name / str(callback.run_id)).is_dir()}
        assert found == ({expected} if expected else set())


def test_without_w_and_b_there_is_none(offline: Path, screens: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=evaluator(screens))
    trainer(screens, arguments(offline, report_to="none", max_steps=1, eval_strategy="no"), [callback]).train()
    assert not (offline / "training_output").exists()


def test_a_training_that_dies_says_so(offline: Path, screens: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    dying = trainer(screens, arguments(offline, eval_strategy="no"), [callback])
    dying.training_step = _raise  # type: ignore[method-assign, assignment]
    with pytest.raises(ArithmeticError):
        dying.train()
    run = Runs(offline / "training_output").run(str(callback.run_id)).run()
    assert (run["state"], run["outcome"]) == ("ended", "failed: ArithmeticError")


def test_the_last_evaluation_is_logged_as_a_page(offline: Path, screens: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=evaluator(screens), embed=True)
    trainer(screens, arguments(offline), [callback]).train()
    callback.close()
    recorded = read_back(callback, offline)
    (row,) = [row for row in recorded.rows if "eval/grounding_page" in row]
    assert row["train/global_step"] == 10
    page = offline / "wandb"
    (file,) = page.rglob("*.html")
    assert file.stat().st_size < 5_000_000
    text = file.read_text()
    assert callback.last_report is not None
    assert all(f'"id":"{graded.sample.id}"' in text for graded in callback.last_report.rows)
    assert text.count("data:image/jpeg;base64,") == 4


def _raise(*_: Any, **__: Any) -> None:
    raise ArithmeticError
