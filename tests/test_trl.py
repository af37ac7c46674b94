"""The callback in TRL's SFTTrainer on a vision model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from oaml_callbacks import OpenAdaptWandbCallback

from . import builders

pytest.importorskip("trl", reason="TRL is an optional dependency")


def test_sft_of_a_vision_model_has_one_run_with_grounding(screens: Path, offline: Path) -> None:
    from datasets import Dataset

    def dataset(name: str) -> Dataset:
        rows = [json.loads(line) for line in (screens / f"{name}.jsonl").read_text().splitlines()[:4]]
        return Dataset.from_list(
            [{"images": [Image.open(screens / row["images"][0])], "messages": row["messages"]} for row in rows]
        )

    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = builders.sft_trainer(
        offline,
        dataset("train"),
        dataset("eval"),
        callback,
        max_steps=4,
        save_strategy="best",
        metric_for_best_model="grounding_accuracy",
    )
    trainer.train()
    run = builders.read_back(callback, offline)
    assert run.column("eval/grounding_samples") == [4, 4]
    assert [row["train/global_step"] for row in run.rows if "train/loss" in row] == [2, 4]
    assert len(run.rows) == 5
    assert trainer.state.best_metric == 0
    assert "train/mean_token_accuracy" in run.rows[0]
