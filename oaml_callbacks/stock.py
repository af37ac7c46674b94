"""transformers' own `WandbCallback` stands aside where ours is at work, so that a run has one writer.

`report_to="wandb"` gives every Trainer a `WandbCallback`. A callback cannot see its Trainer, nor take another one out
of it; but every event hands the same `args` object to all callbacks of one Trainer. So: ours *claims* a Trainer by its
`args` (and `control`, where two Trainers share their `args`), and the stock class's methods, wrapped when one of ours
is first at work, do nothing for a Trainer that is claimed. For any other they do what they always did.

Wrapping the methods, rather than replacing the class in transformers' table, reaches the stock callbacks that exist
already.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainingArguments


class Claimant(Protocol):
    """A callback of ours."""

    def begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the run of a training that begins."""


@dataclass(frozen=True)
class _Claim:
    claimant: weakref.ref[Claimant]
    args: weakref.ref[Any]
    control: weakref.ref[Any]
    run_follows: bool

    def is_alive(self) -> bool:
        return self.claimant() is not None and self.args() is not None

    def is_replaced_by(self, claimant: Claimant, args: Any, control: Any) -> bool:
        held = self.control()
        return self.claimant() is claimant and self.args() is args and (held is None or held is control)


_EVENTS = ("on_train_begin", "on_epoch_begin", "on_log", "on_predict", "on_save", "on_train_end")

_claims: list[_Claim] = []
"""One per Trainer that ours is at work in; gone with its callback."""

_waiting: weakref.WeakSet[Claimant] = weakref.WeakSet()
"""Callbacks of ours that have been made but have not met their Trainer yet."""

_last_written: Any = None
"""The `logs` object that stock wrote while one of ours was waiting: ours knows by it not to write that row again."""

_opened: set[str] = set()
"""Ids of runs that stock opened while one of ours was waiting."""


def expect(callback: Claimant) -> None:
    """Announce a callback of ours that is going to claim a Trainer."""
    _wrap_stock_callback()
    _waiting.add(callback)


def forget(callback: Claimant) -> None:
    """Expect nothing more of this callback: it has met its Trainer, which is not tracked."""
    _waiting.discard(callback)
    _claims[:] = [one for one in _claims if one.is_alive() and one.claimant() is not callback]


def claim(callback: Claimant, args: TrainingArguments, control: TrainerControl, *, run_follows: bool) -> None:
    """From now on stock's callback does nothing in the Trainer whose `args` and `control` these are.

    Args:
        callback: Who claims, until it is gone.
        args: The Trainer's arguments.
        control: The Trainer's control object.
        run_follows: Whether a W&B run will be open. Stock then takes itself for set up, and opens none. Whole models,
            optimizer included, it doesn't upload: of `WANDB_LOG_MODEL` ours takes care.
    """
    _wrap_stock_callback()  # a callback that was unpickled has not been constructed in this process
    _waiting.discard(callback)
    _claims[:] = [one for one in _claims if one.is_alive() and not one.is_replaced_by(callback, args, control)]
    _claims.append(_Claim(weakref.ref(callback), weakref.ref(args), weakref.ref(control), run_follows))


def has_written(logs: Any) -> bool:
    """Whether stock has written the row of this very `logs` object."""
    return logs is not None and logs is _last_written


def has_opened(run_id: str) -> bool:
    """Whether stock opened this run in the place of one of ours."""
    return run_id in _opened


def _find_claim(args: Any, control: Any) -> _Claim | None:
    # By identity: both classes compare by value.
    of_these_args = [one for one in _claims if one.args() is args and one.is_alive()]
    for one in of_these_args:
        if one.control() is control:
            return one
    # A control object is replaced when a checkpoint restores it; then the arguments alone decide.
    return next((one for one in of_these_args if one.control() is None), None)


def _wrap_stock_callback() -> None:
    from transformers.integrations.integration_utils import WandbCallback

    if not hasattr(WandbCallback, "_oaml_wrapped"):
        WandbCallback._oaml_wrapped = True  # type: ignore[attr-defined]
        for event in _EVENTS:
            setattr(WandbCallback, event, _standing_aside(event, getattr(WandbCallback, event)))


def _standing_aside(event: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        claim = _find_claim(args, control)
        if claim is not None:
            self._initialized = self._initialized or claim.run_follows
            claimant = claim.claimant()
            if event == "on_train_begin" and claimant is not None:
                # Here already, so that callbacks between stock's and ours find the run open as they used to.
                claimant.begin(args, state, control, **kwargs)
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
