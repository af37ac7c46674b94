"""A real training of two numbers, for tests that need many: a second each, W&B included."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import wandb
from transformers import Trainer, TrainerCallback, TrainingArguments

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.grounding.metrics import GroundingReport
from oaml_callbacks.testing import read_runs

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


class LogsToo(TrainerCallback):
    """Logs a row of its own at each step, straight to W&B."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        wandb.log({"mine": state.global_step})


class Paced(TrainerCallback):
    """Takes its time with each step, and notes when each row was logged. To be listed behind our callback."""

    def __init__(self, pace: float, notes: Path) -> None:
        self.pace, self.notes = pace, notes

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        time.sleep(self.pace)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        with self.notes.open("ab", buffering=0) as notes:
            notes.write(f"{time.time()}\n".encode())


class Fills(TrainerCallback):
    """Fills a disk at a step."""

    def __init__(self, at: int, disk: Path) -> None:
        self.at, self.disk = at, disk

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.at:
            fill(self.disk)
            time.sleep(2)  # until what is on its way should be written


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        for size in (2**16, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


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
    exits: bool = False,
    logs_too: bool = False,
    pace: float | None = None,
    fills_at: int | None = None,
    options: Mapping[str, Any] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Train, or go on.

    Args:
        folder: The output folder is in it.
        resume: From the last checkpoint, or from the one of this name.
        ends_at: The step at which the process is sent `signum`, after `pause` seconds.
        waits_at: The step at which it waits until there is a file `go` in the folder.
        exits: The script's own handler of SIGTERM ends the process with exit status 9.
        logs_too: The script logs a row of its own at each step.
        pace: Seconds that each step takes at least; when rows were logged is in the file `logged` then.
        fills_at: The step at which the disk of `WANDB_DIR` is filled.
        options: For `TrainingArguments`.
        **given: For our callback.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if exits:
        signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(9))
    place = Path(folder)
    ours = callback(**given)
    others: list[Any] = [ours]
    if logs_too:
        others.append(LogsToo())
    if ends_at is not None:
        others.append(Ends(ends_at, signum, pause))
    if waits_at is not None:
        others.append(Waits(waits_at, place / "go"))
    if pace is not None:
        others.append(Paced(pace, place / "logged"))
    if fills_at is not None:
        others.append(Fills(fills_at, Path(os.environ["WANDB_DIR"])))
    made = trainer(place, others, **(options or {}))
    made.train(resume_from_checkpoint=str(place / "out" / resume) if isinstance(resume, str) else resume)
    logging.getLogger(__name__).info("trained")
    ours.close()
    logging.getLogger(__name__).info("closed")
    return {
        "run_id": ours.run_id,
        "folder": str(ours.run_folder),
        "sync_command": ours.sync_command,
        "history": made.state.log_history,
        "steps": made.state.global_step,
    }


def train_on_a_small_disk(*, folder: str, megabytes: float, full: bool = False, **given: Any) -> dict[str, Any]:
    """What `train` returns, with W&B's files on a disk of that size; and `read`, the rows that are there at the end.

    Args:
        folder: As for `train`.
        megabytes: The disk's size.
        full: Fill it at once.
        **given: For `train`.
    """
    disk = Path(folder) / "disk"
    disk.mkdir()
    _mount(disk, megabytes)
    os.environ["WANDB_DIR"] = str(disk)
    if full:
        fill(disk)
    result = train(folder=folder, **given)
    read = [row for run in read_runs(disk) for row in run.history] if list(disk.glob("wandb/*run-*/*.wandb")) else []
    graded = {path.name: path.read_text(encoding="utf-8") for path in disk.glob("wandb/*run-*/grounding/rows/*")}
    return {**result, "read": read, "graded": graded}


def _mount(place: Path, megabytes: float) -> None:
    """Mount a file system in memory, for this process and its children alone. It must have no threads.

    Raises:
        OSError: The system doesn't let it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(0x10000000 | 0x00020000):  # a user namespace, where we are root, and one of mounts
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, f"size={int(megabytes * 1024)}k".encode()):
        raise OSError(ctypes.get_errno(), "mount")
