"""What a checkpoint knows of its run, and the plan of going on with it: every row of the log history once."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaml_callbacks.row_count import RowCount
from oaml_callbacks.saved_run import ResumePlan, SavedAlerts, SavedRun, as_row, plan_resume

HISTORY: list[dict[str, Any]] = [
    {"loss": 3.0, "epoch": 0.1, "step": 2},
    {"loss": 2.0, "epoch": 0.2, "step": 4},
    {"eval_loss": 1.5, "epoch": 0.2, "step": 4},
    {"loss": 1.0, "epoch": 0.3, "step": 6},
    {"train_runtime": 9.0, "train_loss": 2.0, "epoch": 0.3, "step": 6},
    {"eval_loss": 0.5, "epoch": 0.3, "step": 6},
]
"""Five rows: the end of a training is none."""


def saved(step: int, **given: Any) -> SavedRun:
    return SavedRun("r", step=step, **{"logged": 3, "tail": 3, **given})


# What is saved -------------------------------------------------------------------------------------------------------

_NAMES = st.text(max_size=5)


@given(
    st.builds(
        SavedRun,
        run_id=_NAMES,
        project=st.none() | _NAMES,
        step=st.integers(0, 10),
        logged=st.integers(0, 10),
        tail=st.integers(0, 10),
        best=st.dictionaries(_NAMES, st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))),
        summary=st.dictionaries(_NAMES, st.integers() | _NAMES),
        online=st.booleans(),
        correct=st.dictionaries(_NAMES, st.dictionaries(_NAMES, st.booleans())),
        alerts=st.builds(
            SavedAlerts,
            told=st.lists(_NAMES),
            seen=st.dictionaries(_NAMES, st.dictionaries(_NAMES, st.floats(allow_nan=False))),
        ),
        folders=st.lists(_NAMES),
    )
)
def test_what_is_saved_is_read_back_from_json(run: SavedRun) -> None:
    """A checkpoint is a JSON file: all that a run is goes through one unchanged."""
    assert SavedRun.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_a_checkpoint_of_an_earlier_version_lacks_fields_and_a_later_ones_are_ignored() -> None:
    """Fields that aren't there have their defaults, and unknown ones are no error."""
    assert SavedRun.from_dict({"version": 1, "run_id": "r", "new": 1}) == SavedRun("r")


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "r",
        [],
        {},
        {"run_id": "r"},
        {"version": 2, "run_id": "r"},
        {"version": 1},
        {"version": 1, "run_id": 3},
        {"version": 1, "run_id": "r", "step": -1},
        {"version": 1, "run_id": "r", "step": 1.5},
        {"version": 1, "run_id": "r", "tail": "three"},
        {"version": 1, "run_id": "r", "project": 3},
        {"version": 1, "run_id": "r", "best": {"": [1]}},
        {"version": 1, "run_id": "r", "correct": {"eval": ["a"]}},
        {"version": 1, "run_id": "r", "alerts": {"told": "loss"}},
        {"version": 1, "run_id": "r", "alerts": {"seen": {"accuracy": 1}}},
        {"version": 1, "run_id": "r", "logged": None},
        {"version": 1, "run_id": "r", "folders": None},
        {"version": 1, "run_id": "r", "folders": "~/wandb"},
        {"version": 1, "run_id": "r", "folders": [1]},
        {"version": 1, "run_id": "r", "best": [1, 2]},
        {"version": 1, "run_id": "r", "summary": None},
        {"version": 1, "run_id": "r", "alerts": []},
        {"version": 1, "run_id": "r", "correct": "all"},
    ],
)
def test_what_is_no_saved_run_is_none(bad: Any) -> None:
    """Another program's entry, a later version's, or one that somebody has edited: there is no run then."""
    assert SavedRun.from_dict(bad) is None


# The plan's cases ----------------------------------------------------------------------------------------------------


def test_the_end_of_a_training_is_no_row() -> None:
    """It goes to the summary; every other entry is a row by W&B's names."""
    assert [bool(as_row(entry)) for entry in HISTORY] == [True, True, True, True, False, True]
    assert as_row(HISTORY[2]) == {"eval/loss": 1.5, "train/epoch": 0.2, "train/global_step": 4}


@pytest.mark.parametrize(
    ("run", "last", "plan"),
    [
        pytest.param(saved(3), -1, ResumePlan(-1, False, [0, 1, 2, 3, 5]), id="the run has no rows"),
        pytest.param(saved(3), 2, ResumePlan(2, False, [3, 5]), id="nothing came after the checkpoint"),
        pytest.param(saved(3), 3, ResumePlan(2, True, [3, 5]), id="one row did"),
        pytest.param(saved(3), 9, ResumePlan(2, True, [3, 5]), id="many rows did"),
        pytest.param(saved(3), None, ResumePlan(2, False, [3, 5]), id="nobody could be asked"),
        pytest.param(saved(3), 1, ResumePlan(1, False, [2, 3, 5]), id="the last row was lost"),
        pytest.param(saved(3), 0, ResumePlan(0, False, [1, 2, 3, 5]), id="all but the first were lost"),
        pytest.param(saved(0, logged=0), -1, ResumePlan(-1, False, [0, 1, 2, 3, 5]), id="nothing was written at all"),
        pytest.param(saved(0, logged=0), None, ResumePlan(-1, False, [0, 1, 2, 3, 5]), id="nor could one ask"),
        pytest.param(saved(0, logged=0), 0, ResumePlan(0, False, [1, 2, 3, 5]), id="the first row stays"),
        pytest.param(saved(0, logged=0), 4, ResumePlan(0, True, [1, 2, 3, 5]), id="it alone stays"),
        pytest.param(saved(0, logged=6), 4, ResumePlan(0, True, [], skip=1), id="and the training's first is it"),
    ],
)
def test_the_plan(run: SavedRun, last: int | None, plan: ResumePlan) -> None:
    """What stays, whether rows are taken away, and what is written again, by how far the run had come."""
    assert plan_resume(run, HISTORY, last) == plan


@pytest.mark.parametrize(
    ("reached", "again"),
    [(2.0, [1, 2, 3, 5]), (4.0, [3, 5]), (None, [0, 1, 2, 3, 5])],
    ids=["before two of them", "after them", "not known"],
)
def test_rows_of_others_among_those_that_were_lost(reached: float | None, again: list[int]) -> None:
    """What the last row says of the training decides; without that, rather a row twice than none."""
    plan = plan_resume(saved(6, tail=0), HISTORY, 1, reached)
    assert plan == ResumePlan(1, False, again)


# A run that crashes, and is gone on with -----------------------------------------------------------------------------


class Event(NamedTuple):
    """Something that a training writes: a row of its log history, one of others, or the end of a training."""

    kind: str
    step: int

    @property
    def entry(self) -> dict[str, Any]:
        value = {"train_runtime": 1.0} if self.kind == "end" else {"loss": 1.0}
        return {**value, "step": self.step}


def events(kinds: list[str]) -> list[Event]:
    return [Event(kind, step) for step, kind in enumerate(kinds, start=1)]


def of_history(made: list[Event]) -> list[Event]:
    return [event for event in made if event.kind in ("row", "end")]


def saved_after(made: list[Event], looks: set[int]) -> SavedRun:
    """What the checkpoint knows, with stock taken after some earlier events too."""
    rows, step = RowCount(0, None), 0
    for number, event in enumerate(made):
        if event.kind != "end":
            step += 1
        if event.kind in ("row", "ours"):
            rows.written(event.kind == "row")  # those of others nobody is told of
        if number in looks:
            rows.count(step)
    rows.count(step)
    return saved(rows.step, logged=len(of_history(made)), tail=rows.tail)


_KINDS = st.lists(st.sampled_from(["row", "row", "row", "end", "ours", "theirs"]), max_size=12)
_COUNTED = st.lists(st.sampled_from(["row", "row", "end"]), max_size=4)


@settings(max_examples=500)
@given(_KINDS, _COUNTED, _KINDS, st.sets(st.integers(0, 12)), st.data())
def test_each_row_of_the_log_history_is_on_the_run_once(
    before: list[str], between: list[str], later: list[str], looks: set[int], data: st.DataObject
) -> None:
    """Wherever the checkpoint was, and however many rows were lost or came after it: none is missing, none twice.

    `between` are rows that the checkpoint's log history has, and its saved run doesn't know.
    """
    made = events([*before, *between, *later])
    known, checkpoint = len(before), len(before) + len(between)
    run = saved_after(made[:known], looks)
    if not run.step and later:
        made[checkpoint] = made[checkpoint]._replace(kind="row")  # its first row is the one that stays
    history = [event.entry for event in of_history(made[:checkpoint])]
    on_run = [event for event in made if event.kind != "end"]
    on_run = on_run[: data.draw(st.integers(0, len(on_run)), label="arrived")]
    reached = float(on_run[-1].step) if on_run else None
    plan = plan_resume(run, history, len(on_run) - 1, reached)

    assert plan.last_kept < len(on_run)
    assert plan.rewind == (plan.last_kept + 1 < len(on_run))
    kept = on_run[: plan.last_kept + 1]
    again = [of_history(made[:checkpoint])[index] for index in plan.again]
    trained = [event for event in made[checkpoint:] if event.kind != "end"]
    counted = [event for event in trained if event.kind == "row"][plan.skip :]
    whole = [event for event in [*kept, *again] if event.kind == "row"] + counted
    assert whole == [event for event in made if event.kind == "row"]


# Which rows are the log history's ------------------------------------------------------------------------------------


def test_rows_are_counted_on_from_a_saved_run() -> None:
    """The last rows are the log history's for as long as nobody else writes."""
    rows = RowCount(5, saved(5, tail=4))
    rows.written(True)
    rows.count(6)
    assert (rows.step, rows.tail) == (6, 5)


def test_a_run_that_was_rewound_or_lost_rows_begins_to_count_anew() -> None:
    """Where it is gone on with elsewhere than it was saved, what was known of its last rows holds no more."""
    assert RowCount(3, saved(5, tail=4)).tail == 0


@pytest.mark.parametrize(("told", "step", "tail"), [(7, 7, 0), (0, 5, 4), (None, 5, 4)])
def test_a_row_of_others_ends_the_count(told: int | None, step: int, tail: int) -> None:
    """W&B's step shows it; a run that was gone on with tells 0 at first, and one that is gone nothing."""
    rows = RowCount(5, saved(5, tail=4))
    rows.count(told)
    assert (rows.step, rows.tail) == (step, tail)


def test_a_row_of_ours_that_the_log_history_has_not() -> None:
    """Such as a prediction's: it is a row of the run, and ends the count."""
    rows = RowCount(0, None)
    rows.written(True)
    rows.written(False)
    rows.count(None)
    assert (rows.step, rows.tail) == (2, 0)
