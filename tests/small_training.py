"""A real training of two numbers, for tests that need many: a second each, W&B included."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.grounding.metrics import GroundingReport

from .graded import Told, evaluation
from .same_run import EVERY, SAVES, STEPS

SAMPLES = 6


class Line(torch.nn.Module):
    """Two numbers to learn, and how many steps they were learnt for."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))
        self.offset = torch.nn.Parameter(torch.zeros(1))
        self.steps: torch.Tensor
        self.register_buffer("steps", torch.zeros(1))

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """As a model under LoRA has it: this one's numbers are its adapter."""
        yield

    def generate(self) -> None:
        """Never called: `Improving` doesn't ask."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.training:
            self.steps.add_(1)
        guessed = x * self.slope + self.offset
        return {"loss": ((guessed - labels) ** 2).mean(), "logits": guessed}


class Improving(Told):
    """Clicks better with every step that the model was trained, until step 12, and then worse again."""

    def __init__(self) -> None:
        looks_able = SimpleNamespace(image_processor=None, chat_template="")  # nothing is asked of it
        super().__init__(evaluation(SAMPLES), processor=looks_able)

    def evaluate(self, model: Any, processor: Any = None) -> GroundingReport:
        steps = int(model.steps.item())
        return evaluation(SAMPLES, wrong=range(max(0, SAMPLES - steps // SAVES) if steps <= 12 else 5))


class Ends(TrainerCallback):
    """Sends a signal to its own process at a step, after a while in which rows can go their way."""

    def __init__(self, at: int, signum: int, pause: float) -> None:
        self.at, self.signum, self.pause = at, signum, pause

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.at:
            time.sleep(self.pause)
            os.kill(os.getpid(), self.signum)


class Waits(TrainerCallback):
    """Waits at a step until a file is there."""

    def __init__(self, at: int, file: Path) -> None:
        self.at, self.file = at, file

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.at:
            self.file.with_suffix(".reached").touch()
            while not self.file.exists():
                time.sleep(0.02)


def rows(count: int) -> list[dict[str, torch.Tensor]]:
    """Points near a line."""
    made = torch.Generator().manual_seed(0)
    x = torch.randn(count, generator=made)
    noise = torch.randn(count, generator=made)
    return [{"x": x[i], "labels": 3 * x[i] + 1 + 0.1 * noise[i]} for i in range(count)]


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    """Twelve log events and four checkpoints in 16 steps, unless `options` say otherwise."""
    defaults: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "max_steps": STEPS,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 4,
        "logging_steps": EVERY,
        "eval_strategy": "steps",
        "eval_steps": SAVES,
        "save_strategy": "steps",
        "save_steps": SAVES,
        "learning_rate": 0.1,
        "report_to": "wandb",
        "remove_unused_columns": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 0,
    }
    return TrainingArguments(**{**defaults, **options})


def trainer(folder: Path, callbacks: list[Any], **options: Any) -> Trainer:
    """The Trainer of that training."""
    torch.manual_seed(0)
    data: Any = rows(32)
    return Trainer(
        model=Line(), args=arguments(folder, **options), train_dataset=data, eval_dataset=data[:8], callbacks=callbacks
    )


def callback(**options: Any) -> OpenAdaptWandbCallback:
    """Ours, with an evaluation that takes no time."""
    return OpenAdaptWandbCallback(
        **{"grounding": Improving(), "finish_timeout": 20.0, "start_timeout": 10.0, **options}
    )


def train(
    *,
    folder: str,
    resume: bool | str = False,
    ends_at: int | None = None,
    signum: int = signal.SIGKILL,
    pause: float = 0.0,
    waits_at: int | None = None,
    options: Mapping[str, Any] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Train, or go on.

    Args:
        folder: The output folder is in it.
        resume: From the last checkpoint, or from the one of this name.
        ends_at: The step at which the process is sent `signum`, after `pause` seconds.
        waits_at: The step at which it waits until there is a file `go` in the folder.
        options: For `TrainingArguments`.
        **given: For our callback.
    """
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    place = Path(folder)
    ours = callback(**given)
    others: list[Any] = [ours]
    if ends_at is not None:
        others.append(Ends(ends_at, signum, pause))
    if waits_at is not None:
        others.append(Waits(waits_at, place / "go"))
    made = trainer(place, others, **(options or {}))
    made.train(resume_from_checkpoint=str(place / "out" / resume) if isinstance(resume, str) else resume)
    ours.close()
    return {
        "run_id": ours.run_id,
        "folder": str(ours.run_folder),
        "sync_command": ours.sync_command,
        "history": made.state.log_history,
        "steps": made.state.global_step,
    }
