"""Trainer callbacks of the reference run: openadapt-ml's early stop, a last evaluation, a checkpoint on Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from .config_sections import EarlyStopping

logger = logging.getLogger(__name__)


class TrainingInterrupted(KeyboardInterrupt):
    """The training was stopped by Ctrl-C.

    Args:
        step: Optimizer steps done.
        checkpoint: The checkpoint to go on from; `None` when there is none.
    """

    def __init__(self, step: int, checkpoint: Path | None) -> None:
        super().__init__(f"Interrupted at step {step}.")
        self.step = step
        self.checkpoint = checkpoint


class EarlyStopOnLoss(TrainerCallback):
    """openadapt-ml's early stop: ends the training on the logged training loss, by a threshold or on a plateau.

    The rules are those of its 0.17.0 (`training/trl_trainer.py`): each logged loss counts once; the threshold must be
    met `early_stop_patience` times in a row, the plateau must last `early_stop_plateau_patience` times.

    Args:
        rules: Thresholds and patiences; see `EarlyStopping`.
    """

    def __init__(self, rules: EarlyStopping) -> None:
        self.rules = rules
        self.low = 0
        self.flat = 0
        self.best: float | None = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Count this loss, and stop when a rule is met."""
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        rules = self.rules
        self.low = self.low + 1 if loss <= rules.early_stop_loss else 0
        if self.best is None or loss < self.best - rules.early_stop_min_delta:
            self.best, self.flat = loss, 0
        else:
            self.flat += 1
        reason = None
        if rules.early_stop_loss > 0 and self.low >= rules.early_stop_patience:
            reason = f"the loss was at or below {rules.early_stop_loss} for {self.low} logged losses"
        elif rules.early_stop_min_delta > 0 and self.flat >= rules.early_stop_plateau_patience:
            reason = (
                f"the loss did not fall by {rules.early_stop_min_delta} below {self.best:.4g} in {self.flat} losses"
            )
        if reason is not None:
            logger.info("Stopping early at step %d: %s.", state.global_step, reason)
            control.should_training_stop = True


class EvaluateLast(TrainerCallback):
    """Evaluates and saves at the last step too, when `eval_steps` misses it: the last row is the final model's."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """After an early stop, which is decided when the loss is logged."""
        if "loss" in (logs or {}):
            self._finish(args, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """After the last step."""
        self._finish(args, control)

    def _finish(self, args: TrainingArguments, control: TrainerControl) -> None:
        # The strategy "epoch" does it by itself wherever a training stops.
        if control.should_training_stop:
            control.should_evaluate |= args.eval_strategy == IntervalStrategy.STEPS
            control.should_save |= args.save_strategy == SaveStrategy.STEPS


class CheckpointOnInterrupt(TrainerCallback):
    """Turns the first Ctrl-C into a checkpoint at the end of the running step; a second one interrupts at once.

    It acts in the main thread of a single process alone; elsewhere Ctrl-C does what it did before. To be the last of
    the callbacks: what comes after it would miss the checkpoint's `on_save`. Call `release` when the training is over.
    `checkpoint` is the last one that this training saved.

    Raises:
        TrainingInterrupted: In the Trainer, once the checkpoint is written.
    """

    def __init__(self) -> None:
        self.requested = False
        self.checkpoint: Path | None = None
        self._previous: Callable[[int, FrameType | None], Any] | int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Listen: what came before, a baseline for one, is better interrupted at once."""
        if args.world_size == 1 and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask the Trainer for a checkpoint, and for nothing that takes longer."""
        if self.requested:
            control.should_save = True
            control.should_evaluate = False
            args.save_only_model = False  # this one is saved to go on from

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Leave the Trainer, now that the checkpoint is on disk."""
        self.checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if self.requested:
            raise TrainingInterrupted(state.global_step, self.checkpoint)

    def release(self) -> None:
        """Give Ctrl-C back its meaning."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.release()
        # Not print: the signal may have come in the middle of the progress bar's write to this stream.
        os.write(2, b"\nCtrl-C: saving a checkpoint after this step. Press it again to stop at once.\n")
