"""Which adapters a run logs: the callback's options, and `WANDB_LOG_MODEL`, understood the same way."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Literal, get_args

from .registry import RegistryTarget

logger = logging.getLogger(__name__)

LogWhen = Literal["best", "checkpoint", "end"]

VARIABLE = "WANDB_LOG_MODEL"
"""transformers' own switch. There it uploads whole checkpoints; ours logs the adapter alone."""

_NOTHING = ("", "false", "0", "no", "none")
_END = ("true", "1", "yes")  # transformers' older values for `end`


@dataclass(frozen=True)
class AdapterOptions:
    """Which of a training's adapters are logged to W&B, and what stays of them there.

    Args:
        when: `checkpoint`: that of every checkpoint. `best`: that of the best evaluation so far. `end`: that of the
            training's end. `None`: none.
        keep_last: Versions that stay on W&B's server, beside those with an alias or a link.
        registry: The registry's collection that the best version is linked to at the end.
        registry_threshold: The best accuracy has to be above this for that, 0-1.

    Raises:
        ValueError: A value that can't be one; `RegistryError` is for the registry.
    """

    when: LogWhen | None = None
    keep_last: int = 3
    registry: str | None = None
    registry_threshold: float | None = None

    def __post_init__(self) -> None:
        if self.when is not None and self.when not in get_args(LogWhen):
            raise ValueError(f'log_adapter must be "best", "checkpoint", "end" or None, found {self.when!r}.')
        if self.keep_last < 1:
            raise ValueError(f"keep_last must be at least 1, found {self.keep_last}.")
        if self.registry_threshold is not None and not 0 <= self.registry_threshold <= 1:
            raise ValueError(f"registry_threshold is an accuracy, 0-1, found {self.registry_threshold}.")
        if self.registry is not None:
            RegistryTarget.read(self.registry)
            if self.when is None:
                raise ValueError('registry links the best adapter that was logged: set log_adapter="best" too.')
        elif self.registry_threshold is not None:
            raise ValueError("registry_threshold decides what is linked to a registry: set registry too.")


def adapter_options(
    log_adapter: LogWhen | None = None,
    keep_last: int = 3,
    registry: str | None = None,
    registry_threshold: float | None = None,
) -> AdapterOptions:
    """The options as given; where `log_adapter` isn't, `WANDB_LOG_MODEL` says it.

    Raises:
        ValueError: As [`AdapterOptions`].
    """
    return AdapterOptions(log_adapter or _from_environment(), keep_last, registry, registry_threshold)


def _from_environment() -> LogWhen | None:
    given = os.environ.get(VARIABLE, "")
    value = given.strip().lower()
    if value in _NOTHING:
        return None
    if value in _END:
        return "end"
    for when in get_args(LogWhen):
        if value == when:
            return when  # type: ignore[no-any-return]
    logger.warning(
        "%s=%s is not understood, and no adapter is logged. Expected best, checkpoint, end or false.",
        VARIABLE,
        given[:50],
    )
    return None
