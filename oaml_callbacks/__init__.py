"""See in Weights & Biases how well a vision-language model clicks, while it is fine-tuned."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .callback import OpenAdaptWandbCallback
    from .grounding import GroundingEvaluator, GroundingSample, read_samples, read_sft_samples
    from .wandb_logger import WandbLogger

__version__ = "0.1.0"

__all__ = [
    "GroundingEvaluator",
    "GroundingSample",
    "OpenAdaptWandbCallback",
    "WandbLogger",
    "read_samples",
    "read_sft_samples",
]

_HOMES = {
    "GroundingEvaluator": "grounding",
    "GroundingSample": "grounding",
    "OpenAdaptWandbCallback": "callback",
    "WandbLogger": "wandb_logger",
    "read_samples": "grounding",
    "read_sft_samples": "grounding",
}


def __getattr__(name: str) -> Any:
    # On demand, so that importing this package costs nothing and needs neither transformers nor wandb.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
