"""Everything transformers' own W&B integration gives, ours gives: two runs read back from disk and compared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import wandb

from oaml_callbacks import OpenAdaptWandbCallback, keys
from oaml_callbacks.testing import RecordedRun, offline_wandb, read_run

from . import builders

MEASURED = ("runtime", "samples_per_second", "steps_per_second", "_timestamp", "_runtime", "_wandb")
"""Values that are wall-clock times, and differ between any two runs."""


def train_and_evaluate(screens: Path, folder: Path, callbacks: list[Any], **options: Any) -> RecordedRun:
    with offline_wandb(folder):
        trainer = builders.trainer(screens, builders.arguments(folder.parent, **options), callbacks)
        trainer.train()
        trainer.evaluate()
        trainer.predict(trainer.eval_dataset)  # type: ignore[arg-type]
        wandb.finish()
    return read_run(folder)


@pytest.fixture(scope="module")
def pair(screens: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedRun, RecordedRun]:
    folder = tmp_path_factory.mktemp("parity")
    stock = train_and_evaluate(screens, folder / "stock", [], run_name="name")
    ours = train_and_evaluate(screens, folder / "ours", [OpenAdaptWandbCallback(grounding=None)], run_name="name")
    return stock, ours


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {key: "measured" if key.endswith(MEASURED) else value for key, value in row.items()}


def test_the_rows_are_the_same_keys_and_values_in_the_same_order(pair: tuple[RecordedRun, RecordedRun]) -> None:
    stock, ours = pair
    assert [comparable(row) for row in ours.rows] == [comparable(row) for row in stock.rows]
    assert len(ours.rows) == 10


def test_the_config_is_the_same_but_for_our_own_part(pair: tuple[RecordedRun, RecordedRun]) -> None:
    stock, ours = pair
    added = {**ours.config}
    del added["oaml"]
    # transformers 4 has the time of day in the folder's name.
    assert {**added, "logging_dir": ""} == {**stock.config, "logging_dir": ""}
    assert added["model/num_parameters"] > 0
    assert added["peft_config"]["default"]["r"] == 4
    assert added["vision_config"]["patch_size"] == 8


def test_the_summary_is_the_same_but_for_the_keys_of_our_table(pair: tuple[RecordedRun, RecordedRun]) -> None:
    stock, ours = pair
    ours_alone = {key.name for key in keys.KEYS if key.where == "summary"}
    assert set(ours.summary) - set(stock.summary) <= ours_alone
    shared = {key: value for key, value in ours.summary.items() if key not in ours_alone}
    assert comparable(shared) == comparable(stock.summary)
    for total in keys.END_OF_TRAINING:
        assert total in shared


def test_name_project_and_chart_definitions_are_the_same(pair: tuple[RecordedRun, RecordedRun]) -> None:
    stock, ours = pair
    assert (ours.name, ours.project, ours.group) == (stock.name, stock.project, stock.group)
    assert ours.name == "name"
    assert ours.project == "huggingface"
    assert ours.metrics == stock.metrics


def test_variables_that_stock_honours_are_honoured(
    screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "from-env")
    monkeypatch.setenv("WANDB_NAME", "name-from-env")
    monkeypatch.setenv("WANDB_TAGS", "a,b")
    monkeypatch.setenv("WANDB_RUN_GROUP", "group-from-env")
    callback = OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline), [callback]).evaluate()
    run = builders.read_back(callback, offline)
    assert (run.project, run.name, run.tags, run.group) == ("from-env", "name-from-env", ("a", "b"), "group-from-env")


def test_options_win_over_variables(screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "from-env")
    callback = OpenAdaptWandbCallback(
        grounding=None, project="p", run_name="n", group="g", tags=["t"], notes="Why.", config={"lora": {"r": 4}}
    )
    builders.trainer(screens, builders.arguments(offline, run_name="other"), [callback]).evaluate()
    run = builders.read_back(callback, offline)
    assert (run.project, run.name, run.group, run.tags) == ("p", "n", "g", ("t",))
    assert run.notes is not None
    assert run.notes.startswith("Why.\n\n[Viewer](http://localhost:8080/viewer.html?run=")
    assert run.config["oaml"]["config"] == {"lora": {"r": 4}}


def test_gradients_are_watched_where_stock_would(
    screens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(folder: Path, callbacks: list[Any]) -> set[str]:
        with offline_wandb(folder):
            monkeypatch.setenv("WANDB_WATCH", "gradients")
            args = builders.arguments(tmp_path, max_steps=101, logging_steps=101, eval_strategy="no")
            builders.trainer(screens, args, callbacks).train()
            wandb.finish()
        # wandb numbers the models that a process has watched.
        return {re.sub(r"graph_\d+", "", key) for row in read_run(folder).history for key in row if "gradients" in key}

    ours = watched(tmp_path / "ours", [OpenAdaptWandbCallback(grounding=None)])
    assert ours
    assert ours == watched(tmp_path / "stock", [])


def test_stock_uploads_no_whole_model_and_ours_the_adapter_if_it_is_told_to(
    screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_LOG_MODEL", "checkpoint")
    callback = OpenAdaptWandbCallback(grounding=None)
    args = builders.arguments(offline, max_steps=2, eval_strategy="no", save_strategy="steps", save_steps=2)
    builders.trainer(screens, args, [callback]).train()
    run = builders.read_back(callback, offline)
    (artifact,) = [artifact for artifact in run.artifacts if artifact.type == "model"]
    assert (artifact.name, set(artifact.aliases)) == (f"adapter-{callback.run_id}", {"latest", "step-2"})
    assert "optimizer.pt" not in artifact.files
    assert "tokenizer.json" in artifact.files


def test_what_decides_the_numbers_is_in_the_config(pair: tuple[RecordedRun, RecordedRun]) -> None:
    import hashlib

    import torch
    import transformers

    facts = pair[1].config["oaml"]
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["versions"]["transformers"] == transformers.__version__
    template = builders.processor().chat_template
    assert facts["chat_template_sha256"] == hashlib.sha256(template.encode()).hexdigest()
    assert (
        facts["image_processor"]["size"]["longest_edge"] == builders.processor().image_processor.size["longest_edge"]
    )
    assert json.dumps(facts)


def test_the_git_commit_is_told_and_whether_the_tree_was_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    from oaml_callbacks.run_config import provenance

    monkeypatch.chdir(tmp_path)
    assert provenance()["git"] is None
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.com"]
    (tmp_path / "a").write_text("1")
    for command in (["init", "-q"], ["add", "a"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert provenance()["git"] == {"commit": commit, "dirty": False}
    (tmp_path / "a").write_text("2")
    assert provenance()["git"] == {"commit": commit, "dirty": True}


def test_a_sweeps_values_win_over_the_scripts(
    screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = offline / "parameters.yaml"
    parameters.write_text("wandb_version: 1\nlearning_rate:\n  value: 0.5\nmax_steps:\n  value: 10\n")
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(parameters))
    callback = OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline), [callback]).train()
    run = builders.read_back(callback, offline)
    assert run.config["learning_rate"] == 0.5
    assert run.config["max_steps"] == 10
    assert run.config["per_device_train_batch_size"] == 2
    assert "learning_rate=0.5" in caplog.text
    assert "learning_rate=0.001" in caplog.text
    assert "max_steps=10" not in caplog.text
