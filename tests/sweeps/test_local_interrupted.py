"""Searches that are killed or interrupted: what they leave behind, and how they go on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy.event
import sqlalchemy.orm

from oaml_callbacks.sweeps.search import SearchInterrupted
from oaml_callbacks.sweeps.search_result import SearchResult
from oaml_callbacks.sweeps.search_space import search_space
from oaml_callbacks.sweeps.study import next_trial

from .fake_trial import EVALUATIONS
from .searches import calls, made, search, wait_for

pytestmark = pytest.mark.usefixtures("quick")


@contextmanager
def started(folder: Path, trials: int) -> Iterator[int]:
    """A search in a process of its own: this one's copy, which has imported everything. Gives its id."""
    process = multiprocessing.get_context("fork").Process(target=_search_quietly, args=(folder, trials))
    process.start()
    assert process.pid is not None
    yield process.pid
    process.join(60)
    assert process.exitcode is not None


def _search_quietly(folder: Path, trials: int) -> None:
    # A shell's background process, as the tests may be, ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        search(folder, made(folder), trials)
    except KeyboardInterrupt as interrupt:
        (folder / "interrupted.txt").write_text(f"{type(interrupt).__name__}: {interrupt}", encoding="utf-8")
        os._exit(130)


def test_a_killed_search_goes_on_where_it_was(
    tmp_path: Path, found: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACE", "0.7")
    history = tmp_path / "search" / "trial-002" / "run-trial-002" / "oaml" / "history.jsonl"
    with started(tmp_path, 3) as process:
        wait_for(history)
        os.kill(process, signal.SIGKILL)
    monkeypatch.setenv("PACE", "0")
    study = optuna.load_study(study_name="tests", storage=f"sqlite:///{tmp_path}/search/study.db")
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE", "RUNNING"]
    result = search(tmp_path, made(tmp_path), 3)
    assert [trial.state for trial in result.trials] == ["finished"] * 3
    assert [trial.values for trial in result.trials] == [trial.values for trial in found.trials[:3]]
    first, second = calls(tmp_path / "search" / "trial-002")
    assert "--resume" not in first
    assert second == [*first, "--resume"]  # the guard had it save a checkpoint
    assert result.trials[1].evaluations == EVALUATIONS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_the_trial_gently(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACE", "0.7")
    with started(tmp_path, 4) as process:
        wait_for(tmp_path / "search" / "trial-001" / "run-trial-001" / "oaml" / "history.jsonl")
        os.kill(process, number)
    told = (tmp_path / "interrupted.txt").read_text(encoding="utf-8")
    assert told.startswith("SearchInterrupted: interrupted in trial 1; its checkpoint is")
    assert list((tmp_path / "search" / "trial-001").glob("checkpoint-*"))
    assert json.loads((tmp_path / "search/trial-001/run-trial-001/oaml/progress.json").read_text())["outcome"] == (
        "interrupted"
    )


def test_ctrl_c_does_not_come_in_the_middle_of_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would leave the study locked, and the trial without what is noted of it."""
    monkeypatch.setenv("PACE", "0.7")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    evaluated: list[int] = []

    def interrupt(session: Any, _: Any) -> None:
        if not evaluated and any(type(each).__name__ == "TrialIntermediateValueModel" for each in session.new):
            evaluated.append(1)
            signal.raise_signal(signal.SIGINT)

    sqlalchemy.event.listen(sqlalchemy.orm.Session, "after_flush", interrupt)
    try:
        with pytest.raises(SearchInterrupted, match="interrupted in trial 1; its checkpoint is"):
            search(tmp_path, made(tmp_path), 4)
    finally:
        sqlalchemy.event.remove(sqlalchemy.orm.Session, "after_flush", interrupt)
        signal.signal(signal.SIGINT, before)
    assert evaluated
    (trial,) = optuna.load_study(study_name="tests", storage=f"sqlite:///{tmp_path}/search/study.db").get_trials()
    assert trial.intermediate_values
    assert trial.user_attrs["run_id"]


def test_an_interrupted_search_says_so_to_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oaml_callbacks.sweeps.search.Search._report", interrupted)
    with pytest.raises(SearchInterrupted, match="interrupted in trial 1"):
        search(tmp_path, made(tmp_path), 1)


def test_a_result_that_nobody_had_noted_is_not_trained_again(tmp_path: Path) -> None:
    """Killed between a trial's end and its note in the study."""
    search(tmp_path, made(tmp_path), 1)
    database = tmp_path / "search" / "study.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE trials SET state = 'RUNNING'")
        connection.execute("DELETE FROM trial_values")
        connection.execute("DELETE FROM trial_intermediate_values")
    result = search(tmp_path, made(tmp_path), 1)
    assert [(trial.state, trial.evaluations) for trial in result.trials] == [("finished", EVALUATIONS)]
    assert len(calls(tmp_path / "search" / "trial-001")) == 1


def test_a_proposal_that_was_cut_off_is_made_as_it_would_have_been(tmp_path: Path) -> None:
    def proposed(name: str, cut_off: bool) -> Any:
        study = optuna.create_study(storage=f"sqlite:///{tmp_path}/{name}.db")
        if cut_off:
            study.ask()  # and killed before the first value
        return next_trial(study, space, method="bayes", seed=3, own={}).params

    space = search_space(made(tmp_path))
    assert proposed("cut-off", True) == proposed("whole", False)
