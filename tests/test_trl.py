"""The callback in TRL's SFTTrainer and GRPOTrainer, on a vision model."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks import OpenAdaptWandbCallback
from oaml_callbacks.testing import read_runs
from oaml_callbacks.trl_tables import prompts_as_text

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


def test_grpo_of_a_vision_model_has_its_completions_and_ours_in_one_run(screens: Path, offline: Path) -> None:
    """TRL writes its table straight to the run that is open."""
    from datasets import Dataset

    from oaml_callbacks.grounding import parse_action

    rows = [json.loads(line) for line in (screens / "train.jsonl").read_text().splitlines()[:2]]
    dataset = Dataset.from_list(
        [{"prompt": row["messages"][-2:-1], "images": [Image.open(screens / row["images"][0])]} for row in rows]
    )

    def readable(completions: list[Any], **columns: Any) -> list[float]:
        return [float(parse_action(completion[0]["content"]).point is not None) for completion in completions]

    processor, model = builders.trained()
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens, 2), baseline=False)
    trainer = trl.GRPOTrainer(
        model=model,
        reward_funcs=readable,
        args=trl.GRPOConfig(
            output_dir=str(offline / "out"),
            report_to="wandb",
            max_steps=2,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            num_generations=2,
            max_completion_length=12,
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=2,
            save_strategy="no",
            log_completions=True,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            # On 0.24 512 by default, which cuts image tokens off.
            **({"max_prompt_length": None} if "max_prompt_length" in trl.GRPOConfig.__dataclass_fields__ else {}),
        ),
        train_dataset=dataset,
        eval_dataset=dataset,
        processing_class=processor,
        callbacks=[callback],
    )
    trainer.train()
    run = builders.read_back(callback, offline)
    assert len(read_runs(offline)) == 1
    assert [row["train/global_step"] for row in run.rows if "train/reward" in row] == [1, 2]
    assert run.column("eval/grounding_samples") == [2]
    assert "eval/rewards/readable/mean" in next(row for row in run.rows if "eval/grounding_accuracy" in row)
    table = json.loads(run.media_path(run.column("completions")[0]).read_text())
    told = dict(zip(table["columns"], table["data"][0], strict=True))
    assert {"prompt", "completion", "readable", "advantage"} <= set(told)
    assert any(row["messages"][-2]["content"] in told["prompt"] for row in rows)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("a text", "a text"),
        ([{"role": "user", "content": "Click."}], "user: Click."),
        (
            [
                {"role": "system", "content": [{"type": "text", "text": "You click."}]},
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Click."}]},
                {"role": "assistant", "content": None},
            ],
            "system: You click.\nuser: [image]Click.\nassistant: ",
        ),
        ([{"role": "user", "content": ["Click.", {"type": "text", "text": 3}]}], "user: Click.3"),
        ([151644, 872], [151644, 872]),  # of no form that is known: a training mustn't end by it
    ],
)
def test_a_prompt_is_told_as_text(prompt: Any, text: Any) -> None:
    trainer = SimpleNamespace(_logs={"prompt": deque([prompt], maxlen=2)})
    prompts_as_text(trainer)
    kept = trainer._logs["prompt"]
    kept.extend([prompt])
    kept.append(prompt)
    assert list(kept) == [text, text]  # as many as it kept before
    prompts_as_text(trainer)
    assert trainer._logs["prompt"] is kept


@pytest.mark.parametrize("trainer", [SimpleNamespace(), SimpleNamespace(_logs=None), SimpleNamespace(_logs={"a": 1})])
def test_other_trainers_are_left_as_they_are(trainer: Any) -> None:
    before = repr(trainer)
    prompts_as_text(trainer)
    assert repr(trainer) == before
