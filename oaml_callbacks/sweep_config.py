"""A run's config where a sweep has set some of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .values import plain

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)


def update_config(run: wandb.Run, new: dict[str, Any]) -> None:
    """Add to a run's config. What a sweep has set stays, and a difference is warned of."""
    config = run.config
    before = {key: config[key] for key in new if key in config} if run.sweep_id else {}
    try:
        config.update(new, allow_val_change=True)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):  # an object that is no JSON, text that is no UTF-8
        config.update(plain(new), allow_val_change=True)  # type: ignore[no-untyped-call]
    # wandb itself lets nothing overwrite what a sweep has set.
    kept = sorted(key for key, value in before.items() if _differ(value, new[key]) and config[key] == value)
    if kept:
        logger.warning(
            "The sweep set %s, but the training runs with %s. The run's config says what the sweep set.",
            ", ".join(f"{key}={before[key]!r}" for key in kept),
            ", ".join(f"{key}={new[key]!r}" for key in kept),
        )


def _differ(one: Any, other: Any) -> bool:
    scalars = (bool, int, float, str)
    return isinstance(one, scalars) and isinstance(other, scalars) and one != other
