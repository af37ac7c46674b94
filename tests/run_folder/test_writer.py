from __future__ import annotations

import json
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder import layout
from oaml_callbacks.run_folder.writer import RunFolder
from oaml_callbacks.viewer.runs import Runs

from ..graded import evaluation
from ..run_folders import FACTS, learning, metrics_of, trainer_state, write_run


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def progress(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / layout.PROGRESS).read_text())
    return found


def test_a_run_has_a_folder_of_its_id_and_current_is_linked_to_the_newest(tmp_path: Path) -> None:
    write_run(tmp_path, "first")
    write_run(tmp_path, "second")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "first", "second"]
    assert os.readlink(tmp_path / "current") == "second"


def test_a_folder_called_current_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    write_run(tmp_path, "first")
    assert (tmp_path / "current").is_dir()
    assert not (tmp_path / "current").is_symlink()


def test_an_id_that_is_no_file_name_makes_no_path(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", "../../outside")
    assert folder.parent == tmp_path / "runs"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert json.loads((folder / layout.RUN).read_text())["id"] == "../../outside"


def test_each_log_event_is_a_line_of_the_history(tmp_path: Path) -> None:
    folder = write_run(tmp_path, losses=3)
    assert [row["train/loss"] for row in lines(folder, layout.HISTORY)] == [2.0, 1.0, 2.0 / 3]


def test_numbers_that_json_lacks_are_spelled(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    run.log({"train/loss": math.nan, "eval/grounding_distance": math.inf, "train/global_step": 3})
    (row,) = lines(run.path, layout.HISTORY)
    assert (row["train/loss"], row["eval/grounding_distance"]) == ("NaN", "Infinity")


def test_what_is_no_number_is_not_in_the_history(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    run.log({"train/loss": 1.0, "train/note": "a text", "train/global_step": 1})
    assert "train/note" not in lines(run.path, layout.HISTORY)[0]


def test_a_sample_is_written_once_and_its_answers_name_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path, reports=learning(4, 3))
    samples = lines(folder, layout.samples_file("eval"))
    assert [sample["id"] for sample in samples] == ["sample-0", "sample-1", "sample-2", "sample-3"]
    for step in (0, 10, 20):
        answers = lines(folder, layout.answers_file("eval", step, baseline=step == 0))
        assert [answer["sample"] for answer in answers] == [0, 1, 2, 3]
    assert [answer["correct"] for answer in answers] == [True, True, True, False]


def test_the_base_models_evaluation_and_one_before_the_first_step_are_two(tmp_path: Path) -> None:
    """As with `eval_on_start`."""
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    for found, baseline in ((evaluation(4, wrong=[0, 1, 2]), True), (evaluation(4, wrong=[0]), False)):
        run.evaluation(found, metrics_of(found), split="eval", state=trainer_state(0), baseline=baseline)
    shown = Runs(tmp_path).run("a").run()["evaluations"]
    assert [(one["key"], one["baseline"], one["accuracy"]) for one in shown] == [
        ("eval@base", True, 0.25),
        ("eval@0", False, 0.75),
    ]
    assert Runs(tmp_path).run("a").verdicts("eval@base")["outcome"] == "eeec"


def test_a_sample_that_an_evaluation_is_first_to_reach_is_added(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    for count in (2, 3):
        found = evaluation(count)
        run.evaluation(found, metrics_of(found), split="eval", state=trainer_state(count))
    assert len(lines(run.path, layout.samples_file("eval"))) == 3
    assert [answer["sample"] for answer in lines(run.path, layout.answers_file("eval", 3))] == [0, 1, 2]


def test_the_offset_is_from_the_targets_point_to_the_click(tmp_path: Path) -> None:
    folder = write_run(tmp_path, reports=learning(2, 2))
    wrong, unreadable = lines(folder, layout.answers_file("eval", 0, baseline=True))
    assert wrong["offset"] == pytest.approx([0.3, -0.25])
    assert unreadable["offset"] is None


def test_named_evaluation_sets_have_files_of_their_own(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    found = evaluation(2)
    for split in ("eval_web", "eval_../../x"):
        run.evaluation(found, metrics_of(found), split=split, state=trainer_state(1))
    records = lines(run.path, layout.EVALUATIONS)
    assert [record["set"] for record in records] == ["eval_web", "eval_../../x"]
    for record in records:
        assert (run.path / record["answers"]).resolve().parent == run.path / layout.OWN


def test_a_training_gives_signs_of_life_with_its_step(tmp_path: Path) -> None:
    state = trainer_state()
    run = RunFolder(tmp_path, "a", FACTS, state, resumes=False)
    run.heartbeat.seconds = 0.02
    run.begin(state)
    state.global_step = 7
    time.sleep(0.2)
    found = progress(run.path)
    assert (found["state"], found["step"], found["max_steps"]) == ("training", 7, 100)
    run.evaluates(True)
    time.sleep(0.2)
    assert progress(run.path)["state"] == "evaluating"
    run.end("interrupted")
    found, at = progress(run.path), os.stat(run.path / layout.PROGRESS).st_mtime_ns
    assert (found["state"], found["outcome"]) == ("ended", "interrupted")
    time.sleep(0.1)
    assert os.stat(run.path / layout.PROGRESS).st_mtime_ns == at


def test_a_script_that_goes_elsewhere_goes_on_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunFolder(Path("runs"), "a", FACTS, trainer_state(), resumes=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run.log({"train/loss": 1.0, "train/global_step": 1})
    run.close("finished")
    assert len(lines(tmp_path / "runs" / "a", layout.HISTORY)) == 1
    assert not list((tmp_path / "elsewhere").iterdir())


def test_speed_counts_from_the_first_step_and_not_from_the_base_models_evaluation(tmp_path: Path) -> None:
    state = trainer_state()
    run = RunFolder(tmp_path, "a", FACTS, state, resumes=False)
    run.heartbeat.seconds = 0.02
    begun = time.time()
    run.begin(state)
    time.sleep(0.3)
    state.global_step = 1
    time.sleep(0.1)
    run.end("finished")
    assert progress(run.path)["begun_at"] > begun + 0.1


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path: Path, has_folder: bool) -> None:
    history = [{"loss": 2.0 / number, "learning_rate": 1e-3, "epoch": 0.1, "step": number} for number in range(1, 6)]
    if has_folder:
        folder = write_run(tmp_path, reports=learning(4, 3), losses=10)  # to step 20
        assert len(lines(folder, layout.EVALUATIONS)) == 3
    state = trainer_state(10)
    state.log_history = history
    run = RunFolder(tmp_path, "abc123", FACTS, state, resumes=True)
    run.log({"train/loss": 0.5, "train/global_step": 12})
    steps = [row["train/global_step"] for row in lines(run.path, layout.HISTORY)]
    assert max(steps[:-1]) <= 10
    assert steps[-1] == 12
    if has_folder:
        assert steps[:5] == [2, 4, 6, 8, 10]
        assert [record["step"] for record in lines(run.path, layout.EVALUATIONS)] == [0, 10]
        found = evaluation(4)
        run.evaluation(found, metrics_of(found), split="eval", state=trainer_state(20))
        assert len(lines(run.path, layout.samples_file("eval"))) == 4
    else:
        assert steps[:-1] == [1, 2, 3, 4, 5]


def test_half_a_line_of_a_process_that_was_killed_spoils_no_other(tmp_path: Path) -> None:
    folder = write_run(tmp_path, reports=learning(3, 2))
    for name in (layout.HISTORY, layout.samples_file("eval")):
        with open(folder / name, "a") as file:
            file.write('{"id":"sample-3","instr')
    run = RunFolder(tmp_path, "abc123", FACTS, trainer_state(10), resumes=False)
    run.log({"train/loss": 0.1, "train/global_step": 11})
    assert json.loads((folder / layout.HISTORY).read_text().splitlines()[-1])["train/loss"] == 0.1
    found = evaluation(5)
    run.evaluation(found, metrics_of(found), split="eval", state=trainer_state(20))
    samples = (folder / layout.samples_file("eval")).read_text().splitlines()
    by_line = [
        json.loads(samples[answer["sample"]])["id"] for answer in lines(folder, layout.answers_file("eval", 20))
    ]
    assert by_line == ["sample-0", "sample-1", "sample-2", "sample-3", "sample-4"]


def test_what_cannot_be_written_is_one_warning_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    found = evaluation(2)
    with caplog.at_level(logging.WARNING):
        run = RunFolder(tmp_path / "runs", "a", FACTS, trainer_state(), resumes=False)
        run.begin(trainer_state())
        run.log({"train/loss": 1.0, "train/global_step": 1})
        run.evaluation(found, metrics_of(found), split="eval", state=trainer_state(1))
        run.close("finished")
    (told,) = [record.getMessage() for record in caplog.records]
    assert "can't be written to" in told
    assert "runs/a" in told


def test_secrets_and_the_home_directory_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_aVeryGoodSecret1234567890")
    rows = evaluation(1).rows
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    told = type(evaluation(1))(
        tuple(type(row)(row.sample, "the key is hf_aVeryGoodSecret1234567890", row.action, True, 0.0) for row in rows),
        skipped=0,
        seconds=1.0,
    )
    run.evaluation(told, metrics_of(told), split="eval", state=trainer_state(1))
    run.close("finished")
    texts = [path.read_text() for path in run.path.rglob("*.json*")]
    assert texts
    assert not [text for text in texts if "aVeryGoodSecret" in text]


def test_a_write_that_failed_spoils_no_later_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oaml_callbacks.run_folder import evaluations

    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    with monkeypatch.context() as full:

        def no_room(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        full.setattr(evaluations, "append_lines", no_room)
        first = evaluation(3)
        run.evaluation(first, metrics_of(first), split="eval", state=trainer_state(1))
    second = evaluation(5)
    run.evaluation(second, metrics_of(second), split="eval", state=trainer_state(2))
    samples = [sample["id"] for sample in lines(run.path, layout.samples_file("eval"))]
    answers = lines(run.path, layout.answers_file("eval", 2))
    assert [samples[answer["sample"]] for answer in answers] == [row.sample.id for row in second.rows]


def test_no_thread_to_be_had_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    monkeypatch.setattr("threading.Thread.start", no_more)
    run.begin(trainer_state())
    run.log({"train/loss": 1.0, "train/global_step": 1})
    assert "can't start new thread" in caplog.text
    assert len(lines(run.path, layout.HISTORY)) == 1


def test_evaluations_without_a_training_are_no_training(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    run.evaluates(True)
    run.log({"eval/loss": 1.0, "train/global_step": 0})
    assert not (run.path / layout.PROGRESS).exists()
    run.close("finished")
    assert progress(run.path)["outcome"] == "finished"


@pytest.mark.parametrize("run_id", ["current", ".hidden"])
def test_an_id_that_means_something_else_is_another_name(tmp_path: Path, run_id: str) -> None:
    write_run(tmp_path, "first")
    folder = write_run(tmp_path, run_id)
    assert folder.name == f"_{run_id}"
    assert json.loads((tmp_path / "first" / layout.RUN).read_text())["id"] == "first"
    assert os.readlink(tmp_path / "current") == folder.name


def test_numbers_of_other_libraries_are_numbers(tmp_path: Path) -> None:
    import numpy as np
    import torch

    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    run.log({"train/a": np.float32(0.5), "train/b": np.int64(3), "train/c": torch.tensor(2.0), "train/global_step": 1})
    (row,) = lines(run.path, layout.HISTORY)
    assert (row["train/a"], row["train/b"], row["train/c"]) == (0.5, 3, 2.0)


def test_a_process_that_is_about_to_die_waits_for_nobody(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, "a", FACTS, trainer_state(), resumes=False)
    run.begin(trainer_state())
    with run._log._lock, run._progress._lock:  # as when the signal came in the middle of both
        begun = time.monotonic()
        run.end_at_once("preempted")
        assert time.monotonic() - begun < 2
    run.end_at_once("preempted")
    assert progress(run.path)["outcome"] == "preempted"


def test_a_resumed_run_keeps_the_galleries_that_it_had(tmp_path: Path) -> None:
    folder = write_run(tmp_path, reports=learning(4, 3))
    before = json.loads((folder / layout.TRAINING_LOG).read_text())["evaluations"]
    run = RunFolder(tmp_path, "abc123", FACTS, trainer_state(20), resumes=True)
    run.close("finished")
    assert json.loads((folder / layout.TRAINING_LOG).read_text())["evaluations"] == before != []
