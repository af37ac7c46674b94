"""transformers' own `WandbCallback` stands aside where ours is at work, so that a run has one writer.

`report_to="wandb"` gives every Trainer a `WandbCallback`. A callback cannot see its Trainer, nor take another one out
of it; but every event hands the same `args` object to all callbacks of one Trainer. So: ours *claims* a Trainer by its
`args` (and `control`, where two Trainers share their `args`), and the stock class's methods, wrapped when the first of
ours is constructed, do nothing for a Trainer that is claimed. For any other they do what they always did.

Wrapping the methods, rather than replacing the class in transformers' table, reaches the stock callbacks that exist
already.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainerControl, TrainingArguments

_claims: list[tuple[weakref.ref[Any], weakref.ref[Any], bool]] = []
"""`(args, control, stock may think itself initialised)` of each claimed Trainer."""

_waiting: weakref.WeakSet[TrainerCallback] = weakref.WeakSet()
"""Callbacks of ours that have been made but have not met their Trainer yet."""

_last_written: Any = None
"""The `logs` object that stock wrote while one of ours was waiting: ours knows by it not to write that row again."""

_opened: set[str] = set()
"""Ids of runs that stock opened while one of ours was waiting."""


def expect(callback: TrainerCallback) -> None:
    """Announce a callback of ours that is going to claim a Trainer."""
    _wrap_stock_callback()
    _waiting.add(callback)


def forget(callback: TrainerCallback) -> None:
    """Expect nothing more of this callback: it has met its Trainer, which is not tracked."""
    _waiting.discard(callback)


def claim(callback: TrainerCallback, args: TrainingArguments, control: TrainerControl, *, run_follows: bool) -> None:
    """From now on stock's callback does nothing in the Trainer whose `args` and `control` these are.

    Args:
        callback: Who claims.
        args: The Trainer's arguments.
        control: The Trainer's control object.
        run_follows: Whether a W&B run will be open: then stock still uploads models if `WANDB_LOG_MODEL` says so.
    """
    _waiting.discard(callback)
    for held_args, held_control, _ in _claims:
        if held_args() is args and held_control() is control:
            return
    _claims[:] = [one for one in _claims if one[0]() is not None]
    _claims.append((weakref.ref(args), weakref.ref(control), run_follows))


def has_written(logs: Any) -> bool:
    """Whether stock has written the row of this very `logs` object."""
    return logs is not None and logs is _last_written


def has_opened(run_id: str) -> bool:
    """Whether stock opened this run in the place of one of ours."""
    return run_id in _opened


def _claimed(args: Any, control: Any) -> bool | None:
    for held_args, held_control, run_follows in _claims:
        # A control object is replaced when a checkpoint restores it; then the arguments alone decide. By identity:
        # both classes compare by value.
        if held_args() is args and ((held := held_control()) is None or held is control):
            return run_follows
    return None


def _wrap_stock_callback() -> None:
    from transformers.integrations.integration_utils import WandbCallback

    if not hasattr(WandbCallback, "_oaml_wrapped"):
        WandbCallback._oaml_wrapped = True  # type: ignore[attr-defined]
        for event in ("on_train_begin", "on_epoch_begin", "on_log", "on_predict"):
            setattr(WandbCallback, event, _standing_aside(event, getattr(WandbCallback, event)))


def _standing_aside(event: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        run_follows = _claimed(args, control)
        if run_follows is not None:
            self._initialized = self._initialized or run_follows
            return None
        if event == "on_train_begin" and _waiting:
            # One of ours may have been added to this Trainer after stock's, and should be the one who opens the run.
            # If it was not, stock opens it at the epoch's beginning.
            self._oaml_postponed = method
            return None
        if postponed := self.__dict__.pop("_oaml_postponed", None):
            postponed(self, args, state, control, **{k: v for k, v in kwargs.items() if k not in ("logs", "metrics")})
        if event == "on_log" and _waiting:
            return _write_for_waiting(method, self, args, state, control, **kwargs)
        return method(self, args, state, control, **kwargs)

    return wrapper


def _write_for_waiting(method: Callable[..., Any], stock: Any, *event: Any, **kwargs: Any) -> Any:
    global _last_written  # noqa: PLW0603 - one row at a time, and the newest is the one that is asked for
    import wandb

    before = wandb.run
    result = method(stock, *event, **kwargs)
    _last_written = kwargs["logs"]
    if before is None and wandb.run is not None:
        _opened.add(wandb.run.id)
    return result
