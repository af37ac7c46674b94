"""Runs by reference: which one is meant, and what is told where nobody can know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oaml_callbacks.compared.runs import ReadRun, RunReferenceError, read_runs
from oaml_callbacks.run_folder import layout

from ..viewer.shown_runs import write_foreign
from .examples import SET, evaluated, write, write_pair

Read = Callable[[str], ReadRun]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs below `training_output`, which is where one is; and no way to W&B."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OAML_RUNS_DIR", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    write_pair(tmp_path / "training_output")
    return tmp_path / "training_output"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("aaaa1111", "aaaa1111"),
        ("second", "bbbb2222"),
        ("aa", "aaaa1111"),
        ("current", "bbbb2222"),
        ("training_output/aaaa1111", "aaaa1111"),
        ("./training_output/bbbb2222/", "bbbb2222"),
    ],
)
def test_a_run_is_found_by_path_id_name_and_the_beginning_of_its_id(runs: Path, reference: str, expected: str) -> None:
    (run,) = read_runs([reference])
    assert (run.id, run.reference, run.source) == (expected, reference, "folder")


def test_another_folder_may_be_looked_in(runs: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "cccc3333", evaluated(4))
    assert read_runs(["ccc"], runs_dir=tmp_path / "elsewhere")[0].id == "cccc3333"
    with pytest.raises(RunReferenceError, match="no run ccc in"):
        read_runs(["ccc"])


def test_names_and_beginnings_that_several_have_are_told_with_them(runs: Path) -> None:
    write(runs, "aaab9999", evaluated(4), name="second")
    with pytest.raises(RunReferenceError, match=r"aa is the beginning of the id of 2 runs .*: aaaa1111, aaab9999\."):
        read_runs(["aa"])
    with pytest.raises(RunReferenceError, match=r"second is the name of 2 runs .*: aaab9999, bbbb2222\."):
        read_runs(["second"])


def test_a_misspelt_one_is_answered_with_the_nearest(runs: Path) -> None:
    with pytest.raises(RunReferenceError, match=r"there is no run secnd in training_output; did you mean second\?"):
        read_runs(["secnd"])
    with pytest.raises(RunReferenceError, match="there are aaaa1111, bbbb2222, first, second"):
        read_runs(["xyz"])


def test_without_any_runs_it_is_said_what_a_run_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunReferenceError, match=r"there are no runs in training_output.*entity/project/run_id"):
        read_runs(["abc"], runs_dir=Path("training_output"))


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("training_output", "holds 2 runs"),
        ("wandb", "W&B's own folder.*wandb sync"),
        ("empty", "no run folder"),
        ("https://wandb.ai/someone", "no address of a W&B run.*/runs/RUN_ID"),
        ("someone/clicks/aaaa1111", "can't be read from W&B: W&B is offline"),
        ("x" * 5000, "there is no run x"),
        ("a\x1b[31mb", r"there is no run a\\x1b\[31mb"),
        ("", "there is no run  in training_output"),
    ],
)
def test_what_is_no_run_is_told_in_a_sentence(runs: Path, reference: str, said: str) -> None:
    Path("empty").mkdir()
    (Path("wandb") / "offline-run-1").mkdir(parents=True)
    with pytest.raises(RunReferenceError, match=said) as told:
        read_runs([reference])
    assert len(str(told.value)) < 1000
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize(("folder", "expected"), [("second", "bbbb2222"), ("aaaa", "aaaa1111")])
def test_a_folder_without_a_run_hides_no_run(runs: Path, folder: str, expected: str) -> None:
    Path(folder).mkdir()
    assert read_runs([folder])[0].id == expected


def test_a_folder_that_is_called_as_a_run_does_not_hide_it(runs: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "cccc3333", evaluated(4), name="there")
    write(tmp_path, "cccc3333", evaluated(4), name="here")
    assert read_runs(["cccc3333"], runs_dir=tmp_path / "elsewhere")[0].name == "there"


def test_a_folder_without_a_run_hides_none_of_w_and_bs(runs: Path) -> None:
    Path("someone/clicks/aaaa1111").mkdir(parents=True)
    said = "someone/clicks/aaaa1111 is no run folder: .* And as a run of W&B's: .* W&B is offline"
    with pytest.raises(RunReferenceError, match=said):
        read_runs(["someone/clicks/aaaa1111"])


@pytest.mark.parametrize("reference", ["./gone", "../gone/too", "~/gone/too"])
def test_a_path_of_nothing_is_not_asked_for_at_w_and_b(runs: Path, reference: str) -> None:
    with pytest.raises(RunReferenceError, match=r"there is no run .*gone.* in training_output"):
        read_runs([reference])


def test_what_acts_in_a_folders_name_is_spelled_out(runs: Path) -> None:
    write(runs, "zzzz", evaluated(4)).rename(runs / "aaa\x1b[31m")
    with pytest.raises(RunReferenceError) as told:
        read_runs(["xyz"])
    assert r"aaa\x1b[31m" in str(told.value)
    assert "\x1b" not in str(told.value)


def test_a_folder_of_openadapt_mls_own_is_read_by_its_own_rule(runs: Path) -> None:
    write_foreign(runs / "job1")
    (run,) = read_runs(["job1"])
    found = run.best()
    assert found is not None
    assert "within 0.05" in run.notes[0]
    assert [answer.correct for answer in run.answers(found)] == [True]  # in the last epoch it has found home
    assert [row["train/loss"] for row in run.history] == [1, 1 / 2, 1 / 3]


def test_a_run_says_what_its_folder_holds(runs: Path) -> None:
    (run,) = read_runs(["second"])
    assert [one.key for one in run.evaluations] == ["eval@base", "eval@10"]
    assert (run.steps, run.samples_seen, run.outcome, run.config["lora_r"]) == (10, 40, "finished", 32)
    assert run.fingerprints == {"eval": SET}
    assert run.baseline() is run.evaluations[0]
    assert run.best() is run.last() is run.evaluations[1]
    assert [answer.correct for answer in run.answers(run.evaluations[1])].count(True) == 28
    answer = run.answers(run.evaluations[1])[31]
    assert (answer.readable, answer.click, answer.distance, answer.outcome) == (False, None, None, "unreadable")
    assert answer.groups == {"kind": "text", "platform": "desktop"}
    assert answer.picture is not None
    assert (runs / "bbbb2222" / answer.picture).is_file()
    assert [row["train/global_step"] for row in run.history][-1] == 10


def test_the_best_evaluation_is_the_summarys(tmp_path: Path) -> None:
    reports = [evaluated(8, wrong=wrong) for wrong in ([0, 1], [0], [0], [0, 1, 2])]
    write(tmp_path, "dddd4444", *reports)
    (run,) = read_runs(["dddd4444"], runs_dir=tmp_path)
    best, last = run.best(), run.last()
    assert best is not None
    assert last is not None
    assert (best.step, last.step) == (20, 40)
    assert run.best("eval_web") is None


def test_broken_and_hostile_files_are_told_or_left_out(runs: Path) -> None:
    second = runs / "bbbb2222"
    about = json.loads((second / layout.RUN).read_text())
    about |= {"grounding": {"eval": {"fingerprint": ["no text"], "samples": "many", "rules": [1]}, "x": 3}}
    about |= {"links": {"viewer_url": "javascript:alert(1)"}, "totals": {"train_runtime": "long"}}
    (second / layout.RUN).write_text(json.dumps(about))
    answers = second / layout.answers_file("eval", 10)
    lines = answers.read_text().splitlines()
    answers.write_text("\n".join(["{broken", '{"sample": 99999}', "[1]", *lines[3:]]) + "\n")
    (run,) = read_runs(["second"])
    assert run.fingerprints["eval"] == {"fingerprint": None, "samples": None, "rules": {}}
    assert run.viewer_url is None
    assert len(run.answers(run.evaluations[1])) == 29
    (second / layout.RUN).write_text("{")
    with pytest.raises(RunReferenceError, match=r"can't be read: oaml/run.json is no JSON"):
        read_runs(["training_output/bbbb2222"])


def test_answers_outside_the_folder_are_not_read(runs: Path, tmp_path: Path) -> None:
    second = runs / "bbbb2222"
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"sample": 0, "answer": "secret", "correct": true}\n')
    answers = second / layout.answers_file("eval", 10)
    answers.unlink()
    answers.symlink_to(secret)
    (run,) = read_runs(["second"])
    with pytest.raises(RunReferenceError, match="is a link, which isn't followed"):
        run.answers(run.evaluations[1])
