"""`oaml train`: options, exit codes, whole trainings, Ctrl-C and going on after it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from oaml_callbacks import cli_train
from oaml_callbacks.cli import app
from oaml_callbacks.cli_train import split_arguments
from oaml_callbacks.config import ConfigError, load_config
from oaml_callbacks.config_sections import EarlyStopping
from oaml_callbacks.demo import screens as demo_screens
from oaml_callbacks.demo.tiny_qwen import build_model, build_processor
from oaml_callbacks.grounding import PointTarget
from oaml_callbacks.testing import read_run
from oaml_callbacks.train import _checkpoints, _starting_point, newest_checkpoint
from oaml_callbacks.train_setup import load_data

RUN = """
model: {name: ./base}
lora: {r: 4}
data: {train: screens/train.jsonl, eval: screens/eval.jsonl}
training:
  max_steps: 2
  save_steps: 2
  logging_steps: 1
  gradient_accumulation_steps: 1
  learning_rate: 1e-3
grounding: {max_samples: 2, max_new_tokens: 4}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, screens: Path) -> Path:
    """A folder with a configuration, screens, and a base model of random weights."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copytree(screens, folder / "screens")
    processor = build_processor("qwen3_vl")
    torch.manual_seed(0)
    build_model("qwen3_vl", processor).save_pretrained(folder / "base")
    processor.save_pretrained(folder / "base")
    (folder / "run.yaml").write_text(RUN)
    return folder


@pytest.fixture
def run(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Call `oaml train run.yaml ...` in this process and in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small is slower on several, and much slower beside other processes
    logger = logging.getLogger("oaml_callbacks")
    before = (list(logger.handlers), logger.level, logger.propagate)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["train", str(place / "run.yaml"), *arguments])

    yield run
    logger.handlers, logger.level, logger.propagate = before
    torch.set_num_threads(threads)


def oaml(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """Start `oaml` in a process of its own, W&B offline."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "OAML_"))}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", "from oaml_callbacks.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**kept, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "COLUMNS": "60", "OMP_NUM_THREADS": "1"},
    )


class TestArguments:
    @pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
    def test_help_is_quick(self, arguments: list[str]) -> None:
        code = (
            "import sys; from oaml_callbacks.cli import main\n"
            "try: main()\n"
            "except SystemExit as end: print(end.code, *{'torch', 'transformers', 'wandb', 'peft'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1].strip() == "0"
        assert len(done.stdout.splitlines()) > 1

    def test_options_and_overrides_in_any_order(self) -> None:
        path, overrides = split_arguments(
            ["--max-steps", "20", "a=b/run.yaml", "lora.r=16", "--learning-rate=1e-4", "--eval_steps", "-1", "--bf16"]
        )
        assert path == Path("a=b/run.yaml")
        assert overrides == [
            "training.max_steps=20",
            "lora.r=16",
            "training.learning_rate=1e-4",
            "training.eval_steps=-1",
            "training.bf16=true",
        ]

    def test_switch_takes_a_value_too(self) -> None:
        assert split_arguments(["--bf16", "false", "--do-train", "run.yaml"]) == (
            Path("run.yaml"),
            ["training.bf16=false", "training.do_train=true"],
        )

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["run.yaml", "--max-stps", "3"], "no option --max-stps; did you mean --max-steps"),
            (["run.yaml", "--wandb_project", "p"], "did you mean --wandb-project"),
            (["run.yaml", "-x"], "no option -x"),
            (["run.yaml", "--max-steps"], "--max-steps needs a value"),
            (["run.yaml", "other.yaml"], "found 2: run.yaml, other.yaml"),
            (["max_steps=3"], "found none"),
        ],
    )
    def test_mistakes(self, arguments: list[str], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            split_arguments(arguments)

    def test_resume_command(self) -> None:
        assert cli_train._resume_command(["train", "my run.yaml", "--overwrite", "x=[a]"]) == (
            "oaml train 'my run.yaml' 'x=[a]' --resume"
        )


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["lora.rr=3"], "lora.rr: there is no such key; did you mean lora.r?"),
            (["model.load_in_4bit=true"], "model.load_in_4bit=false"),
            (["data.train=none.jsonl"], "data.train: there is no file"),
            (["data.train=null"], "data.train: nothing to train on"),
            (["model.name=./nowhere"], "there is no folder"),
            (["lora.target_modules=[nothing]"], "lora.target_modules"),
            (["wandb.viewer_url=nowhere"], "wandb: viewer_url"),
        ],
    )
    def test_are_told_in_a_sentence(self, run: Any, arguments: list[str], said: str) -> None:
        result = run(*arguments)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "error: " in result.stderr
        assert "Traceback" not in result.stderr

    def test_broken_line_and_missing_picture(self, run: Any, screens: Path) -> None:
        rows = (screens / "train.jsonl").read_text().splitlines()
        broken = screens / "broken.jsonl"
        broken.write_text("\n".join([rows[0], rows[1][:-5]]))
        result = run(f"data.train={broken}")
        assert result.exit_code == 2
        assert "broken.jsonl, line 2: not JSON" in result.stderr
        broken.write_text("\n".join([*rows[:2], rows[2].replace("train-0002", "gone")]))
        result = run(f"data.train={broken}")
        assert "line 3: the picture" in result.stderr
        assert "gone.png does not exist" in result.stderr

    def test_debug_shows_where(self, run: Any) -> None:
        assert isinstance(run("lora.rr=3", "--debug").exception, ConfigError)

    def test_failure_in_training_marks_the_run(self, run: Any, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from oaml_callbacks.sft import SFTCollator

        def fail(*_: Any) -> Any:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(SFTCollator, "__call__", fail)
        result = run("--wandb", "grounding.baseline=false")
        assert result.exit_code == 1
        assert "the training failed: RuntimeError: out of memory" in result.stderr
        _end_service()
        assert read_run(offline).exit_code == 1


@pytest.mark.slow
class TestTraining:
    def test_with_wandb_offline(self, run: Any, offline: Path) -> None:
        result = run("--wandb-project", "my clicks", "wandb.tags=[a]", "lora.weights_path=adapter")
        assert result.exit_code == 0, result.output
        _end_service()
        recorded = read_run(offline)
        assert (recorded.project, recorded.tags, recorded.exit_code) == ("my clicks", ("a",), 0)
        assert recorded.config["oaml"]["config"]["lora"]["r"] == 4
        assert recorded.column("eval/grounding_accuracy") == [0]
        assert f"wandb leet wandb/{recorded.path.parent.name}" in result.stdout
        assert f"wandb sync wandb/{recorded.path.parent.name}" in result.stdout
        assert recorded.summary["viewer_url"] in result.stdout
        assert Path("adapter/adapter_model.safetensors").is_file()

    def test_without_wandb_measures_and_leaves_no_trace_of_it(self, run: Any, tmp_path: Path) -> None:
        result = run("--max-steps", "3", "--save-strategy", "steps")
        assert result.exit_code == 0, result.output
        table = [line.split() for line in result.stdout.splitlines() if line[:1].isdigit()]
        # Step 3 is none of `eval_steps`, but the last.
        assert [row[0] for row in table] == ["0", "2", "3"]
        assert all(row[-1] == "0.000" for row in table)
        assert not (tmp_path / "wandb").exists()
        assert (tmp_path / "training_output" / "final" / "adapter_model.safetensors").is_file()

    def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(self, place: Path, tmp_path: Path) -> None:
        arguments = ["train", str(place / "run.yaml"), "--wandb", "--max-steps", "500", "--save-steps", "1000"]
        training = oaml(*arguments, "--save-strategy", "steps", "grounding.baseline=false", folder=tmp_path)
        assert training.stdout is not None
        for line in training.stdout:
            if "'loss'" in line:
                break
        training.send_signal(signal.SIGINT)
        output = training.communicate(timeout=120)[0]
        assert training.returncode == 130, output
        assert "Traceback" not in output
        assert "--resume" in output
        assert read_run(tmp_path).exit_code == 255
        (checkpoint,) = (tmp_path / "training_output").glob("checkpoint-*")
        step = int(checkpoint.name.split("-")[1])
        assert (checkpoint / "optimizer.pt").is_file()

        resumed = oaml(
            *arguments[:-4], "--max-steps", str(step + 1), "--save-strategy", "steps", "--resume", folder=tmp_path
        )
        output = resumed.communicate(timeout=120)[0]
        assert resumed.returncode == 0, output
        assert f"Going on from training_output/checkpoint-{step}." in output
        assert (tmp_path / "training_output" / f"checkpoint-{step + 1}").is_dir()
        assert (tmp_path / "training_output" / "final" / "adapter_model.safetensors").is_file()


class TestData:
    def test_demo_screens_are_drawn_once(self, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        demo = ["data.train=null", "data.eval=null", "demo_data.train_samples=3", "demo_data.eval_samples=2"]
        config = load_config(place / "run.yaml", demo)
        train, evaluation, _ = load_data(config)
        assert (len(train), len(evaluation)) == (3, 2)
        assert train[0]["messages"] != evaluation[0]["messages"] or train[0]["bbox"] != evaluation[0]["bbox"]
        monkeypatch.setattr(demo_screens, "write_samples", None)
        assert load_data(config)[0] == train

    def test_evaluating_on_what_is_trained_on_is_told(self, place: Path, caplog: pytest.LogCaptureFixture) -> None:
        copy = shutil.copy(place / "screens" / "train.jsonl", place / "screens" / "copy.jsonl")
        load_data(load_config(place / "run.yaml", [f"data.eval={copy}"]))
        assert "copy.jsonl holds what is trained on" in caplog.text

    def test_rows_without_a_box_are_graded_by_their_own_answers_point(self, place: Path) -> None:
        plain = place / "screens" / "plain.jsonl"
        rows = [json.loads(line) for line in (place / "screens" / "eval.jsonl").read_text().splitlines()]
        plain.write_text("".join(json.dumps({**row, "bbox": None}) + "\n" for row in rows))
        _, evaluation, evaluator = load_data(load_config(place / "run.yaml", [f"data.eval={plain}"]))
        assert len(evaluation) == 8
        assert evaluator is not None
        assert all(isinstance(sample.target, PointTarget) for sample in evaluator.samples)

    def test_rows_that_point_nowhere_give_a_loss_and_no_clicks(
        self, place: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        typing = place / "screens" / "typing.jsonl"
        (row, *_) = [json.loads(line) for line in (place / "screens" / "eval.jsonl").read_text().splitlines()]
        row["messages"][-1]["content"] = 'Action: TYPE(text="a")'
        typing.write_text(json.dumps({**row, "bbox": None}) + "\n")
        _, evaluation, evaluator = load_data(load_config(place / "run.yaml", [f"data.eval={typing}"]))
        assert len(evaluation) == 1
        assert evaluator is None
        assert "Clicks aren't measured" in caplog.text

    def test_fewer_samples_are_the_same_ones_each_time(self, place: Path) -> None:
        config = load_config(place / "run.yaml", ["grounding.max_samples=3", "grounding.family=openadapt"])
        ids = [
            [sample.id for sample in evaluator.samples]
            for *_, evaluator in (load_data(config), load_data(config))
            if evaluator
        ]
        assert len(ids) == 2
        assert ids[0] == ids[1]
        assert len(ids[0]) == 3

    def test_a_family_that_there_is_not_is_answered_with_the_nearest(self, place: Path) -> None:
        with pytest.raises(ConfigError, match="qwen3_vl"):
            load_data(load_config(place / "run.yaml", ["grounding.family=qwen3vl"]))


class TestEarlierCheckpoints:
    @pytest.fixture
    def output(self, tmp_path: Path) -> Path:
        for name in ("checkpoint-9", "checkpoint-10", "checkpoint-11", "other"):
            (tmp_path / name).mkdir()
            if name != "checkpoint-11":  # one that was being written when the process was killed
                (tmp_path / name / "trainer_state.json").touch()
        return tmp_path

    def test_resume_takes_the_newest_complete_one(self, output: Path) -> None:
        assert _starting_point(output, resume=True, overwrite=False) == output / "checkpoint-10"
        assert _starting_point(output / "none", resume=True, overwrite=False) is None

    def test_they_are_not_mixed_with_a_new_runs(self, output: Path) -> None:
        with pytest.raises(ConfigError, match="checkpoint-10 is there from an earlier run"):
            _starting_point(output, resume=False, overwrite=False)

    def test_folders_that_were_renamed_to_be_kept_are_none(self, output: Path) -> None:
        for name in ("checkpoint-12-keep", "checkpoint-12_bak"):
            (output / name).mkdir()
            (output / name / "trainer_state.json").touch()
        (output / "checkpoint-13").touch()
        (output / "checkpoint-14").symlink_to(output / "other")
        names = {path.name for path in _checkpoints(output)}
        assert names == {"checkpoint-9", "checkpoint-10", "checkpoint-11"}
        assert newest_checkpoint(output) == output / "checkpoint-10"

    @pytest.mark.slow
    def test_overwrite_removes_them_once_the_new_run_can_begin(self, run: Any, tmp_path: Path) -> None:
        old = tmp_path / "again" / "checkpoint-77"
        old.mkdir(parents=True)
        (old / "trainer_state.json").touch()
        options = ("--overwrite", f"training.output_dir={old.parent}", "--max-steps", "1")
        assert run(*options, "lora.target_modules=[nope]").exit_code == 2
        assert old.is_dir()
        result = run(*options)
        assert result.exit_code == 0, result.output
        assert not old.exists()

    def test_a_folder_that_cannot_be_made_is_named_before_anything_is_loaded(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for key in ("training.output_dir", "lora.weights_path"):
            result = run(f"{key}={tmp_path / 'file' / 'below'}")
            assert result.exit_code == 2
            assert f"error: {key}: " in result.output


class TestEarlyStop:
    @staticmethod
    def stops_after(losses: list[float], **rules: float) -> int | None:
        from transformers import TrainerControl, TrainerState, TrainingArguments

        from oaml_callbacks.train_callbacks import EarlyStopOnLoss

        control = TrainerControl()
        callback = EarlyStopOnLoss(EarlyStopping.model_validate(rules))
        for count, loss in enumerate(losses, start=1):
            callback.on_log(TrainingArguments("unused"), TrainerState(), control, logs={"loss": loss})
            callback.on_log(TrainingArguments("unused"), TrainerState(), control, logs={"eval_loss": 0.0})
            if control.should_training_stop:
                return count
        return None

    def test_threshold_is_to_be_met_in_a_row(self) -> None:
        rules = {"early_stop_loss": 1.0, "early_stop_patience": 2}
        assert self.stops_after([2, 1.0, 1.5, 0.9, 0.8, 0.7], **rules) == 5

    def test_plateau(self) -> None:
        rules = {"early_stop_min_delta": 0.1, "early_stop_plateau_patience": 2}
        assert self.stops_after([3, 2.95, 2.0, 1.95, 1.91, 1.0], **rules) == 5

    def test_off_by_default(self) -> None:
        assert self.stops_after([0.0] * 20) is None


def _end_service() -> None:
    """W&B's service closes a run's file a moment after `finish` has returned."""
    import wandb

    wandb.teardown()
