"""Every graded row as text: on disk after each evaluation, in W&B at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.graded_rows import GradedRowsFile, log_graded_rows, row_record
from oaml_callbacks.grounding.actions import Action
from oaml_callbacks.testing import read_run

from .graded import OUTSIDE, evaluation, graded


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_best_and_the_last_evaluation_are_kept_row_by_row(tmp_path: Path) -> None:
    file = GradedRowsFile(tmp_path / "rows", "eval_web")
    file.write(evaluation(3, wrong=[0]), 10, best=True)
    file.write(evaluation(3, wrong=[1, 2]), 20, best=False)
    best, last = (read(tmp_path / "rows" / f"eval_web_{which}.jsonl") for which in ("best", "last"))
    assert [(row["id"], row["step"], row["correct"]) for row in best] == [
        ("sample-0", 10, False),
        ("sample-1", 10, True),
        ("sample-2", 10, True),
    ]
    assert [(row["step"], row["correct"]) for row in last] == [(20, True), (20, False), (20, False)]
    assert {path.suffix for path in (tmp_path / "rows").iterdir()} == {".jsonl"}


def test_a_row_holds_what_was_asked_answered_and_made_of_it() -> None:
    assert row_record(graded(7, OUTSIDE), 3) == {
        "id": "sample-7",
        "step": 3,
        "instruction": "Click 7.",
        "target": "click within (0.4, 0.4, 0.6, 0.5)",
        "target_box": [0.4, 0.4, 0.6, 0.5],
        "target_point": [0.5, 0.45],
        "answer": "an answer",
        "status": "ok",
        "action": "click",
        "point": [0.8, 0.2],
        "correct": False,
        "distance": pytest.approx(0.3905, abs=1e-3),
        "outcome": "elsewhere",
        "groups": {},
    }


def test_an_endless_answer_is_cut_and_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    row = row_record(graded(0, action=Action("click", (float("inf"), 0.5)), answer="a" * 10**6), 0)
    assert (row["point"], row["distance"]) == (None, None)
    assert len(row["answer"]) < 2100
    assert row["answer"].endswith("…[cut: 1,000,000 characters]")


def test_the_files_are_one_artifact_named_where_they_lie(offline: Path) -> None:
    import wandb

    with wandb.init(project="clicks") as run:
        folder = Path(run.dir).parent / "rows"
        log_graded_rows(run, folder)  # nothing was graded yet
        GradedRowsFile(folder).write(evaluation(2), 1, best=True)
        log_graded_rows(run, folder)
    wandb.teardown()
    recorded = read_run(offline)
    (artifact,) = recorded.artifacts
    assert (artifact.name, artifact.type) == (f"run_{recorded.id}_graded_rows", "graded_rows")
    assert {name: file.local_path for name, file in artifact.files.items()} == {
        name: folder / name for name in ("eval_best.jsonl", "eval_last.jsonl")
    }
    assert not list((offline / "artifacts").rglob("*.*"))
