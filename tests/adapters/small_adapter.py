"""A training of one LoRA matrix, real but for what it learns: a second each, for tests of what is logged of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PretrainedConfig, Trainer, TrainingArguments

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.grounding.metrics import GroundingReport

from ..graded import Told, evaluation
from ..loopback import Loopback, loopback
from ..same_run import variables
from ..small_training import rows

SAMPLES = 6


class Base(torch.nn.Module):
    """The model under the adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(1, 1)
        self.config = PretrainedConfig()

    def generate(self) -> None:
        """Never called: `Scripted` doesn't ask."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        guessed = self.line(x.reshape(-1, 1)).reshape(-1)
        return {"loss": ((guessed - labels) ** 2).mean(), "logits": guessed}


def model() -> Any:
    """One matrix under a LoRA adapter; always the same weights."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    made = get_peft_model(Base(), LoraConfig(r=2, lora_alpha=4, target_modules=["line"]))
    made.peft_config["default"].auto_mapping = None  # this module's name, which nobody would import to load it
    return made


class Scripted(Told):
    """Clicks as well as it is told to: after `step` steps `right[step]` of six samples are hit."""

    def __init__(self, right: dict[int, int]) -> None:
        super().__init__(evaluation(SAMPLES), processor=SimpleNamespace(image_processor=None, chat_template=""))
        self.right = right
        self.steps = 0

    def evaluate(self, model: Any, processor: Any = None) -> GroundingReport:
        right = self.right.get(self.steps, 0)
        return evaluation(SAMPLES, wrong=range(SAMPLES - right))


class Counts(OpenAdaptWandbCallback):
    """Ours; it lets its evaluator know how far the training is."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.grounding.steps = state.global_step  # type: ignore[union-attr]
        super().on_log(args, state, control, **kwargs)


def callback(right: dict[int, int] | None = None, **options: Any) -> OpenAdaptWandbCallback:
    """Ours, with an evaluation that takes no time."""
    return Counts(
        **{"grounding": Scripted(right or {}), "max_rows": 0, "finish_timeout": 20.0, "start_timeout": 30.0, **options}
    )


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    """Eight steps, evaluated and saved after every second, unless `options` say otherwise."""
    defaults: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "max_steps": 8,
        "per_device_train_batch_size": 2,
        "logging_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "learning_rate": 0.1,
        "report_to": "wandb",
        "remove_unused_columns": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 0,
    }
    return TrainingArguments(**{**defaults, **options})


def trainer(folder: Path, callbacks: Sequence[Any], *, of: Any = None, **options: Any) -> Trainer:
    """The Trainer of that training."""
    data: Any = rows(32)
    return Trainer(
        model=of if of is not None else model(),
        args=arguments(folder, **options),
        train_dataset=data,
        eval_dataset=data[:8],
        callbacks=list(callbacks),
    )


def weights(file: Path | bytes) -> dict[str, Any]:
    """An adapter's tensors."""
    from safetensors.torch import load

    return load(file if isinstance(file, bytes) else file.read_bytes())


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether they are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def online(folder: Path, **more: str) -> Iterator[Loopback]:
    """A server that this process's runs are sent to; their folders are in `folder`."""
    import wandb

    wandb.teardown()
    with pytest.MonkeyPatch.context() as patch, loopback() as started:
        for name in [name for name in os.environ if name.startswith(("WANDB_", "OAML_"))]:
            patch.delenv(name)
        patch.chdir(folder)
        for name, value in {**variables(started), "WANDB_DATA_DIR": "data", "OAML_RUNS_DIR": "runs", **more}.items():
            patch.setenv(name, value)
        yield started
        started.mend()
        wandb.teardown()
