"""docs/openadapt-ml.md: its snippets, its command and its diff run, with openadapt-ml's own functions."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner

from oaml_callbacks import OpenAdaptWandbCallback, open_runs, openadapt_ml_hooks
from oaml_callbacks.cli_openadapt_ml import OPENADAPT_ML_TRAIN_SETTINGS, openadapt_ml_train
from oaml_callbacks.grounding import read_sft_rows
from oaml_callbacks.sft import SFTCollator
from oaml_callbacks.testing import RecordedRun, read_run

from . import builders

trl = pytest.importorskip("trl", reason="TRL is an optional dependency")
trl_trainer = pytest.importorskip("openadapt_ml.training.trl_trainer", reason="openadapt-ml is installed by make")

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "openadapt-ml.md").read_text(encoding="utf-8")
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")


def block(holding: str) -> str:
    found: str
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.S) if holding in code]
    return found


def read(folder: Path) -> RecordedRun:
    import wandb

    open_runs.make_room()  # ends the run of a callback that nobody holds
    wandb.teardown()
    return read_run(folder)


@pytest.fixture
def place(screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files that the page names."""
    monkeypatch.chdir(offline)
    monkeypatch.setenv("OPENADAPT_DISABLE_UNSLOTH", "1")
    for name in ("train", "eval"):
        lines = (screens / f"{name}.jsonl").read_text().splitlines()[:2]
        (offline / f"{name}.jsonl").write_text("\n".join(lines))
    (offline / "screens").symlink_to(screens / "screens")
    model = {"name": str(builders.BASE), "load_in_4bit": False}
    training = {"num_train_epochs": 1, "gradient_accumulation_steps": 1, "logging_steps": 1, "save_strategy": "no"}
    (offline / "run.yaml").write_text(yaml.safe_dump({"model": model, "training": training}))
    return offline


def test_the_command(place: Path) -> None:
    (command,) = re.findall(r"^oaml openadapt-ml-train (.*)$", PAGE, flags=re.M)
    app = typer.Typer()
    app.command(context_settings=OPENADAPT_ML_TRAIN_SETTINGS)(openadapt_ml_train)
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0, result.output
    assert re.search(r"^0 \(base model\) .*\n2 ", result.stdout, flags=re.M), result.stdout
    assert read(place).column("eval/grounding_samples") == [2]


def test_readme_has_it_as_it_is(place: Path) -> None:
    """Word for word, but for what a small model asks for."""
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", README, flags=re.S) if "train_from_jsonl" in code]
    code = code.replace(
        "model_name=", 'num_epochs=1, load_in_4bit=False, logging_steps=1, save_strategy="no", model_name='
    )
    exec(code, {"OpenAdaptWandbCallback": OpenAdaptWandbCallback, "name": str(builders.BASE)})
    assert read(place).column("eval/grounding_samples") == [2]


def test_from_python(place: Path) -> None:
    """Word for word, but for the model, and what its size asks for."""
    code = block("train_from_jsonl").replace("Qwen/Qwen3-VL-2B-Instruct", str(builders.BASE))
    code = code.replace("num_epochs=3", 'num_epochs=1, load_in_4bit=False, logging_steps=1, save_strategy="no"')
    space: dict[str, Any] = {}
    exec(code, space)
    space["callback"].close()
    run = read(place)
    assert run.project == "openadapt-ml"
    assert run.column("eval/grounding_samples") == [2]
    assert run.column("train/loss")


def test_the_diff_is_all_that_openadapt_ml_needs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applied to a copy of its two files, and trained with."""
    from transformers import AutoProcessor

    folder = Path(trl_trainer.__file__).parents[1]
    for name in ("training/trl_trainer.py", "scripts/train.py"):
        copy = place / "copy" / "openadapt_ml" / name
        copy.parent.mkdir(parents=True)
        copy.write_text((folder / name).read_text(encoding="utf-8"), encoding="utf-8")
    patch = str(DOCS / "openadapt-ml.diff")
    subprocess.run(["git", "apply", patch], cwd=place / "copy", check=True, timeout=60)
    assert '"--wandb"' in (place / "copy" / "openadapt_ml" / "scripts" / "train.py").read_text()
    changed = _module(
        "changed_trl_trainer", place / "copy" / "openadapt_ml" / "training" / "trl_trainer.py", monkeypatch
    )
    script = _module("changed_script", place / "copy" / "openadapt_ml" / "scripts" / "train.py", monkeypatch)
    for name in ("TRLTrainingConfig", "train_from_jsonl"):
        monkeypatch.setattr(script, name, getattr(changed, name))
    # What today's transformers, and a machine without torchvision, need beside it.
    monkeypatch.setattr(trl, "SFTConfig", openadapt_ml_hooks.sft_config(trl.SFTConfig))
    loaded = openadapt_ml_hooks.without_torchvision(AutoProcessor.from_pretrained)
    monkeypatch.setattr(AutoProcessor, "from_pretrained", staticmethod(loaded))
    script.main("run.yaml", jsonl_path="train.jsonl", wandb_project="proposed", eval_jsonl="eval.jsonl")
    run = read(place)
    assert run.project == "proposed"
    assert run.column("eval/grounding_samples") == [2]
    assert len(run.column("eval/loss")) == 1


def _module(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # its dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_older_loop(place: Path) -> None:
    import torch

    processor, model = builders.trained()
    rows = read_sft_rows("train.jsonl")
    collate, optimizer = SFTCollator(processor), torch.optim.SGD(model.parameters(), lr=1e-3)

    def train_step(batch: list[Any]) -> float:
        loss = model(**collate(batch)).loss
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    clicks = builders.evaluator(place, 2)
    space = {"batches": [rows], "train_step": train_step, "clicks": clicks, "model": model, "processor": processor}
    exec(block("TrainingLogger("), space)
    run = read(place)
    assert [row["train/global_step"] for row in run.rows if "train/loss" in row] == [1, 2]
    assert run.column("eval/grounding_samples") == [2, 2]
    assert run.config["num_train_epochs"] == 2
    current = place / "training_output" / "current"
    told = json.loads((current / "training_log.json").read_text())["losses"]
    assert [entry["loss"] for entry in told] == run.column("train/loss")
    assert (current / "dashboard.html").is_file()


class Screens:
    """An environment as openadapt-ml's GRPO acts in: one drawn screen, one action, every second one rewarded."""

    screen_size = (128, 128)

    def __init__(self, picture: Path, instruction: str) -> None:
        self._current_task = SimpleNamespace(instruction=instruction)
        self._picture, self._asked = picture, 0

    def collect_rollout(self, agent_fn: Callable[[Any], Any], **_: Any) -> list[Any]:
        from openadapt_ml.training.grpo.trainer import ActionParseError

        types: Any = importlib.import_module("openadapt_types")
        buffer = io.BytesIO()
        Image.open(self._picture).save(buffer, "PNG")
        seen = types.BenchmarkObservation(screenshot=buffer.getvalue())
        try:
            action = agent_fn(seen)
        except ActionParseError:  # the tiny model wasn't trained on this prompt
            action = types.BenchmarkAction(type="done" if self._asked % 2 else "wait")  # two alike would cancel out
        self._asked += 1
        return [SimpleNamespace(observation=seen, action=action, reward=float(self._asked % 2))]


def _with_whole_types(load: Any) -> Any:
    """On transformers 5 a token's type goes with it, which openadapt-ml's loss forgets of the action's tokens."""

    def pad(module: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        import torch

        types = given.get("mm_token_type_ids")
        if types is not None and given.get("input_ids") is not None:
            missing = given["input_ids"].shape[1] - types.shape[1]
            given["mm_token_type_ids"] = torch.nn.functional.pad(types, (0, max(0, missing)))
        return args, given

    def loaded(config: Any) -> Any:
        model, processor = load(config)
        model.register_forward_pre_hook(pad, with_kwargs=True)
        return model, processor

    return loaded


def test_its_grpo_trainer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own loading, rollouts, losses and steps; only the Windows machine is a drawn screen."""
    pytest.importorskip("openadapt_types", reason="openadapt-ml's GRPO imports it")
    from openadapt_ml.training.grpo import GRPOConfig, GRPORolloutCollector
    from openadapt_ml.training.grpo import trainer as grpo
    from transformers import AutoProcessor

    row = read_sft_rows("train.jsonl")[0]

    class Collector(GRPORolloutCollector):  # type: ignore[misc]
        def __init__(self, config: Any, task_configs: Any = None) -> None:
            self._config, self._adapter = config, None
            self._task_configs: dict[str, Any] = {}
            self._env = Screens(row["images"][0], "Click.")

    monkeypatch.setattr(grpo, "GRPORolloutCollector", Collector)
    loaded = openadapt_ml_hooks.without_torchvision(AutoProcessor.from_pretrained)
    monkeypatch.setattr(AutoProcessor, "from_pretrained", staticmethod(loaded))
    monkeypatch.setattr(grpo, "_load_model_and_processor", _with_whole_types(grpo._load_model_and_processor))
    config = GRPOConfig(
        model_name=str(builders.BASE),
        load_in_4bit=False,
        lora_r=4,
        num_rollouts_per_step=2,
        num_training_steps=2,
        task_ids=["click"],
        max_new_tokens=12,
        output_dir="grpo",
    )
    space: dict[str, Any] = {"config": config, "clicks": builders.evaluator(place, 1)}
    exec(block("class TrackedGRPOTrainer"), space)
    exec(block("TrackedGRPOTrainer(config, tracker"), space)
    run = read(place)
    assert run.column("train/reward") == [0.5, 0.5]
    assert [row["train/global_step"] for row in run.rows if "train/reward" in row] == [1, 2]
    assert all(norm > 0 for norm in run.column("train/grad_norm"))
    assert len(run.column("eval/grounding_accuracy")) == 2
    assert run.config["num_rollouts_per_step"] == 2
    assert (place / "grpo" / "step_2" / "adapter_model.safetensors").is_file()


def test_the_options_of_the_table_are_the_commands() -> None:
    app = typer.Typer()
    app.command(context_settings=OPENADAPT_ML_TRAIN_SETTINGS)(openadapt_ml_train)
    listed = set(re.findall(r"^\| `(--[a-z-]+)", PAGE, flags=re.M))
    parameters = typer.main.get_command(app).params
    own = {option for parameter in parameters for option in parameter.opts if option.startswith("--")}
    assert listed == own - {"--debug", "--install-completion", "--show-completion"}
