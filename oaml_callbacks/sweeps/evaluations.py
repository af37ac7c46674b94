"""How often a training will evaluate, as far as its configuration alone says so."""

from __future__ import annotations

import math

from ..config import RunConfig
from ..train_setup import DEFAULTS


def has_evaluation_set(config: RunConfig) -> bool:
    """Whether there is anything to evaluate on."""
    if config.data.eval is not None:
        return True
    return config.data.train is None and config.demo_data is not None and config.demo_data.eval_samples > 0


def evaluation_strategy(config: RunConfig) -> str:
    """`steps`, `epoch` or `no`: what the reference run completes `training:` to."""
    given = config.training
    saves = given.get("save_strategy", "steps" if "save_steps" in given else "epoch")
    followed = saves if saves in ("steps", "epoch") else "epoch"
    return str(given.get("eval_strategy", "steps" if "eval_steps" in given else followed))


def evaluations(config: RunConfig) -> int | None:
    """Evaluations of one training; `None` where that depends on the data's size. Early stops aside."""
    if not has_evaluation_set(config) or (strategy := evaluation_strategy(config)) == "no":
        return 0
    given = config.training
    max_steps = int(given.get("max_steps", -1))
    if strategy == "epoch":
        epochs = float(given.get("num_train_epochs", DEFAULTS["num_train_epochs"]))
        return None if max_steps > 0 else math.ceil(epochs)
    every: float = given.get(
        "eval_steps", given.get("save_steps", given.get("logging_steps", DEFAULTS["logging_steps"]))
    )
    if 0 < every < 1:  # a share of all steps
        return math.ceil(1 / every)
    return math.ceil(max_steps / every) if max_steps > 0 and every else None
