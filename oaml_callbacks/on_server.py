"""[`last_row`]: how far W&B's server has a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .bounded import NoAnswer, in_time
from .clean_text import error_text
from .opening import has_key

ASK_SECONDS = 10.0
"""How long the server may take to say it."""


@dataclass(frozen=True)
class LastRow:
    """A run's last row.

    Args:
        step: W&B's step; -1 if there is no row.
        global_step: `train/global_step`, if it is known.
    """

    step: int
    global_step: float | None = None


def last_row(run_id: str, *, entity: str | None, project: str | None, seconds: float) -> LastRow | str | None:
    """What the server has of a run; `None` if it hasn't the run; why it doesn't answer, as text.

    Args:
        run_id: The run.
        entity: Whose it is; the user's own if it isn't known.
        project: Where it is.
        seconds: How long it may take, if that is less than `ASK_SECONDS`.
    """
    if seconds <= 0:
        return "there is no time left to ask"
    path = "/".join(part for part in (entity, project, run_id) if part)
    limit = min(ASK_SECONDS, seconds)
    try:
        return in_time(lambda: _ask(path, limit), limit)
    except NoAnswer as error:
        return str(error)


def _ask(path: str, seconds: float) -> LastRow | str | None:
    import wandb

    if not has_key():  # else wandb asks for one
        return "there is no API key"
    try:
        run = wandb.Api(timeout=max(1, int(seconds / 2))).run(path)
        step = run.lastHistoryStep
        summary: Any = run.summary  # has no types
        reached = summary.get("train/global_step")
    except Exception as error:  # noqa: BLE001 - whatever W&B fails at, the training goes on
        # So wandb says that there is no such run: in a ValueError, or since 0.31 in a CommError.
        return None if "ould not find run" in str(error) else error_text(error)
    return LastRow(-1 if step is None else int(step), reached if isinstance(reached, (int, float)) else None)
