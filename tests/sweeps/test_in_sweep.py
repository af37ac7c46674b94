"""A training that is a trial of a sweep: its own folders, its end when the sweep stops it, and going on with it."""

from __future__ import annotations

import os
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from oaml_callbacks.cli_train import _resume_command
from oaml_callbacks.config import ConfigError, RunConfig, load_config
from oaml_callbacks.sweeps.guard import STOP
from oaml_callbacks.sweeps.in_sweep import LOCAL_TRIAL, as_trial, trial_folder
from oaml_callbacks.sweeps.stop_callback import StopWithSweep
from oaml_callbacks.sweeps.stop_request import stop_settings
from oaml_callbacks.train_callbacks import EvaluateLast


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    monkeypatch.setenv("WANDB_RUN_ID", "run-1")


def config(folder: Path, text: str = "") -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(f"model: {{name: any}}\n{text}\n")
    return load_config(path)


def test_a_trial_has_a_folder_of_its_own(trial: None, tmp_path: Path) -> None:
    assert as_trial(config(tmp_path)).training["output_dir"] == "training_output/abc/run-1"
    given = config(tmp_path, "training: {output_dir: out, max_steps: 3}\nlora: {r: 4, weights_path: best}")
    changed = as_trial(given)
    assert changed.training == {"output_dir": "out/abc/run-1", "max_steps": 3}
    assert (changed.lora.weights_path, changed.lora.r) == ("best/abc/run-1", 4)
    assert changed.input_path("rows.jsonl") == tmp_path / "rows.jsonl"
    assert given.training["output_dir"] == "out"


def test_any_other_training_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "run-1")  # a user's own, outside a sweep
    given = config(tmp_path)
    assert as_trial(given) is given
    assert stop_settings() == {}


@pytest.mark.parametrize("name", ["../x", "a/b", "", " ", "x" * 200, "-rf"])
def test_a_name_that_leads_elsewhere_makes_no_folder(trial: None, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", name)
    if not name:
        assert trial_folder() is None
        return
    with pytest.raises(ConfigError, match="WANDB_RUN_ID="):
        trial_folder()


def test_a_trial_that_was_interrupted_is_gone_on_with_in_its_own_place(
    trial: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "my clicks")
    monkeypatch.setenv("WANDB_ENTITY", "a-team")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    words = shlex.split(_resume_command(["train", "run.yaml", "--wandb", "lora.r=4"]))
    assert words[:4] == [
        "WANDB_ENTITY=a-team", "WANDB_PROJECT=my clicks", "WANDB_SWEEP_ID=abc", "WANDB_RUN_ID=run-1"
    ]  # fmt: skip
    assert words[5:] == ["train", "run.yaml", "--wandb", "lora.r=4", "--resume"]


class Stops(TrainerCallback):
    """Does something at step 2, as W&B's agent or its SDK does it."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1:
            self.action()


class Counts(TrainerCallback):
    evaluated = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluated += 1


class Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": ((x * self.slope - labels) ** 2).mean(), "logits": x}


@pytest.fixture
def sigterm() -> Iterator[list[int]]:
    """SIGTERM is noted, and kills nothing."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGTERM, before)


def trained(folder: Path, action: Any) -> tuple[Trainer, Counts]:
    stops, counts = StopWithSweep(), Counts()
    rows = [{"x": torch.ones(1), "labels": torch.ones(1)}] * 8
    args = TrainingArguments(
        str(folder), max_steps=6, save_strategy="steps", save_steps=6, eval_strategy="steps", eval_steps=3,
        logging_steps=1, report_to=[], per_device_train_batch_size=1, use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(
        Line(), args, train_dataset=rows, eval_dataset=rows,
        callbacks=[Stops(action), counts, EvaluateLast(), stops],
    )  # fmt: skip
    trainer.train()
    stops.release()
    return trainer, counts


def test_a_trial_that_its_agent_stops_ends_with_a_checkpoint_and_no_evaluation(
    trial: None, tmp_path: Path, sigterm: list[int]
) -> None:
    trainer, counts = trained(tmp_path, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert trainer.state.global_step == 2
    assert (tmp_path / "checkpoint-2" / "trainer_state.json").is_file()
    assert (counts.evaluated, sigterm) == (0, [])
    os.kill(os.getpid(), signal.SIGTERM)
    assert sigterm == [signal.SIGTERM]  # it means again what it meant before


def test_a_trial_that_wandbs_sdk_stops_ends_the_same_way(trial: None, tmp_path: Path, sigterm: list[int]) -> None:
    def stopped_by_the_sdk() -> None:
        thread = threading.Thread(target=stop_settings()["stop_fn"])  # which calls it in a thread of its own
        thread.start()
        thread.join()

    trainer, _ = trained(tmp_path, stopped_by_the_sdk)
    assert trainer.state.global_step == 2
    assert (tmp_path / "checkpoint-2").is_dir()


def test_a_trial_that_a_local_search_stops_ends_the_same_way(
    tmp_path: Path, sigterm: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOCAL_TRIAL, "1")
    before = signal.getsignal(STOP)
    trainer, counts = trained(tmp_path, lambda: os.kill(os.getpid(), STOP))
    assert (trainer.state.global_step, counts.evaluated) == (2, 0)
    assert (tmp_path / "checkpoint-2").is_dir()
    assert signal.getsignal(STOP) == before
    trainer, _ = trained(tmp_path / "other", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (trainer.state.global_step, sigterm) == (6, [signal.SIGTERM])  # the machine's, not the search's


def test_sigterm_is_left_alone_outside_a_sweep(tmp_path: Path, sigterm: list[int]) -> None:
    trainer, counts = trained(tmp_path, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (trainer.state.global_step, counts.evaluated, sigterm) == (6, 2, [signal.SIGTERM])


def test_before_the_training_wandbs_stop_is_ctrl_c(trial: None) -> None:
    def stopped() -> None:
        stop_settings()["stop_fn"]()
        time.sleep(30)

    # A shell's background process, as the tests may be, ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            stopped()
    finally:
        signal.signal(signal.SIGINT, before)
