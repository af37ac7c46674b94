"""What a run is and where it stands: states, speed, the best evaluation, and damaged files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.viewer.run_files import MAX_EVALUATIONS, MAX_PROBLEMS, RunFiles, safe_url

from ..graded import evaluation as graded_evaluation
from ..run_folders import fall_silent, learning, write_run
from .raw_runs import ANSWERS, SAMPLES, evaluation, lines, piece, raw_run, without_rights

pytestmark = pytest.mark.newest_only


def read(folder: Path) -> RunFiles:
    files = RunFiles(folder, folder.name)
    files.refresh()
    return files


def standing(tmp_path: Path, progress: Any) -> dict[str, Any]:
    return read(raw_run(tmp_path, {layout.PROGRESS: json.dumps(progress)})).standing()


def evaluations(tmp_path: Path, *rows: Any) -> RunFiles:
    return read(raw_run(tmp_path, {layout.EVALUATIONS: lines(*rows), SAMPLES: "", ANSWERS: ""}))


def accuracy(share: float | None, distance: float | None = None) -> dict[str, Any]:
    return {"metrics": {"grounding_accuracy": share, "grounding_distance": distance}}


class TestState:
    @pytest.mark.parametrize("state", ["training", "evaluating"])
    def test_a_run_with_a_fresh_sign_of_life_is_under_way(self, tmp_path: Path, state: str) -> None:
        found = standing(tmp_path, {"state": state, "step": 12, "max_steps": 100, "outcome": None})
        assert (found["state"], found["outcome"], found["step"], found["max_steps"]) == (state, None, 12, 100)
        assert found["silent_for"] == 0

    @pytest.mark.parametrize("state", ["training", "evaluating"])
    def test_after_30_silent_seconds_it_has_died(self, tmp_path: Path, state: str) -> None:
        folder = raw_run(tmp_path, {layout.PROGRESS: json.dumps({"state": state})})
        fall_silent(folder, 28)
        assert read(folder).standing()["state"] == state
        fall_silent(folder, 31)
        assert read(folder).standing()["state"] == "died"

    def test_a_run_that_goes_on_lives_again(self, tmp_path: Path) -> None:
        folder = raw_run(tmp_path, {layout.PROGRESS: json.dumps({"state": "training"})})
        fall_silent(folder, 505)
        files = read(folder)
        assert (files.standing()["state"], files.standing()["silent_for"]) == ("died", 500)
        fall_silent(folder, 0)
        files.refresh()
        assert files.standing()["state"] == "training"

    def test_the_files_own_time_counts_and_not_what_it_says(self, tmp_path: Path) -> None:
        found = standing(tmp_path, {"state": "training", "at": 1.0})
        assert found["state"] == "training"
        assert found["seen_at"] == pytest.approx(time.time(), abs=20)

    @pytest.mark.parametrize("outcome", ["finished", "failed: ValueError", "interrupted", "preempted", None])
    def test_a_run_that_ended_does_not_die(self, tmp_path: Path, outcome: str | None) -> None:
        folder = raw_run(tmp_path, {layout.PROGRESS: json.dumps({"state": "ended", "outcome": outcome})})
        fall_silent(folder, 10_000)
        found = read(folder).standing()
        assert (found["state"], found["outcome"]) == ("ended", outcome)

    def test_only_a_run_that_ended_has_an_outcome(self, tmp_path: Path) -> None:
        assert standing(tmp_path, {"state": "training", "outcome": "finished"})["outcome"] is None

    @pytest.mark.parametrize("state", [None, "paused", 5, ["training"], {"a": 1}])
    def test_another_state_is_unknown(self, tmp_path: Path, state: Any) -> None:
        assert standing(tmp_path, {"state": state})["state"] == "unknown"

    def test_a_run_without_a_sign_of_life_is_unknown(self, tmp_path: Path) -> None:
        found = read(raw_run(tmp_path, {layout.RUN: "{}"})).standing()
        assert (found["state"], found["seen_at"], found["silent_for"]) == ("unknown", None, None)

    def test_as_the_writer_leaves_it(self, tmp_path: Path) -> None:
        assert read(write_run(tmp_path, outcome="failed: ValueError")).standing()["outcome"] == "failed: ValueError"
        running = read(write_run(tmp_path, "other", outcome=None))
        assert running.standing()["state"] == "training"


class TestSpeed:
    def speed(self, tmp_path: Path, samples: Any = 4, **changed: Any) -> dict[str, Any]:
        progress = {
            "state": "training",
            "step": 30,
            "begun_step": 10,
            "max_steps": 100,
            "begun_at": 1000.0,
            "at": 1010.0,
        }
        run = json.dumps({"facts": {"samples_per_step": samples}})
        return read(raw_run(tmp_path, {layout.RUN: run, layout.PROGRESS: json.dumps(progress | changed)})).speed()

    def test_steps_since_it_began_or_went_on(self, tmp_path: Path) -> None:
        found = self.speed(tmp_path)
        assert (found["steps_per_second"], found["samples_per_second"], found["seconds_left"]) == (2.0, 8.0, 35.0)
        assert found["begun_step"] == 10

    def test_a_run_that_ended_has_a_speed_and_no_time_left(self, tmp_path: Path) -> None:
        found = self.speed(tmp_path, ended_at=1005.0, at=2000.0)
        assert (found["steps_per_second"], found["seconds_left"], found["ended_at"]) == (4.0, None, 1005.0)

    def test_beyond_its_last_step_no_time_is_left(self, tmp_path: Path) -> None:
        assert self.speed(tmp_path, max_steps=20)["seconds_left"] == 0

    @pytest.mark.parametrize(
        "changed",
        [{"step": 10}, {"step": 5}, {"at": 1000.0}, {"at": 900.0}, {"at": None}, {"step": "30"}, {"begun_at": [1]}],
    )
    def test_without_a_step_or_a_time_nobody_knows(self, tmp_path: Path, changed: dict[str, Any]) -> None:
        found = self.speed(tmp_path, **changed)
        assert [found[name] for name in ("steps_per_second", "samples_per_second", "seconds_left")] == [None] * 3

    @pytest.mark.parametrize("samples", [None, "4", 0])
    def test_without_the_samples_of_a_step_their_speed_is_unknown(self, tmp_path: Path, samples: Any) -> None:
        found = self.speed(tmp_path, samples=samples)
        assert (found["steps_per_second"], found["samples_per_second"]) == (2.0, None)

    @pytest.mark.parametrize(
        "changed",
        [
            {"samples": 1e300, "step": 10**300},
            {"begun_at": 0, "at": 1e-300, "step": 10**12},
            {"begun_at": 0, "at": 1, "step": -(10**308), "begun_step": -15 * 10**307, "max_steps": 10**308},
            {"begun_at": -1e308, "at": 1e308},
        ],
    )
    def test_numbers_too_large_to_be_true_can_be_sent(self, tmp_path: Path, changed: dict[str, Any]) -> None:
        self.speed(tmp_path, **changed)
        piece(tmp_path, "run", run="raw")


class TestEvaluations:
    def test_the_figures_are_the_callbacks(self, tmp_path: Path) -> None:
        folder = write_run(tmp_path, reports=learning(8, 3), every=10)
        first, _, last = read(folder).evaluations
        assert (first["key"], first["baseline"], first["accuracy"], first["correct"]) == ("eval@base", True, 0.0, 0)
        assert (last["key"], last["baseline"], last["step"]) == ("eval@20", False, 20)
        assert (last["correct"], last["samples"], last["accuracy"], last["parsed"]) == (7, 8, 7 / 8, 7 / 8)
        assert last["low"] < last["accuracy"] < last["high"]
        assert (last["fixed"], last["broken"], last["misses"]["unreadable"]) == (3, 0, 1)

    def test_they_are_in_the_order_of_their_steps_the_base_models_first(self, tmp_path: Path) -> None:
        rows = [evaluation(20), evaluation(0, set="other"), evaluation(0, baseline=True), evaluation(10)]
        found = evaluations(tmp_path, *rows).evaluations
        assert [(one["key"], one["baseline"]) for one in found] == [
            ("eval@base", True),
            ("other@0", False),
            ("eval@10", False),
            ("eval@20", False),
        ]

    def test_the_best_is_the_most_accurate_then_the_closest_then_the_earliest(self, tmp_path: Path) -> None:
        rows = [
            evaluation(0, baseline=True, **accuracy(1.0)),
            evaluation(10, **accuracy(0.5, 0.1)),
            evaluation(20, **accuracy(0.8)),
            evaluation(30, **accuracy(0.8, 0.2)),
            evaluation(40, **accuracy(0.8, 0.1)),
            evaluation(50, **accuracy(0.8, 0.1)),
            evaluation(60, **accuracy(None, 0.0)),
        ]
        found = evaluations(tmp_path, *reversed(rows)).evaluations
        assert [one["key"] for one in found if one["best"]] == ["eval@40"]

    def test_each_set_has_its_best(self, tmp_path: Path) -> None:
        rows = [evaluation(step, set=name, **accuracy(step / 100)) for name in ("eval", "web") for step in (10, 20)]
        found = evaluations(tmp_path, *rows).evaluations
        assert [one["key"] for one in found if one["best"]] == ["eval@20", "web@20"]

    def test_one_made_again_replaces_the_first(self, tmp_path: Path) -> None:
        rows = [evaluation(10, **accuracy(0.9)), evaluation(20, **accuracy(0.5)), evaluation(10, **accuracy(0.1))]
        found = evaluations(tmp_path, *rows)
        assert [(one["key"], one["accuracy"]) for one in found.evaluations] == [("eval@10", 0.1), ("eval@20", 0.5)]
        assert [one["key"] for one in found.evaluations if one["best"]] == ["eval@20"]

    def test_one_that_is_added_is_found(self, tmp_path: Path) -> None:
        folder = write_run(tmp_path, reports=[graded_evaluation(4)])
        files = read(folder)
        with open(folder / layout.EVALUATIONS, "a") as file:
            file.write(lines(evaluation(50, **accuracy(0.75))))
        files.refresh()
        assert [one["key"] for one in files.evaluations] == ["eval@base", "eval@50"]

    def test_groups_are_by_their_plain_names(self, tmp_path: Path) -> None:
        metrics = {"grounding_accuracy/web": 0.9, "grounding_accuracy/a\nb": float("nan"), "grounding_accuracy": 0.5}
        assert evaluations(tmp_path, evaluation(metrics=metrics)).evaluations[0]["groups"] == {"web": 0.9, "a b": None}

    def test_broken_lines_are_told_and_the_others_are_read(self, tmp_path: Path) -> None:
        content = f"{lines(evaluation(10))}{{\n[]\n\n{lines(evaluation(20))}"
        files = raw_run(tmp_path, {layout.RUN: "{}", layout.PROGRESS: "{}", layout.EVALUATIONS: content})
        found = read(files)
        assert [one["step"] for one in found.evaluations] == [10, 20]
        assert found.problems[:2] == [
            "oaml/evaluations.jsonl, line 2, is no JSON, or was cut off",
            "oaml/evaluations.jsonl, line 3, holds a list where an object was expected",
        ]

    @pytest.mark.parametrize(
        "row",
        [
            {},
            {"set": None, "step": None, "metrics": None},
            {"set": ["a"], "step": "10", "metrics": [1]},
            {"set": "x" * 10_000, "step": 1e300, "metrics": {"grounding_accuracy": float("inf")}},
            {
                "set": "</script>\n\ud800",
                "step": -1,
                "metrics": {"grounding_accuracy": "0.5", "grounding_samples": {}},
            },
            {"samples": 5, "answers": [1], "epoch": float("nan"), "baseline": 1},
        ],
    )
    def test_an_odd_one_is_shown_with_what_it_has(self, tmp_path: Path, row: dict[str, Any]) -> None:
        raw_run(tmp_path, {layout.RUN: "{}", layout.EVALUATIONS: lines(row, evaluation(20))})
        found = piece(tmp_path, "run", run="raw")
        assert len(found["evaluations"]) == 2
        odd = next(one for one in found["evaluations"] if one["step"] != 20)
        assert (odd["accuracy"], odd["baseline"], odd["best"]) == (None, False, False)
        assert len(odd["set"]) < 250

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "oaml/gone.jsonl", "oaml", "link.jsonl"])
    def test_files_that_it_names_and_that_cannot_be_read_are_told(self, tmp_path: Path, name: str) -> None:
        folder = raw_run(
            tmp_path,
            {
                layout.RUN: "{}",
                layout.PROGRESS: "{}",
                layout.EVALUATIONS: lines(evaluation(answers=name)),
                SAMPLES: "",
            },
        )
        (folder / "link.jsonl").symlink_to(folder / SAMPLES)
        problems = read(folder).problems
        assert len(problems) == 1
        assert problems[0].startswith(f"oaml/evaluations.jsonl: {name} is")

    def test_there_may_be_too_many(self, tmp_path: Path) -> None:
        found = evaluations(tmp_path, *(evaluation(step) for step in range(MAX_EVALUATIONS + 10)))
        assert len(found.evaluations) == MAX_EVALUATIONS
        assert any(f"only the first {MAX_EVALUATIONS} evaluations" in problem for problem in found.problems)
        assert len(found.problems) <= MAX_PROBLEMS


class TestDamage:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"[]", "oaml/run.json holds a list where an object was expected"),
            (b'{"id": "ab', "oaml/run.json is no JSON, or was cut off"),
            (b"[" * 100_000, "oaml/run.json is no JSON, or was cut off"),
            (b"", "oaml/run.json is no JSON, or was cut off"),
            (None, "oaml/run.json isn't there"),
        ],
    )
    def test_a_run_that_cannot_be_read_is_named_after_its_folder(
        self, tmp_path: Path, content: bytes | None, said: str
    ) -> None:
        files: dict[str, str | bytes] = {layout.PROGRESS: "{}"}
        raw_run(tmp_path, files if content is None else {**files, layout.RUN: content})
        found = piece(tmp_path, "run", run="raw")
        assert (found["id"], found["name"], found["problems"]) == ("raw", "raw", [said])

    @pytest.mark.parametrize(
        "name",
        ["a/b", "../up", "a\nb\x1b[0m", "x" * 10_000, "</script><script>alert(1)</script>", "\ud800", 5, [1], {}],
    )
    def test_a_hostile_name_is_short_text_on_one_line(self, tmp_path: Path, name: Any) -> None:
        run = json.dumps({"id": name, "project": name, "facts": {"name": name, "model": name, "host": name}})
        raw_run(tmp_path, {layout.RUN: run})
        found = piece(tmp_path, "run", run="raw")
        for field in ("id", "name", "project", "model", "host"):
            assert found[field].isprintable()
            assert 0 < len(found[field]) < 250

    def test_numbers_that_are_none_are_none(self, tmp_path: Path) -> None:
        progress = '{"state": "training", "step": NaN, "max_steps": 1e999, "epoch": -Infinity, "num_epochs": "2"}'
        run = '{"started_at": Infinity, "facts": {"lora_r": NaN, "learning_rate": 1e-3, "bf16": true, "seed": null}}'
        raw_run(tmp_path, {layout.RUN: run, layout.PROGRESS: progress})
        found = piece(tmp_path, "run", run="raw")
        assert [found[name] for name in ("step", "max_steps", "epoch", "num_epochs", "started_at")] == [None] * 5
        assert found["config"] == {"lora_r": "NaN", "learning_rate": 1e-3, "bf16": True, "seed": None}

    @pytest.mark.parametrize("facts", [None, [], "text", 5])
    def test_facts_that_are_no_object_are_none(self, tmp_path: Path, facts: Any) -> None:
        raw_run(tmp_path, {layout.RUN: json.dumps({"id": "abc", "facts": facts})})
        assert piece(tmp_path, "run", run="raw")["config"] == {}

    def test_facts_are_few_and_short(self, tmp_path: Path) -> None:
        facts = {f"fact {number}": "x" * 10_000 for number in range(1000)} | {"nested": {"a": ["b"] * 1000}}
        raw_run(tmp_path, {layout.RUN: json.dumps({"facts": facts})})
        config = piece(tmp_path, "run", run="raw")["config"]
        assert len(config) == 60
        assert all(len(value) < 250 for value in config.values())

    def test_values_nested_as_deeply_as_json_may_be_can_be_sent(self, tmp_path: Path) -> None:
        for depth in range(900, 1000, 3):
            nested = "[" * depth + "]" * depth
            raw_run(tmp_path, {layout.RUN: f'{{"id": {nested}, "facts": {{"name": {nested}}}}}'}, f"run{depth}")
        assert len(piece(tmp_path, "runs")["runs"]) == 34

    def test_a_file_that_may_not_be_read_is_told(self) -> None:
        with without_rights() as parent:
            folder = raw_run(parent, {layout.RUN: '{"id": "abc"}', layout.PROGRESS: "{}", layout.EVALUATIONS: "{}\n"})
            (folder / layout.RUN).chmod(0)
            (folder / layout.EVALUATIONS).chmod(0)
            assert read(folder).problems == [
                "oaml/run.json may not be read",
                "oaml/evaluations.jsonl may not be read",
            ]

    def test_a_problem_goes_when_its_file_is_mended(self, tmp_path: Path) -> None:
        folder = raw_run(tmp_path, {layout.RUN: "[", layout.PROGRESS: "{}"})
        files = read(folder)
        assert len(files.problems) == 1
        (folder / "new").write_text('{"id": "abc"}')
        os.replace(folder / "new", folder / layout.RUN)
        files.refresh()
        assert (files.problems, files.names()["id"]) == ([], "abc")

    def test_a_problem_of_an_evaluation_stays_while_another_file_changes(self, tmp_path: Path) -> None:
        folder = raw_run(tmp_path, {layout.RUN: "{}", layout.PROGRESS: "{}", layout.EVALUATIONS: "broken\n"})
        files = read(folder)
        (folder / layout.PROGRESS).write_text('{"step": 5}')
        files.refresh()
        assert files.problems == ["oaml/evaluations.jsonl, line 1, is no JSON, or was cut off"]


class TestLinks:
    def test_the_runs_page_and_its_sync_command(self, tmp_path: Path) -> None:
        url = "https://wandb.ai/me/clicks/runs/abc"
        files = read(write_run(tmp_path, links={"url": url, "sync_command": "wandb sync x", "entity": "me"}))
        assert files.links() == {"entity": "me", "url": url, "sync_command": "wandb sync x"}

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "//evil.example/",
            "https://me:hunter2@host/",
            "https://host/a b",
            "https://host/" + "x" * 5000,
            "",
            5,
            None,
            ["https://host/"],
        ],
    )
    def test_what_is_no_link_is_not_shown_as_one(self, url: Any) -> None:
        assert safe_url(url) is None
