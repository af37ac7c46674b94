"""The callback in TRL's SFTTrainer on a vision model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from oaml_callbacks import OpenAdaptWandbCallback

from . import builders

trl = pytest.importorskip("trl", reason="TRL is an optional dependency")


def test_sft_of_a_vision_model_has_one_run_with_grounding(screens: Path, offline: Path) -> None:
    from datasets import Dataset

    def dataset(name: str) -> Dataset:
        rows = [json.loads(line) for line in (screens / f"{name}.jsonl").read_text().splitlines()[:4]]
        return Dataset.from_list(
            [{"images": [Image.open(screens / row["images"][0])], "messages": row["messages"]} for row in rows]
        )

    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = trl.SFTTrainer(
        model=builders.lora_model(),
        args=trl.SFTConfig(
            output_dir=str(offline / "out"),
            report_to="wandb",
            max_steps=4,
            per_device_train_batch_size=2,
            logging_steps=2,
            eval_strategy="steps",
            eval_steps=2,
            save_strategy="best",
            metric_for_best_model="grounding_accuracy",
            max_length=None,
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            dataset_num_proc=None,
            gradient_checkpointing=False,
        ),
        train_dataset=dataset("train"),
        eval_dataset=dataset("eval"),
        processing_class=builders.processor(),
        callbacks=[callback],
    )
    trainer.train()
    run = builders.read_back(callback, offline)
    assert run.column("eval/grounding_samples") == [4, 4]
    assert [row["train/global_step"] for row in run.rows if "train/loss" in row] == [2, 4]
    assert len(run.rows) == 5
    assert trainer.state.best_metric == 0
    assert "train/mean_token_accuracy" in run.rows[0]
