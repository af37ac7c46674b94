"""The callback in the Trainer that openadapt-ml's own code builds: the real package, TRL and a tiny Qwen3-VL."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.errors import UserError
from oaml_callbacks.grounding import read_sft_rows
from oaml_callbacks.openadapt_ml import OpenAdaptMLError, evaluation_rows, openadapt_ml_tracking
from oaml_callbacks.openadapt_ml_hooks import sft_config
from oaml_callbacks.processors import has_torchvision

from . import builders

trl = pytest.importorskip("trl", reason="TRL is an optional dependency")
trl_trainer = pytest.importorskip("openadapt_ml.training.trl_trainer", reason="openadapt-ml is installed by make")


@pytest.fixture(autouse=True)
def no_unsloth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENADAPT_DISABLE_UNSLOTH", "1")


@pytest.fixture
def rows(screens: Path, tmp_path: Path) -> Path:
    """A folder with four training and four evaluation rows."""
    for name in ("train", "eval"):
        lines = (screens / f"{name}.jsonl").read_text().splitlines()[:4]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "screens").symlink_to(screens / "screens")
    return tmp_path


def config(folder: Path, **options: Any) -> Any:
    defaults: dict[str, Any] = {
        "model_name": str(builders.BASE),
        "load_in_4bit": False,
        "lora_r": 4,
        "num_epochs": 1,
        "batch_size": 2,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "output_dir": str(folder / "out"),
    }
    return trl_trainer.TRLTrainingConfig(**{**defaults, **options})


def looked_up() -> list[Any]:
    """What the context replaces, as it is now."""
    from transformers import AutoProcessor

    return [
        trl_trainer._run_sft_training,
        trl_trainer._load_standard_model,
        trl.SFTTrainer,
        trl.SFTConfig,
        vars(AutoProcessor)["from_pretrained"],
    ]


# Trainings -------------------------------------------------------------------------------------------------------


def test_its_training_is_one_run_with_losses_and_clicks(rows: Path, offline: Path) -> None:
    before = looked_up()
    callback = OpenAdaptWandbCallback(max_rows=0)
    with openadapt_ml_tracking(callback, eval_dataset=rows / "eval.jsonl") as trainings:
        checkpoint = trl_trainer.train_from_jsonl(str(rows / "train.jsonl"), config(offline))
    assert looked_up() == before
    run = builders.read_back(callback, offline)
    assert [row["train/global_step"] for row in run.rows if "train/loss" in row] == [1, 2]
    (evaluation,) = [row for row in run.rows if "eval/loss" in row]
    assert evaluation["train/global_step"] == 2
    assert evaluation["eval/grounding_samples"] == 4
    assert evaluation["eval/grounding_parsed"] == 1  # the base answers in clicks
    assert 0 < evaluation["eval/grounding_distance"] < 1
    assert run.summary["baseline/grounding_accuracy"] == 0
    assert "viewer_url" in run.summary
    assert run.summary["outcome"] == "finished"
    # Boxes, which TRL drops from the rows it evaluates on, grade the clicks.
    assert run.summary["grounding_labels_ok"] == 1
    # Its own log and adapter are where they were.
    assert trainings.checkpoints == [checkpoint]
    assert (Path(checkpoint) / "adapter_model.safetensors").is_file()
    assert len(json.loads((offline / "out" / "training_log.json").read_text())["losses"]) == 2
    assert any("eval_grounding_accuracy" in entry for entry in trainings.states[0].log_history)


def test_samples_of_the_callbacks_are_clicked_without_evaluation_rows(rows: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(rows, 2), baseline=False, max_rows=0)
    with openadapt_ml_tracking(callback, eval_steps=1) as trainings:
        trl_trainer.train_from_jsonl(str(rows / "train.jsonl"), config(offline))
    run = builders.read_back(callback, offline)
    evaluations = [row for row in run.rows if "eval/grounding_accuracy" in row]
    assert [row["train/global_step"] for row in evaluations] == [1, 2]
    assert [row["eval/grounding_samples"] for row in evaluations] == [2, 2]
    assert not any("eval/loss" in row for row in run.rows)
    assert [e["step"] for e in trainings.states[0].log_history if "eval_grounding_accuracy" in e] == [1, 2]


def test_two_trainings_in_a_block_with_named_samples(rows: Path, offline: Path) -> None:
    from oaml_callbacks.testing import read_runs

    named = {"web": builders.evaluator(rows, 1), "form": builders.evaluator(rows, 2)}
    callback = OpenAdaptWandbCallback(grounding=named, baseline=False, max_rows=0)
    with openadapt_ml_tracking(callback) as trainings:
        for name in ("first", "second"):
            trl_trainer.train_from_jsonl(str(rows / "eval.jsonl"), config(offline, output_dir=str(offline / name)))
    assert trainings.checkpoints == [str(offline / name / "final") for name in ("first", "second")]
    builders.read_back(callback, offline)
    runs = read_runs(offline)
    assert len(runs) == 2
    for run in runs:
        assert run.column("eval/web_grounding_samples") == [1]
        assert run.column("eval/form_grounding_samples") == [2]


def test_switched_off_it_writes_nothing_and_clicks_nothing(
    rows: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(rows, 2))
    with openadapt_ml_tracking(callback) as trainings:
        trl_trainer.train_from_jsonl(str(rows / "train.jsonl"), config(offline))
    assert callback.run_id is None
    assert callback.last_report is None
    assert not list(offline.rglob("*.wandb"))
    assert not any("eval_runtime" in entry for entry in trainings.states[0].log_history)


def test_it_says_when_there_is_nothing_to_evaluate_on(
    rows: Path, offline: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And that after an exception inside the training all is put back."""
    before = looked_up()

    def fails(*args: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(trl.SFTTrainer, "save_model", fails)
    callback = OpenAdaptWandbCallback()
    with pytest.raises(OSError, match="the disk is gone"), openadapt_ml_tracking(callback) as trainings:
        trl_trainer.train_from_jsonl(str(rows / "train.jsonl"), config(offline))
    assert looked_up() == before
    assert (trainings.begun, trainings.checkpoints) == (1, [])
    assert 'eval_dataset="eval.jsonl"' in caplog.text
    callback.close()


def test_a_model_of_unsloths_is_trained_too(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part of openadapt-ml's code, with a stand-in for Unsloth, which needs a GPU: TRL refuses `tokenizer=`."""
    (rows / "unsloth").mkdir()
    (rows / "unsloth" / "__init__.py").write_text(
        "from tests import builders\n"
        "class FastVisionModel:\n"
        "    from_pretrained = staticmethod(lambda name, **_: (None, builders.processor()))\n"
        "    get_peft_model = staticmethod(lambda model, **_: builders.lora_model())\n"
        "    for_training = staticmethod(lambda model: model)\n"
    )
    (rows / "unsloth" / "trainer.py").write_text(
        "from oaml_callbacks.sft import SFTCollator\n"
        "UnslothVisionDataCollator = lambda model, processor: SFTCollator(processor)\n"
    )
    monkeypatch.syspath_prepend(rows)
    monkeypatch.delenv("OPENADAPT_DISABLE_UNSLOTH")
    monkeypatch.setenv("WANDB_DISABLED", "true")  # transformers 4 reports to all that is installed
    # It has no `use_cpu` there, and TRL's default is bfloat16, which a CPU is refused.
    stock = trl.SFTConfig.__init__
    monkeypatch.setattr(
        trl.SFTConfig, "__init__", lambda self, **given: stock(self, **given, use_cpu=True, bf16=False)
    )
    with openadapt_ml_tracking(None) as trainings:
        trl_trainer.train_from_jsonl(str(rows / "train.jsonl"), config(rows))
    assert trainings.states[0].global_step == 2
    for name in ("unsloth", "unsloth.trainer"):
        sys.modules.pop(name)


# The context -----------------------------------------------------------------------------------------------------


def test_one_context_at_a_time() -> None:
    with openadapt_ml_tracking(None):
        inside = looked_up()
        with pytest.raises(OpenAdaptMLError, match="entered already"), openadapt_ml_tracking(None):
            pass
        assert looked_up() == inside
    with openadapt_ml_tracking(None):
        assert looked_up()[:2] != inside[:2]


def test_names_outside_openadapt_ml_are_its_own_between_trainings() -> None:
    before = looked_up()
    with openadapt_ml_tracking(None):
        assert looked_up()[2:] == before[2:]


def test_once_its_trainer_is_made_trl_is_as_it_was(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training takes hours, in which others may use TRL."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    before, during = looked_up(), []

    class Looks(OpenAdaptWandbCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            during.append(looked_up())
            super().on_train_begin(*args, **kwargs)

    with openadapt_ml_tracking(Looks(grounding=None)):
        trl_trainer.train_from_jsonl(str(rows / "train.jsonl"), config(rows))
    assert [names[2:] for names in during] == [before[2:]]


def test_what_others_put_there_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(config: Any) -> None: ...

    before = trl_trainer._load_standard_model
    with openadapt_ml_tracking(None):
        trl_trainer._load_standard_model = theirs
    after, trl_trainer._load_standard_model = trl_trainer._load_standard_model, before
    assert after is theirs


@pytest.mark.skipif(has_torchvision(), reason="transformers loads the processor by itself where torchvision is")
def test_other_threads_find_openadapt_ml_as_it_is(tmp_path: Path) -> None:
    found: list[Any] = []

    def load() -> None:
        try:
            found.append(trl_trainer._load_standard_model(config(tmp_path)))
        except ImportError as error:
            found.append(error)

    with openadapt_ml_tracking(None):
        thread = threading.Thread(target=load)
        thread.start()
        thread.join()
        load()
    assert isinstance(found[0], ImportError)
    assert hasattr(found[1][1], "image_processor")


def test_a_version_that_it_does_not_know_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "openadapt_ml-0.18.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openadapt-ml\nVersion: 0.18.0\n")
    before = looked_up()
    monkeypatch.syspath_prepend(tmp_path)
    message = r"openadapt-ml 0\.18\.0 is installed.* 0\.17\.\*"
    with pytest.raises(OpenAdaptMLError, match=message), openadapt_ml_tracking(None):
        pass
    assert looked_up() == before


def test_without_openadapt_ml_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "path", [])
        with pytest.raises(OpenAdaptMLError, match="pip install") as caught, openadapt_ml_tracking(None):
            pass
    assert "openadapt-ml is not installed" in str(caught.value)


@pytest.mark.parametrize("package", ["trl", "datasets"])
def test_without_trl_it_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = rf'needs {package}.*pip install "oaml-callbacks\[trl\]"'
    with pytest.raises(OpenAdaptMLError, match=message), openadapt_ml_tracking(None):
        pass


def test_a_trainer_that_was_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trl_trainer, "_run_sft_training", lambda dataset: "somewhere")
    with pytest.raises(OpenAdaptMLError, match="_run_sft_training"), openadapt_ml_tracking(None):
        pass


# What it is given ------------------------------------------------------------------------------------------------


def test_the_share_of_warm_up_steps_is_kept(tmp_path: Path) -> None:
    given = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False}
    made = sft_config(trl.SFTConfig)(warmup_ratio=0.25, **given)
    assert made.get_warmup_steps(40) == 10
    assert sft_config(trl.SFTConfig)(**given).get_warmup_steps(40) == 0


def test_evaluation_rows_may_come_in_each_form(rows: Path) -> None:
    from datasets import Dataset

    read = read_sft_rows(rows / "eval.jsonl")
    pictures = [{**row, "images": [Image.open(row["images"][0])]} for row in read]
    paths = [{**row, "images": [str(row["images"][0])]} for row in read]
    size = pictures[0]["images"][0].size
    for given in (rows / "eval.jsonl", str(rows / "eval.jsonl"), read, pictures, Dataset.from_list(paths)):
        made = evaluation_rows(given)
        assert len(made) == 4
        assert made[0]["images"][0].size == size
        assert made[0]["bbox"] == read[0]["bbox"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eval_dataset": []}, "0 rows"),
        ({"eval_dataset": [{"text": "a"}]}, "the columns text; expected rows with images and messages"),
        ({"eval_steps": 0}, "expected 1 or more steps"),
        ({"eval_steps": -3}, "expected 1 or more steps"),
    ],
)
def test_what_can_not_be_evaluated_on_is_refused(given: dict[str, Any], message: str) -> None:
    before = looked_up()
    context = openadapt_ml_tracking(OpenAdaptWandbCallback(), **given)
    with pytest.raises(UserError, match=message), context:
        pass
    assert looked_up() == before
    with openadapt_ml_tracking(None):  # it is not taken for one that is open
        pass


def test_a_file_that_is_not_there_is_named() -> None:
    context = openadapt_ml_tracking(OpenAdaptWandbCallback(), eval_dataset="nowhere.jsonl")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl"), context:
        pass


def test_rows_that_nobody_would_evaluate_on_are_refused() -> None:
    with pytest.raises(OpenAdaptMLError, match="without a callback"), openadapt_ml_tracking(None, eval_dataset="x"):
        pass
