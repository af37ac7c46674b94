"""Curves: thinned without losing their extremes, read on from where they were, damaged lines told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer import history as history_module
from oaml_callbacks.viewer.history import MAX_POINTS, MAX_SERIES, History

from ..run_folders import write_run
from .raw_runs import lines, piece, raw_run, strict

pytestmark = pytest.mark.newest_only


def row(step: Any, **values: Any) -> dict[str, Any]:
    return {**{name.replace("_", "/", 1): value for name, value in values.items()}, "train/global_step": step}


def history(tmp_path: Path, content: str | bytes) -> dict[str, Any]:
    """The piece of a run with such a history, as a browser reads it."""
    raw_run(tmp_path, {layout.HISTORY: content})
    found: dict[str, Any] = piece(tmp_path, "history", run="raw")
    return found


def refreshed(found: History) -> dict[str, Any]:
    found.refresh()
    return found.piece()


def test_the_curves_of_a_training_are_there_by_wandbs_keys(tmp_path: Path) -> None:
    write_run(tmp_path, losses=4, every=10)
    found = piece(tmp_path, "history", run="abc123")
    assert found["series"]["train/loss"] == {"step": [1, 2, 3, 4], "value": [2.0, 1.0, 2 / 3, 0.5]}
    assert sorted(found["series"]) == ["train/epoch", "train/learning_rate", "train/loss"]
    assert (found["rows"], found["odd"], found["problems"]) == (4, [], [])


def test_a_run_without_a_history_has_no_curves(tmp_path: Path) -> None:
    raw_run(tmp_path, {layout.RUN: "{}"})
    assert piece(tmp_path, "history", run="raw") == {"rows": 0, "series": {}, "odd": [], "problems": []}


def test_a_short_curve_is_sent_whole(tmp_path: Path) -> None:
    found = history(tmp_path, lines(*(row(step, train_loss=step % 7) for step in range(MAX_POINTS))))
    assert found["series"]["train/loss"]["step"] == list(range(MAX_POINTS))


def test_a_long_curve_keeps_its_extremes_and_its_ends(tmp_path: Path) -> None:
    values = [1.0] * 25_000
    values[1:3] = values[-3:-1] = [0.5, 1.5]  # so that neither end is an extreme of its stretch
    values[7001], values[19_876] = -40.0, 70.0
    found = history(tmp_path, lines(*(row(step, train_loss=value) for step, value in enumerate(values))))
    curve = found["series"]["train/loss"]
    points = dict(zip(curve["step"], curve["value"], strict=True))
    assert len(points) <= MAX_POINTS
    assert (points[0], points[7001], points[19_876], points[24_999]) == (1.0, -40.0, 70.0, 1.0)
    assert curve["step"] == sorted(curve["step"])
    assert found["rows"] == 25_000


def test_every_stretch_of_a_long_curve_keeps_its_lowest_and_its_highest_point(tmp_path: Path) -> None:
    values = [float((step * 7919) % 1009) for step in range(10_000)]
    found = history(tmp_path, lines(*(row(step, train_loss=value) for step, value in enumerate(values))))
    sent = set(zip(*found["series"]["train/loss"].values(), strict=True))
    for start in range(0, 10_000, 100):
        among = [value for step, value in sent if start <= step < start + 100]
        inner = values[start + 21 : start + 79]  # a stretch has 20 or 21 points: those of these lie between the ends
        assert min(among) <= min(inner)
        assert max(among) >= max(inner)


def test_a_growing_file_gives_the_new_points(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.HISTORY: lines(row(1, train_loss=2.0))})
    found = History(folder)
    assert refreshed(found)["series"]["train/loss"]["step"] == [1]
    with open(folder / layout.HISTORY, "a") as file:
        file.write(lines(row(2, train_loss=1.0), row(3, eval_loss=1.5)))
    now = refreshed(found)
    assert now["series"] == {
        "eval/loss": {"step": [3], "value": [1.5]},
        "train/loss": {"step": [1, 2], "value": [2.0, 1.0]},
    }
    assert now["rows"] == 3


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.HISTORY: lines(row(1, train_loss=2.0), row(1, train_note="x" * 100))})
    found = History(folder)
    found.refresh()
    with open(folder / layout.HISTORY, "r+b") as file:
        file.write(b"X")  # in the line that was read: whoever reads it again finds it broken
        file.seek(0, os.SEEK_END)
        file.write(lines(row(2, train_loss=1.0)).encode())
    now = refreshed(found)
    assert now["series"]["train/loss"]["step"] == [1, 2]
    assert now["problems"] == []


def test_an_unfinished_last_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    whole = lines(row(1, train_loss=2.0), row(2, train_loss=1.0))
    folder = raw_run(tmp_path, {layout.HISTORY: whole[:-20]})
    found = History(folder)
    assert refreshed(found)["series"]["train/loss"]["step"] == [1]
    with open(folder / layout.HISTORY, "a") as file:
        file.write(whole[-20:])
    now = refreshed(found)
    assert now["series"]["train/loss"]["step"] == [1, 2]
    assert now["problems"] == []


def test_a_replaced_file_starts_the_curves_anew(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.HISTORY: lines(*(row(step, train_loss=1.0) for step in range(3)))})
    found = History(folder)
    found.refresh()
    (folder / "new").write_text(lines(*(row(step, eval_loss=2.0) for step in range(5))))
    os.replace(folder / "new", folder / layout.HISTORY)
    assert refreshed(found)["series"] == {"eval/loss": {"step": [0, 1, 2, 3, 4], "value": [2.0] * 5}}


def test_a_shortened_file_starts_the_curves_anew_even_with_more_lines(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.HISTORY: lines(row(1, train_loss=1.0, pad="x" * 500))})
    found = History(folder)
    found.refresh()
    (folder / layout.HISTORY).write_text(lines(row(1, eval_loss=1.0), row(2, eval_loss=1.0)))
    assert list(refreshed(found)["series"]) == ["eval/loss"]


def test_a_file_that_goes_takes_its_curves_along(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.HISTORY: lines(row(1, train_loss=1.0))})
    found = History(folder)
    found.refresh()
    (folder / layout.HISTORY).unlink()
    assert refreshed(found)["series"] == {}


def test_broken_lines_are_counted_and_named_and_the_others_are_read(tmp_path: Path) -> None:
    broken = ["{", "[]", "\xff", "[" * 100_000, '"text"', '{"train/loss": 1' + "0" * 5000 + "}"]
    content = "".join(f"{line}\n" for line in (json.dumps(row(1, train_loss=2.0)), *broken))
    found = history(tmp_path, content + lines(row(2, train_loss=1.0)))
    assert found["series"]["train/loss"]["step"] == [1, 2]
    assert found["problems"] == ["oaml/history.jsonl: 6 lines are no JSON objects (2, 3, 4, 5, 6, …)"]


def test_values_that_are_no_numbers_are_told_by_name_and_leave_a_gap(tmp_path: Path) -> None:
    content = (
        '{"train/loss": NaN, "train/global_step": 1}\n{"train/loss": 1e999, "train/global_step": 2}\n'
        '{"train/loss": "-Infinity", "train/global_step": 3}\n{"train/loss": 1.5, "train/global_step": 4}\n'
    )
    found = history(tmp_path, content)
    assert [(one["key"], one["step"], one["value"]) for one in found["odd"]] == [
        ("train/loss", 1, "NaN"),
        ("train/loss", 2, "Infinity"),
        ("train/loss", 3, "-Infinity"),
    ]
    assert found["series"]["train/loss"] == {"step": [4], "value": [1.5]}


def test_values_of_other_kinds_are_no_points(tmp_path: Path) -> None:
    found = history(tmp_path, lines(row(1, train_a="text", train_b=[1], train_c=None, train_d=True, train_e=10**400)))
    assert (found["series"], found["odd"], found["rows"]) == ({}, [], 1)


@pytest.mark.parametrize("step", [None, "1", float("nan"), float("inf"), [1], 10**400])
def test_a_row_without_a_step_is_no_point(tmp_path: Path, step: Any) -> None:
    assert history(tmp_path, lines(row(step, train_loss=1.0)))["series"] == {}


def test_odd_values_are_told_up_to_a_limit(tmp_path: Path) -> None:
    found = history(tmp_path, lines(*(row(step, train_loss=float("nan")) for step in range(500))))
    assert len(found["odd"]) == history_module.MAX_ODD


def test_more_curves_than_can_be_shown_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    found = history(tmp_path, lines({"train/global_step": 1, **{f"k{number:04}": 1 for number in range(2000)}}))
    assert len(found["series"]) == MAX_SERIES
    assert len(found["problems"]) == 1
    assert f"{MAX_SERIES} curves" in found["problems"][0]


def test_a_name_of_a_million_characters_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    found = history(tmp_path, lines({"x" * 1_000_000: 1.0, "train/loss": 2.0, "train/global_step": 1}))
    assert list(found["series"]) == ["train/loss"]
    assert "names of 200 characters" in found["problems"][0]
    assert len(json.dumps(found)) < 1000


def test_a_hostile_name_is_text_on_one_line(tmp_path: Path) -> None:
    found = history(tmp_path, '{"a\\n\\ud800\\u202e": 1, "train/global_step": 1}\n')
    assert list(found["series"]) == ["a \ufffd\\u202e"]


def test_steps_and_values_of_any_size_can_be_sent(tmp_path: Path) -> None:
    folder = raw_run(tmp_path, {layout.HISTORY: lines(row(1e300, train_loss=-1.7e308), row(0.5, train_loss=10**300))})
    found = History(folder)
    found.refresh()
    assert strict(json.dumps(found.piece()).encode())["series"]["train/loss"] == {
        "step": [1e300, 0.5],
        "value": [-1.7e308, 1e300],
    }
