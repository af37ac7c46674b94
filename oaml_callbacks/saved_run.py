"""[`SavedRun`]: what a checkpoint knows of its W&B run, and [`plan_resume`]: how a resumed training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import keys

VERSION = 1


@dataclass(frozen=True)
class SavedAlerts:
    """What [`Alerts`] needs to go on; see [`Alerts.told`] and [`Alerts.seen`]."""

    told: Sequence[str] = ()
    seen: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedRun:
    """A W&B run as it was when a checkpoint was saved.

    Args:
        run_id: W&B's id of the run.
        project: Its project.
        entity: Its user or team, as far as it was known.
        step: W&B's own step (`_step`) of the next row, that is how many rows the run had.
        logged: Entries of the Trainer's log history at that time; what follows them isn't on the run.
        tail: So many of the run's last rows are the log history's last, one for one.
        best: [`BestEvaluations.ranks`].
        summary: What was written to the summary, to be written again: a rewound run has none.
        online: Whether a server has had it: one that hasn't any more has deleted it.
        correct: For each evaluation set, which samples were right in its last evaluation, by id.
        alerts: What was told, and what evaluations are compared with.
        folders: The run's folders on the machine that saved this, in their order, the home directory as `~`.
    """

    run_id: str
    project: str | None = None
    entity: str | None = None
    step: int = 0
    logged: int = 0
    tail: int = 0
    best: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    online: bool = False
    correct: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    alerts: SavedAlerts = SavedAlerts()
    folders: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The run in JSON's types."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, saved: Any) -> SavedRun | None:
        """Read what [`to_dict`] made; `None` for anything else, such as a later version's."""
        if not isinstance(saved, Mapping) or saved.get("version") != VERSION:
            return None
        from pydantic import TypeAdapter, ValidationError  # a file of others' making; nothing else here needs it

        try:
            read = TypeAdapter(cls).validate_python({name: saved[name] for name in saved if name != "version"})
        except ValidationError:
            return None
        return read if min(read.step, read.logged, read.tail) >= 0 else None


@dataclass(frozen=True)
class ResumePlan:
    """How a run is gone on with.

    Args:
        last_kept: W&B's step of the last row that stays; -1 if the run has no rows that could.
        rewind: Whether rows after it have to be taken away.
        again: Entries of the log history that are written again, by their index.
        skip: So many rows of the training are on the run already, and are not written again.
    """

    last_kept: int
    rewind: bool
    again: Sequence[int]
    skip: int = 0


def plan_resume(
    saved: SavedRun,
    history: Sequence[Mapping[str, Any]],
    last: int | None,
    last_global_step: float | None = None,
) -> ResumePlan:
    """How to go on with a run, so that it has every row of `history` once.

    Args:
        saved: What the checkpoint knows.
        history: The checkpoint's log history.
        last: W&B's step of the run's last row; -1 if it has no rows; `None` if nobody could be asked, and it is taken
            to have every row that it was given.
        last_global_step: `train/global_step` of that row, where it is known. It decides what was lost where others
            wrote rows of their own among the Trainer's.
    """
    rows = [index for index, entry in enumerate(history) if as_row(entry)]
    before = [index for index in rows if index < saved.logged]
    after = [index for index in rows if index >= saved.logged]
    if last == -1:
        return ResumePlan(-1, rewind=False, again=rows)
    if saved.step == 0 and last is not None:
        # W&B can't rewind to nothing. The first row stays, and is not written a second time.
        return ResumePlan(0, rewind=last > 0, again=after[1:], skip=0 if after else 1)
    if last is None or last >= saved.step - 1:
        return ResumePlan(saved.step - 1, rewind=last is not None and last >= saved.step, again=after)
    missing = saved.step - 1 - last  # logged, but these rows never reached the server or the disk
    lost = before[max(0, len(before) - missing) :]
    if missing > saved.tail and last_global_step is not None:
        lost = [index for index in before if history[index].get("step", 0) > last_global_step]
    return ResumePlan(last, rewind=False, again=[*lost, *after])


def as_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The history row that an entry of the Trainer's log history stands for; empty for the end of a training."""
    row = {
        keys.trainer_key(name): value
        for name, value in entry.items()
        if name != "step" and name not in keys.END_OF_TRAINING
    }
    if not set(row) - {keys.trainer_key("epoch")}:
        return {}
    return {**row, keys.STEP_KEY: entry.get("step", 0)}
