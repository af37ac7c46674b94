"""Which runs callbacks have opened in this process: room is made for a new one, and none is left looking finished.

A run outlives its training, since `trainer.evaluate()` and `trainer.predict()` may follow; nothing tells a callback
that its Trainer is done, or that a training died of an exception. Both show here: when the next run is to be opened,
and when the process ends.
"""

from __future__ import annotations

import atexit
import sys
from types import FrameType
from typing import Any, Protocol

from .wandb_logger import EXIT_FAILED, exit_code_of


class RunHolder(Protocol):
    """Who has a run open."""

    @property
    def in_training(self) -> bool:
        """Whether a training has begun and not come to its end."""

    def is_on_the_stack(self) -> bool:
        """Whether that training is really going on: its Trainer's loop is being executed by some thread."""

    def close(self, exit_code: int = 0) -> None:
        """Finish the run."""


_holders: list[RunHolder] = []


def add(holder: RunHolder) -> None:
    """Note that `holder` has opened a run."""
    _holders.append(holder)
    # Again each time: the newest hook runs first, and has to come before the one that wandb registers for the run.
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)


def remove(holder: RunHolder) -> None:
    """Note that `holder` has finished its run."""
    if holder in _holders:
        _holders.remove(holder)


def make_room() -> bool:
    """Finish the runs whose training isn't going on; those that were left in the middle of one are marked as failed.

    Returns:
        Whether a training is going on all the same, so that the new run has to be opened beside its run.
    """
    busy = False
    for holder in list(_holders):
        if holder.in_training and holder.is_on_the_stack():
            busy = True
        else:
            holder.close(EXIT_FAILED if holder.in_training else 0)
    return busy


def is_training(args: Any) -> bool:
    """Whether some thread is executing `train` of the Trainer that has these arguments."""
    for innermost in sys._current_frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code.co_name == "train" and getattr(frame.f_locals.get("self"), "args", None) is args:
                return True
            frame = frame.f_back
    return False


def _at_exit() -> None:
    # Only of a program that an exception ended does Python keep the type there.
    exit_code = exit_code_of(getattr(sys, "last_type", None)) or EXIT_FAILED
    for holder in list(_holders):
        if holder.in_training:
            holder.close(exit_code)
