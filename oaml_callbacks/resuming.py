"""How far a run has come that a checkpoint names: asked of W&B's server, or read from the run's files."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from .on_server import LastRow, last_row
from .run_lock import is_locked
from .saved_run import ResumePlan, SavedRun, plan_resume
from .sync import has_hole, send, unsent_parts

logger = logging.getLogger(__name__)

SEND_SHARE = 0.7
"""Share of the time that sending earlier parts may take; in the rest the server is asked what has come of it."""

_TIME = "????????_??????"
"""When a run was opened, as W&B writes it into its folder's name."""


@dataclass(frozen=True)
class Going:
    """How a training goes on with a run.

    Args:
        run_id: The run; `None` for a new one.
        plan: What is kept of it, and what is written again.
        unreachable: Why the server couldn't be asked; the run then goes on offline.
        earlier: What of the run is on this machine, and not yet on the server.
    """

    run_id: str | None
    plan: ResumePlan
    unreachable: str | None = None
    earlier: Sequence[Path] = ()


def how_to_go_on(saved: SavedRun, history: Sequence[Mapping[str, Any]], *, offline: bool, seconds: float) -> Going:
    """Find out how a resumed training goes on with its run.

    Args:
        saved: What the checkpoint knows of the run.
        history: The checkpoint's log history.
        offline: Whether W&B is offline, so that nobody can be asked.
        seconds: How long it may take.
    """
    deadline = time.monotonic() + seconds
    folders = run_folders(saved)
    if any(is_locked(folder) for folder in folders):
        logger.warning(
            "The W&B run %s of this checkpoint is still being written to, by another training on this machine. This "
            "training gets a run of its own.",
            saved.run_id,
        )
        return Going(None, plan_resume(saved, history, -1))
    if offline:
        return _from_files(saved, history, folders)
    found = _asked(saved, deadline)
    if found is None and saved.online:
        logger.warning(
            "The W&B run %s of this checkpoint was deleted on the server, or whose key this is may not see it. The "
            "training gets a new run, with what the checkpoint's log history knows.",
            saved.run_id,
        )
        return Going(None, plan_resume(saved, history, -1))
    there = -1
    if not isinstance(found, str):
        found, there = _completed(saved, folders, found, deadline)
    if isinstance(found, str):
        return _from_files(saved, history, folders, unreachable=found, there=there)
    if found is None:
        logger.warning(
            "The W&B run %s of this checkpoint is not on the server. It is written again, from the checkpoint's log "
            "history: without the tables and what others logged.",
            saved.run_id,
        )
        return Going(saved.run_id, plan_resume(saved, history, -1))
    return Going(saved.run_id, plan_resume(saved, history, found.step, found.global_step))


def _completed(
    saved: SavedRun, folders: Sequence[Path], found: LastRow | None, deadline: float
) -> tuple[LastRow | str | None, int]:
    """Send to the server what it lacks of the run and is here.

    Returns:
        What it has then, as [`last_row`] tells it, and the last row that it is known to have: what could not be sent
        in time may have been sent in part.
    """
    there = found.step if found is not None else -1
    if found is not None and found.step >= saved.step - 1 and not has_hole(folders):
        return found, there
    # An offline beginning, or rows that were on the way when the process was killed: with their tables.
    parts = unsent_parts(folders, there)
    if not parts:
        return found, there
    left = deadline - time.monotonic()
    sent = send(parts, left * SEND_SHARE)
    now = _asked(saved, deadline)
    there = now.step if isinstance(now, LastRow) else there
    return (now if sent else "an earlier part of the run could not be sent"), there


def run_folders(saved: SavedRun) -> list[Path]:
    """The run's folders on this machine, oldest first: those the checkpoint knows, and later ones beside them."""
    places = {Path(os.path.expanduser(folder)).parent for folder in saved.folders}
    found = set()
    for place in places:
        try:
            # By the time's shape, since an id may end in `-` and another run's id.
            found |= {folder for folder in place.glob(f"*run-{_TIME}-{escape(saved.run_id)}") if folder.is_dir()}
        except OSError as error:  # another user's, closed to us
            logger.debug("%s can't be read: %s", place, error)
    return sorted(found, key=lambda folder: folder.name.removeprefix("offline-"))


def _from_files(
    saved: SavedRun,
    history: Sequence[Mapping[str, Any]],
    folders: Sequence[Path],
    unreachable: str | None = None,
    there: int = -1,
) -> Going:
    last = _last_row(folders)
    step, global_step = (last.step, last.global_step) if last is not None else (None, None)
    return Going(
        saved.run_id, plan_resume(saved, history, step, global_step), unreachable, unsent_parts(folders, there)
    )


def _last_row(folders: Sequence[Path]) -> LastRow | None:
    """The last row in the newest file that has one; `None` if this machine has none of the run's files."""
    for folder in reversed(folders):
        for path in folder.glob("run-*.wandb"):
            last = None
            for row in _rows(path):
                last = LastRow(int(row["_step"]), row.get("train/global_step"))
            if last is not None:
                return last
    return LastRow(-1) if folders else None


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    from .testing import read_run

    try:
        yield from read_run(path).history
    except (OSError, ValueError) as error:
        logger.debug("%s can't be read: %s", path, error)


def _asked(saved: SavedRun, deadline: float) -> LastRow | str | None:
    left = deadline - time.monotonic()
    return last_row(saved.run_id, entity=saved.entity, project=saved.project, seconds=left)
