"""What a Trainer's arguments and logs say: whether it is tracked, and which logs are an evaluation's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import keys

if TYPE_CHECKING:
    from transformers import TrainingArguments

Tracking = Literal["on", "off", "silenced"]
_TRUE = {"1", "ON", "YES", "TRUE"}  # what transformers takes for true in WANDB_DISABLED


def tracking(args: TrainingArguments) -> Tracking:
    """Whether a Trainer with these arguments is tracked.

    Returns:
        `"on"` where `report_to` has `wandb`. `"off"` where it has not, or with `WANDB_MODE=disabled`, which wandb
        obeys by itself. `"silenced"` with `WANDB_DISABLED`, which transformers 5 no longer knows.
    """
    if "wandb" not in (args.report_to or []) or os.environ.get("WANDB_MODE") == "disabled":
        return "off"
    return "silenced" if os.environ.get("WANDB_DISABLED", "").upper() in _TRUE else "on"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation between its log event and its evaluate event."""

    prefix: str
    grounding: dict[str, float]
    logged: frozenset[str]


def chosen_by_grounding(args: TrainingArguments) -> bool:
    """Whether the best checkpoint is chosen by a grounding metric, which must not depend on whether somebody looks."""
    return "grounding_" in (args.metric_for_best_model or "")


def chooses_the_farthest(args: TrainingArguments) -> bool:
    """Whether the best checkpoint is the one with the largest distance, which is transformers' default for it."""
    return keys.GROUNDING_DISTANCE in (args.metric_for_best_model or "") and bool(args.greater_is_better)


def evaluation_prefix(logs: Mapping[str, Any]) -> str | None:
    """`eval`, `eval_web` or another `metric_key_prefix` if these are an evaluation's metrics; `None` otherwise.

    Every `Trainer.evaluate` adds how fast it was: `<prefix>_runtime` and `<prefix>_samples_per_second`.
    """
    for name in logs:
        if not name.endswith("_runtime"):
            continue
        prefix = name.removesuffix("_runtime")
        if prefix != "train" and f"{prefix}_samples_per_second" in logs:
            return prefix
    return None
