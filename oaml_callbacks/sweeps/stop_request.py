"""What happens when W&B stops the run of a sweep's trial."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

_stop: list[Callable[[], None]] = []


def stop_settings() -> dict[str, Any]:
    """What `wandb.Settings` is to be told, so that a trial that the sweep stops ends as [`on_stop`] says."""
    return {"stop_fn": _stop_trial} if os.environ.get("WANDB_SWEEP_ID") else {}


def on_stop(action: Callable[[], None] | None) -> None:
    """Set what is done, in a thread, when the sweep stops this trial; `None` for what W&B does by itself: Ctrl-C."""
    _stop[:] = [] if action is None else [action]


def _stop_trial() -> None:
    if _stop:
        _stop[0]()
        return
    from wandb.sdk.lib.interrupt import interrupt_main

    interrupt_main()  # type: ignore[no-untyped-call]
