"""Runs that openadapt-ml's own trainer has written: graded again, and shown from its log alone."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.foreign import NOTE
from oaml_callbacks.viewer.history import MAX_POINTS
from oaml_callbacks.viewer.pieces import Pieces
from oaml_callbacks.viewer.reading import Problem
from oaml_callbacks.viewer.runs import Runs

from ..run_folders import learning, write_run
from .raw_runs import piece, raw_run

pytestmark = pytest.mark.newest_only

LOG = {
    "job_id": "20260131_120000",
    "hostname": "gpu-box",
    "goal": "Turn off Night Shift",
    "model_name": "Qwen/Qwen3-VL-2B-Instruct",
    "lora_r": 8,
    "lora_alpha": 16,
    "load_in_4bit": True,
    "started_at": "2026-01-31T12:00:00Z",
    "cloud_dashboard_url": "https://cloud.example/instances/1",
    "epoch": 1,
    "step": 20,
    "total_steps": 40,
    "total_epochs": 2,
    "loss": 1.5,
    "learning_rate": 5e-5,
    "losses": [
        {"epoch": 0, "step": step, "loss": 4.0 / step, "lr": 5e-5, "time": 1.0 * step} for step in range(1, 21)
    ],
    "termination_status": "auto_complete",
    "termination_message": "All epochs done",
}


def row(epoch: int, index: int, x: float | None, y: float | None = 0.5, **changed: Any) -> dict[str, Any]:
    """A prediction for a sample whose recorded click is in the middle; its own verdict is always "correct"."""
    return {
        "epoch": epoch,
        "sample_idx": index,
        "image_path": f"screenshots/{index}.png",
        "human_action": {"type": "click", "x": 0.5, "y": 0.5, "text": None},
        "predicted_action": {"type": "click", "x": x, "y": y, "raw_output": f"CLICK(x={x}, y={y})"},
        "distance": 0.0,
        "correct": True,
        **changed,
    }


def written(tmp_path: Path, *rows: Any, **changed: Any) -> Path:
    return raw_run(tmp_path, {layout.TRAINING_LOG: json.dumps({**LOG, "evaluations": list(rows), **changed})})


def test_it_is_known_by_its_log_and_marked_as_foreign(tmp_path: Path) -> None:
    written(tmp_path, row(0, 0, 0.5))
    (found,) = piece(tmp_path, "runs")["runs"]
    assert (found["key"], found["id"], found["name"]) == ("raw", "20260131_120000", "Turn off Night Shift")
    assert (found["foreign"], found["evaluations"], found["samples"]) == (True, 1, 1)
    assert found["started_at"] == 1769860800
    assert (found["step"], found["max_steps"]) == (20, 40)


def test_what_it_is_comes_from_the_log(tmp_path: Path) -> None:
    written(tmp_path, row(0, 0, 0.5))
    found = piece(tmp_path, "run", run="raw")
    assert (found["host"], found["model"]) == ("gpu-box", "Qwen/Qwen3-VL-2B-Instruct")
    assert found["url"] == "https://cloud.example/instances/1"
    assert found["config"]["lora_r"] == "8"
    assert (found["foreign"], found["note"], found["problems"]) == (True, NOTE, [])
    assert found["sets"] == [{"name": "eval", "samples": 1}]


def test_clicks_are_graded_again_since_its_log_calls_all_correct(tmp_path: Path) -> None:
    written(tmp_path, row(0, 0, 0.549), row(0, 1, 0.551), row(0, 2, None), row(0, 3, 0.5, 0.46))
    (found,) = piece(tmp_path, "run", run="raw")["evaluations"]
    assert (found["correct"], found["samples"], found["accuracy"], found["parsed"]) == (2, 4, 0.5, 0.75)
    assert found["low"] < 0.5 < found["high"]
    assert found["distance"] == pytest.approx((0.049 + 0.051 + 0.04) / 3)
    verdicts = piece(tmp_path, "verdicts", run="raw", evaluation="eval@0")
    assert verdicts["outcome"] == "ceuc"
    assert verdicts["dx"] == [490, 510, None, 0]
    assert verdicts["dy"] == [0, 0, None, -400]
    assert verdicts["distance"] == [490, 510, None, 400]


def test_each_epoch_is_an_evaluation_and_the_best_is_marked(tmp_path: Path) -> None:
    rows = [row(2, 0, 0.9), row(0, 0, 0.9), row(1, 0, 0.5)]
    written(tmp_path, *rows)
    found = piece(tmp_path, "run", run="raw")["evaluations"]
    assert [(one["key"], one["best"]) for one in found] == [("eval@0", False), ("eval@1", True), ("eval@2", False)]
    assert piece(tmp_path, "runs")["runs"][0]["accuracy"] == {"last": 0.0, "best": 1.0, "baseline": None}


def test_samples_answers_and_tracks_are_in_the_order_of_the_samples(tmp_path: Path) -> None:
    written(tmp_path, row(0, 3, 0.9), row(0, 1, 0.5), row(1, 1, 0.9))
    assert piece(tmp_path, "ids", run="raw", set="eval") == ["sample 1", "sample 3"]
    assert piece(tmp_path, "samples", run="raw", set="eval")["count"] == 2
    block = piece(tmp_path, "sample_block", run="raw", set="eval", block="0")
    assert [one["picture"] for one in block] == ["screenshots/1.png", "screenshots/3.png"]
    assert block[0]["instruction"] == "Turn off Night Shift"
    answers = piece(tmp_path, "answers", run="raw", evaluation="eval@1", block="0")
    assert (answers[0]["point"], answers[0]["outcome"], answers[1]) == ([0.9, 0.5], "elsewhere", None)
    track = piece(tmp_path, "track", run="raw", set="eval", block="0")
    assert (track["evaluations"], track["outcome"]) == (["eval@0", "eval@1"], ["ce", "e-"])
    assert track["point"] == [[[0.5, 0.5], [0.9, 0.5]], [[0.9, 0.5], None]]


def test_its_curves_are_by_wandbs_keys(tmp_path: Path) -> None:
    written(tmp_path)
    found = piece(tmp_path, "history", run="raw")
    assert found["series"]["train/loss"]["step"] == list(range(1, 21))
    assert found["series"]["train/loss"]["value"][1] == 2.0
    assert found["series"]["train/learning_rate"]["value"] == [5e-5] * 20


def test_a_long_curve_keeps_its_extremes_and_its_end(tmp_path: Path) -> None:
    losses = [{"step": step, "loss": 1.0, "lr": 0.0} for step in range(1999)]
    losses[777]["loss"], losses[1998]["loss"] = 9.0, 0.5
    written(tmp_path, losses=losses)
    curve = piece(tmp_path, "history", run="raw")["series"]["train/loss"]
    assert len(curve["step"]) <= MAX_POINTS
    assert {(777, 9.0), (1998, 0.5)} <= set(zip(curve["step"], curve["value"], strict=True))


@pytest.mark.parametrize(
    ("status", "seconds", "state"),
    [
        ("auto_complete", 10_000, "ended"),
        ("user_stop", 10_000, "ended"),
        ("failed", 10_000, "ended"),
        ("running", 0, "training"),
        ("running", 200, "training"),
        ("running", 10_000, "unknown"),
        ("", 0, "training"),
        ("", 200, "unknown"),
        (None, 10_000, "unknown"),
    ],
)
def test_its_state_is_what_it_says_unless_it_says_nothing_for_long(
    tmp_path: Path, status: str | None, seconds: float, state: str
) -> None:
    folder = written(tmp_path, termination_status=status)
    at = (folder / layout.TRAINING_LOG).stat().st_mtime - seconds
    os.utime(folder / layout.TRAINING_LOG, (at, at))
    assert piece(tmp_path, "runs")["runs"][0]["state"] == state


def test_how_it_ended_is_its_own_message(tmp_path: Path) -> None:
    written(tmp_path)
    assert piece(tmp_path, "run", run="raw")["outcome"] == "All epochs done"
    written(tmp_path, termination_message="")
    assert piece(tmp_path, "run", run="raw")["outcome"] == "auto_complete"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "training_log.json holds a list where an object was expected"),
        (json.dumps(LOG)[:-100], "training_log.json is no JSON, or was cut off"),
        ("", "training_log.json is no JSON, or was cut off"),
        ('{"losses": ' + "[" * 100_000, "training_log.json is no JSON, or was cut off"),
        ('{"evaluations": {"a": 1}}', "`evaluations` is no list"),
        ('{"evaluations": "text"}', "`evaluations` is no list"),
    ],
)
def test_a_log_that_cannot_be_read_is_told(tmp_path: Path, content: str, said: str) -> None:
    raw_run(tmp_path, {layout.TRAINING_LOG: content})
    found = piece(tmp_path, "run", run="raw")
    assert (found["problems"], found["id"], found["evaluations"], found["sets"]) == ([said], "raw", [], [])
    assert piece(tmp_path, "runs")["runs"][0]["problems"] == 1


def test_losses_that_are_no_list_are_told(tmp_path: Path) -> None:
    written(tmp_path, losses={"0": {"step": 1, "loss": 1.0}})
    assert piece(tmp_path, "history", run="raw")["problems"] == ["`losses` is no list"]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "text",
        {},
        {"epoch": "0", "sample_idx": 0},
        {"epoch": 0, "sample_idx": None},
        {"epoch": math.nan, "sample_idx": 0},
    ],
)
def test_a_row_that_is_none_is_left_out(tmp_path: Path, odd: Any) -> None:
    written(tmp_path, odd, row(0, 5, 0.5))
    assert piece(tmp_path, "ids", run="raw", set="eval") == ["sample 5"]


@pytest.mark.parametrize("action", [None, [], "text", {}, {"x": "0.5", "y": 0.5}, {"x": math.nan, "y": 0.5}])
def test_a_click_that_cannot_be_read_is_unreadable(tmp_path: Path, action: Any) -> None:
    written(tmp_path, row(0, 0, 0.5, predicted_action=action))
    assert piece(tmp_path, "verdicts", run="raw", evaluation="eval@0")["outcome"] == "u"


@pytest.mark.parametrize("x", [1e308, -1e308, 10**300, math.inf])
def test_a_place_far_beyond_any_screen_is_none(tmp_path: Path, x: float) -> None:
    rows = [row(0, 0, x, -x), row(0, 1, -x, x, human_action={"x": x, "y": -x})]
    written(tmp_path, *rows, step=x, losses=[{"step": x, "loss": x, "lr": x}])
    for name, parameters in {
        "run": {},
        "history": {},
        "verdicts": {"evaluation": "eval@0"},
        "answers": {"evaluation": "eval@0", "block": "0"},
        "track": {"set": "eval", "block": "0"},
        "sample_block": {"set": "eval", "block": "0"},
    }.items():
        piece(tmp_path, name, run="raw", **parameters)
    assert piece(tmp_path, "verdicts", run="raw", evaluation="eval@0")["outcome"] == "uu"


def test_hostile_texts_are_short_texts(tmp_path: Path) -> None:
    hostile = "</script>\ud800\x00" + "x" * 100_000
    rows = [
        row(
            0,
            0,
            0.5,
            image_path="../../etc/passwd",
            human_action={"type": hostile, "x": 0.5, "y": 0.5, "text": hostile},
            predicted_action={"type": hostile, "x": 0.5, "y": 0.5, "raw_output": hostile},
        )
    ]
    written(tmp_path, *rows, job_id=hostile, goal=hostile, hostname=hostile, cloud_dashboard_url="javascript:alert(1)")
    run = piece(tmp_path, "run", run="raw")
    assert run["url"] is None
    sample = piece(tmp_path, "sample_block", run="raw", set="eval", block="0")[0]
    answer = piece(tmp_path, "answers", run="raw", evaluation="eval@0", block="0")[0]
    for text in (run["id"], run["name"], run["host"], sample["instruction"], answer["answer"], answer["action"]):
        assert len(text) < 21_000
        assert not {"\ud800", "\x00"} & set(text)


def test_the_log_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    written(tmp_path, row(0, 0, 0.5))
    pieces = Pieces(Runs(tmp_path))
    asked = {"run": "raw", "set": "eval"}
    before = pieces.get("ids", asked)
    assert pieces.get("ids", asked) is before
    written(tmp_path, row(0, 0, 0.5), row(0, 1, 0.5))
    assert json.loads(pieces.get("ids", asked).body) == ["sample 0", "sample 1"]


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("samples", {"set": "web"}, "no evaluation set web"),
        ("track", {"set": "", "block": "0"}, "no evaluation set "),
        ("verdicts", {"evaluation": "eval@9"}, "no evaluation eval@9"),
    ],
)
def test_what_it_does_not_have_is_named(tmp_path: Path, name: str, parameters: dict[str, str], said: str) -> None:
    written(tmp_path, row(0, 0, 0.5))
    with pytest.raises(Problem, match=said):
        piece(tmp_path, name, run="raw", **parameters)


def test_the_callbacks_own_log_alone_is_shown_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path, reports=learning(8, 3))
    shutil.rmtree(folder / layout.OWN)
    found = piece(tmp_path, "run", run="abc123")
    assert (found["foreign"], found["state"], found["outcome"]) == (True, "ended", "finished")
    assert sum(one["samples"] for one in found["evaluations"]) > 0
