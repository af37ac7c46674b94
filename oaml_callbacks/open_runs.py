"""Which runs callbacks have opened in this process, and how the trainings in them end.

A run outlives its training, since `trainer.evaluate()` and `trainer.predict()` may follow, and no event tells a
callback that its Trainer is done with, or that its training died. So runs are finished when room is needed for another
one, and when the process ends; and `Trainer.train` is wrapped, to learn of the Trainer and of the exception that
passes through it.
"""

from __future__ import annotations

import atexit
import functools
import logging
import sys
from typing import Any, Protocol, TypeVar, runtime_checkable

from .clean_text import error_text

logger = logging.getLogger(__name__)
T = TypeVar("T")


@runtime_checkable
class RunHolder(Protocol):
    """Who has a run open."""

    in_training: bool
    """Whether a training has begun and neither come to its end nor died."""

    def on_training(self, trainer: Any) -> None:
        """Take note of the Trainer whose `train` is called: no event has it, and it has the evaluation sets."""

    def on_training_error(self, error_type: type[BaseException]) -> None:
        """Take note that the training died of such an exception, Ctrl-C's among them."""

    def close(self, exit_code: int | None = None) -> None:
        """Finish the run; by default as its last training ended."""


_holders: list[RunHolder] = []

_in_train: list[RunHolder] = []
"""Those of the Trainer whose `train` was called last."""


def add(holder: RunHolder) -> None:
    """Note that `holder` has opened a run."""
    if holder not in _holders:
        _holders.append(holder)
    # Again each time: the newest hook runs first, and has to come before the one that wandb registers for the run.
    atexit.unregister(_close_all)
    atexit.register(_close_all)


def remove(holder: RunHolder) -> None:
    """Note that `holder` has finished its run."""
    if holder in _holders:
        _holders.remove(holder)


def in_training(kind: type[T]) -> T | None:
    """The callback of this class in the Trainer whose `train` is running."""
    return next((holder for holder in _in_train if type(holder) is kind), None)


def make_room() -> bool:
    """Finish the runs in which no training is going on.

    Returns:
        Whether one is going on, so that the new run has to be opened beside its run.
    """
    for holder in list(_holders):
        if not holder.in_training:
            holder.close()
    return bool(_holders)


def watch_trainings() -> None:
    """Wrap `Trainer.train`, once, if transformers' Trainer has been imported: a Trainer exists only then."""
    module = sys.modules.get("transformers.trainer")
    if module is not None and not hasattr(module.Trainer.train, "_oaml_wrapped"):
        module.Trainer.train = _watched(module.Trainer.train)


def _watched(train: Any) -> Any:
    @functools.wraps(train)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        ours = [callback for callback in self.callback_handler.callbacks if isinstance(callback, RunHolder)]
        for callback in ours:
            callback.on_training(self)
        before = list(_in_train)
        _in_train[:] = ours
        try:
            return train(self, *args, **kwargs)
        except BaseException as error:
            for callback in ours:
                callback.on_training_error(type(error))
            raise
        finally:
            _in_train[:] = before

    wrapper._oaml_wrapped = True  # type: ignore[attr-defined]
    return wrapper


def _close_all() -> None:
    for holder in list(_holders):
        try:
            holder.close()
        except Exception as error:  # noqa: BLE001 - the process ends, and the other runs must be finished too
            logger.error("A run was not finished: %s", error_text(error))
