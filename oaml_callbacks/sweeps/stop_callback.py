"""[`StopWithSweep`]: a trial that its sweep stops ends in order, with a checkpoint and its adapter."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .guard import STOP
from .in_sweep import LOCAL_TRIAL, trial_folder
from .stop_request import on_stop


class StopWithSweep(TrainerCallback):
    """In a trial of a sweep, ends the training after the running step when the sweep says so.

    Hyperband's stop, and that of W&B's page, come as SIGTERM from W&B's agent, or by W&B's SDK as Ctrl-C; that of a
    search without a server as a signal of its own. All mean that the trial is over, and not that it failed: one that
    failed counts as the worst there is, and one that was preempted is begun again. So the training ends as if it were
    done: with a checkpoint, without a last evaluation.

    It acts in the main thread of a single process alone, and in no other training than a trial. To be the last of the
    callbacks, since others ask for an evaluation at the end. Call `release` when the training is over.
    """

    def __init__(self) -> None:
        self.requested = False
        self._signal = signal.SIGTERM
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Listen."""
        if args.world_size != 1 or threading.current_thread() is not threading.main_thread():
            return
        if trial_folder():
            on_stop(self._request)
        elif os.environ.get(LOCAL_TRIAL):
            self._signal = STOP
        else:
            return
        self._previous = signal.signal(self._signal, self._handle)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the training."""
        if self.requested:
            control.should_training_stop = control.should_save = True
            control.should_evaluate = False

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """A step that is logged may have been taken for the last one, to be evaluated."""
        if self.requested:
            control.should_evaluate = False

    def release(self) -> None:
        """Give the signal back its meaning."""
        if self._previous is not None:
            on_stop(None)
            signal.signal(self._signal, self._previous)
            self._previous = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._request()

    def _request(self) -> None:
        if not self.requested:
            self.requested = True
            # Not print: the signal may have come in the middle of the progress bar's write to this stream.
            os.write(2, b"\nThe sweep stops this trial: it ends after this step, with a checkpoint.\n")
