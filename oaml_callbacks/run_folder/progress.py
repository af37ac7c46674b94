"""[`Progress`]: where a run stands, in a file that is written anew every few seconds: its sign of life."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from . import layout
from .files import as_line, replace_file

if TYPE_CHECKING:
    from transformers import TrainerState

State = Literal["training", "evaluating", "ended"]

WAIT_SECONDS = 0.3
"""How long one writer waits for another. A signal may have come to the thread that is writing, which then goes on only
when what the signal called is done."""


class Progress:
    """Where one run stands.

    Args:
        folder: The run folder.
        state: The Trainer's, which counts the steps.
    """

    def __init__(self, folder: Path, state: TrainerState) -> None:
        self.state = state
        self.standing: State | None = None
        """`None` before a training has begun: of evaluations alone nothing is to be said."""
        self._path = folder / layout.PROGRESS
        self._lock = Lock()
        self._outcome: str | None = None
        self._ended_at: float | None = None
        self._begun_at, self._begun_step = time.time(), state.global_step

    def begin(self, state: TrainerState) -> None:
        """Note that a training begins, or goes on."""
        self.state, self.standing, self._outcome, self._ended_at = state, "training", None, None
        self._begun_at, self._begun_step = time.time(), state.global_step

    def evaluates(self, evaluating: bool) -> None:
        """Note whether the training is evaluating now."""
        if self.standing in ("training", "evaluating"):
            self.standing = "evaluating" if evaluating else "training"

    def end(self, outcome: str) -> None:
        """Note how it ended."""
        self.standing, self._outcome, self._ended_at = "ended", outcome, time.time()

    def write(self) -> None:
        """Write it, unless another thread is at it.

        Raises:
            OSError: It can't be written.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            return
        try:
            state, now = self.state, time.time()
            if state.global_step == self._begun_step and self.standing != "ended":
                self._begun_at = now  # the base model's evaluation says nothing of how fast steps are
            progress = {
                "state": self.standing,
                "outcome": self._outcome,
                "step": state.global_step,
                "max_steps": state.max_steps,
                "epoch": state.epoch,
                "num_epochs": state.num_train_epochs,
                "ended_at": self._ended_at,
                "begun_at": round(self._begun_at, 3),
                "begun_step": self._begun_step,
                "at": round(now, 3),
            }
            replace_file(self._path, as_line(progress))
        finally:
            self._lock.release()
