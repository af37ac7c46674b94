"""What a run folder tells of its run: name, model, LoRA settings, the training's main numbers."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from ..clean_text import one_line
from ..secrets import redacted

if TYPE_CHECKING:
    from transformers import TrainingArguments

_ARGUMENTS = (
    "learning_rate",
    "lr_scheduler_type",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "weight_decay",
    "warmup_steps",
    "bf16",
    "fp16",
    "seed",
    "output_dir",
)


def run_facts(args: TrainingArguments, model: Any, *, name: str | None) -> dict[str, Any]:
    """The facts by their names; those that nobody knows are left out. There are no secrets among them."""
    config = getattr(model, "config", None)
    facts: dict[str, Any] = {
        "name": one_line(name) if name else None,
        "host": socket.gethostname(),
        "model": one_line(str(getattr(config, "_name_or_path", "") or "")) or None,
        "gpu": _gpu(args),
        "load_in_4bit": getattr(model, "is_loaded_in_4bit", None) or None,
        **_lora(model),
        **{argument: _plain(getattr(args, argument, None)) for argument in _ARGUMENTS},
        "samples_per_step": args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
    }
    cleaned: dict[str, Any] = redacted({name: value for name, value in facts.items() if value is not None})
    return cleaned


def _gpu(args: TrainingArguments) -> str | None:
    """What it trains on, `4 x NVIDIA H100`; `None` for a CPU."""
    import torch

    if args.device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(args.device)
    return f"{args.world_size} x {name}" if args.world_size > 1 else name


def _lora(model: Any) -> dict[str, Any]:
    adapters = getattr(model, "peft_config", None)
    if not isinstance(adapters, dict) or not adapters:
        return {}
    adapter = next(iter(adapters.values()))
    names = {"lora_r": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout"}
    return {name: _plain(getattr(adapter, attribute, None)) for name, attribute in names.items()}


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)  # transformers' enumerations
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return value if isinstance(value, (bool, int, float, str)) else None
