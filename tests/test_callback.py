"""The callback in a real Trainer: what it writes, and what the Trainer sees of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback, read_sft_samples
from oaml_callbacks.grounding import GroundingReport

from . import builders


class Scripted(GroundingEvaluator):
    """The real evaluation, with the graded accuracy replaced by a script: a random model never hits anything."""

    def __init__(self, screens: Path, hits: list[int]) -> None:
        super().__init__(read_sft_samples(screens / "eval.jsonl")[:4], batch_size=4, max_new_tokens=2, progress=False)
        self.hits = list(hits)

    def evaluate(self, model: Any, processor: Any = None) -> GroundingReport:
        from dataclasses import replace

        report = super().evaluate(model, processor)
        count = self.hits.pop(0)
        rows = tuple(replace(row, correct=i < count, distance=0.5 - count / 10) for i, row in enumerate(report.rows))
        return replace(report, rows=rows)


def test_an_evaluation_is_one_row_with_its_loss_and_its_grounding(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    builders.trainer(screens, builders.arguments(offline), [callback]).train()

    run = builders.read_back(callback, offline)
    evaluations = [row for row in run.rows if "eval/loss" in row]
    assert [row["train/global_step"] for row in evaluations] == [5, 10]
    for row in evaluations:
        assert row["eval/grounding_accuracy"] == 0
        assert row["eval/grounding_distance"] == math.inf
        assert row["eval/grounding_parsed"] == 0
        assert row["eval/grounding_correct"] == 0
        assert row["eval/grounding_samples"] == 4
        assert row["eval/grounding_seconds"] > 0
    assert len(run.rows) == 8  # five losses, two evaluations, the training's end
    assert run.exit_code == 0
    assert run.summary["outcome"] == "finished"


def test_the_trainer_chooses_the_best_checkpoint_by_grounding(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=Scripted(screens, [0, 1, 3, 3, 2]))
    args = builders.arguments(
        offline,
        max_steps=8,
        eval_steps=2,
        save_strategy="best",
        metric_for_best_model="grounding_accuracy",
        greater_is_better=True,
    )
    trainer = builders.trainer(screens, args, [callback])
    trainer.train()

    assert trainer.state.best_metric == 0.75
    run = builders.read_back(callback, offline)
    assert run.summary["baseline/grounding_accuracy"] == 0
    assert run.summary["baseline/grounding_distance"] == 0.5
    assert run.summary["best/grounding_accuracy"] == 0.75
    assert run.summary["best/grounding_distance"] == pytest.approx(0.2)
    assert run.summary["best/global_step"] == 4
    history = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    assert [entry["eval_grounding_correct"] for entry in history] == [1, 3, 3, 2]


@pytest.mark.parametrize("ours_first", [True, False])
def test_early_stopping_sees_grounding_in_any_order_of_callbacks(
    screens: Path, offline: Path, ours_first: bool
) -> None:
    ours = OpenAdaptWandbCallback(grounding=Scripted(screens, [2, 1, 1, 4, 4]), baseline=False)
    early = EarlyStoppingCallback(early_stopping_patience=2)
    args = builders.arguments(
        offline,
        eval_steps=1,
        metric_for_best_model="grounding_accuracy",
        greater_is_better=True,
        load_best_model_at_end=True,
        save_strategy="steps",
        save_steps=1,
    )
    trainer = builders.trainer(screens, args, [ours, early] if ours_first else [early, ours])
    trainer.train()
    assert trainer.state.global_step == 3


def test_the_base_model_is_measured_without_its_adapter_before_the_first_step(screens: Path, offline: Path) -> None:
    seen: list[tuple[int, bool]] = []

    class Watching(GroundingEvaluator):
        def evaluate(self, model: Any, processor: Any = None) -> GroundingReport:
            layers = [m for m in model.modules() if hasattr(m, "disable_adapters") and hasattr(m, "lora_A")]
            assert layers
            seen.append((trainer.state.global_step, all(layer.disable_adapters for layer in layers)))
            return super().evaluate(model, processor)

    evaluator = builders.evaluator(screens)
    watching = Watching(evaluator.samples, batch_size=4, max_new_tokens=2, progress=False)
    trainer = builders.trainer(screens, builders.arguments(offline), [OpenAdaptWandbCallback(grounding=watching)])
    trainer.train()
    assert seen == [(0, True), (5, False), (10, False)]


def test_measuring_the_base_model_changes_nothing_about_what_is_trained(screens: Path, offline: Path) -> None:
    """Though PEFT, switching adapters on again, trains all of the active one and none of the others."""
    from peft import LoraConfig

    model = builders.lora_model()
    model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_B.default" in name or "lora_A.second" in name)
    before = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    builders.trainer(screens, builders.arguments(offline), [callback], model=model).train()
    assert callback.baseline is not None
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == before


def test_a_training_that_goes_on_from_a_checkpoint_has_no_second_baseline(screens: Path, offline: Path) -> None:
    args = builders.arguments(offline, save_strategy="steps", save_steps=5)
    builders.trainer(screens, args, [OpenAdaptWandbCallback()]).train()
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = builders.trainer(screens, args, [callback])
    trainer.train(resume_from_checkpoint=str(offline / "out" / "checkpoint-5"))
    assert callback.baseline is None
    assert callback.last_report is not None


class LogsNothing(Trainer):
    """A subclass whose evaluations make no log event."""

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "eval_loss" not in logs:
            super().log(logs, *args, **kwargs)


def test_an_evaluation_without_a_log_event_is_written_all_the_same(screens: Path, offline: Path) -> None:
    from oaml_callbacks.grounding import read_sft_rows
    from oaml_callbacks.sft import SFTCollator, SFTDataset

    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens), baseline=False)
    rows = SFTDataset(read_sft_rows(screens / "eval.jsonl")[:4])
    trainer = LogsNothing(
        model=builders.lora_model(),
        args=builders.arguments(offline),
        eval_dataset=rows,
        data_collator=SFTCollator(builders.processor()),
        processing_class=builders.processor(),
        callbacks=[callback],
    )
    metrics = trainer.evaluate()
    assert metrics["eval_grounding_samples"] == 4
    (row,) = builders.read_back(callback, offline).rows
    assert row["eval/grounding_samples"] == 4
    assert row["eval/loss"] == metrics["eval_loss"]


def test_a_processor_of_the_evaluators_own_is_described_in_the_config(screens: Path, offline: Path) -> None:
    evaluator = builders.evaluator(screens)
    evaluator.processor = builders.processor()
    callback = OpenAdaptWandbCallback(grounding=evaluator)
    tokenizer = builders.processor().tokenizer
    builders.trainer(screens, builders.arguments(offline), [callback], processing_class=tokenizer).evaluate()
    facts = builders.read_back(callback, offline).config["oaml"]
    assert "image_processor" in facts
    assert "chat_template_sha256" in facts


def test_a_model_without_an_adapter_has_no_baseline_and_no_complaint(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from oaml_callbacks.demo.tiny_qwen import build_model

    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    model = build_model("qwen3_vl", builders.processor())
    builders.trainer(screens, builders.arguments(offline), [callback], model=model).train()
    assert callback.baseline is None
    assert not [key for key in builders.read_back(callback, offline).summary if key.startswith("baseline/")]
    assert not [record for record in caplog.records if record.name.startswith("oaml_callbacks")]


def test_what_compute_metrics_yields_reaches_wandb_under_the_tables_keys(screens: Path, offline: Path) -> None:
    def compute_metrics(_: Any) -> dict[str, float]:
        return {"grounding_accuracy": 0.5, "grounding_distance": 0.125, "accuracy": 0.9}

    callback = OpenAdaptWandbCallback()
    trainer = builders.trainer(screens, builders.arguments(offline), [callback], compute_metrics=compute_metrics)
    trainer.train()
    run = builders.read_back(callback, offline)
    assert run.column("eval/grounding_accuracy") == [0.5, 0.5]
    assert run.column("eval/grounding_distance") == [0.125, 0.125]
    assert run.column("eval/accuracy") == [0.9, 0.9]
    assert run.summary["best/global_step"] == 5


def test_several_named_evaluation_sets_at_one_step_lose_nothing(screens: Path, offline: Path) -> None:
    from oaml_callbacks.grounding import read_sft_rows
    from oaml_callbacks.sft import SFTDataset

    rows = read_sft_rows(screens / "eval.jsonl")
    sets = {"web": SFTDataset(rows[:2]), "desktop": SFTDataset(rows[2:4])}
    callback = OpenAdaptWandbCallback(grounding=Scripted(screens, [1, 2]), baseline=False)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback], eval_dataset=sets)
    trainer.train()
    run = builders.read_back(callback, offline)
    assert len(run.column("eval/web_loss")) == len(run.column("eval/desktop_loss")) == 2
    # One evaluator has one set of samples, and is asked once a step.
    assert run.column("eval/grounding_correct") == [1, 2]
    assert [row["train/global_step"] for row in run.rows if "eval/desktop_loss" in row] == [5, 10]


def test_metrics_of_a_named_set_have_their_own_best(screens: Path, offline: Path) -> None:
    from oaml_callbacks.grounding import read_sft_rows
    from oaml_callbacks.sft import SFTDataset

    rows = read_sft_rows(screens / "eval.jsonl")
    sets = {"web": SFTDataset(rows[:2]), "desktop": SFTDataset(rows[2:4])}
    callback = OpenAdaptWandbCallback()
    trainer = builders.trainer(
        screens,
        builders.arguments(offline),
        [callback],
        eval_dataset=sets,
        compute_metrics=lambda _: {"grounding_accuracy": 0.5},
    )
    trainer.train()
    summary = builders.read_back(callback, offline).summary
    assert summary["best/web_grounding_accuracy"] == summary["best/desktop_grounding_accuracy"] == 0.5


def test_evaluating_without_training_logs_a_row(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    metrics = builders.trainer(screens, builders.arguments(offline), [callback]).evaluate()
    run = builders.read_back(callback, offline)
    assert len(run.rows) == 1
    assert run.rows[0]["eval/loss"] == metrics["eval_loss"]
    assert metrics["eval_grounding_samples"] == run.rows[0]["eval/grounding_samples"] == 4


def test_another_metric_prefix_keeps_its_name(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = builders.trainer(screens, builders.arguments(offline), [callback])
    metrics = trainer.evaluate(metric_key_prefix="test")
    assert metrics["test_grounding_samples"] == 4
    assert builders.read_back(callback, offline).column("test/grounding_samples") == [4]


class CopyingTrainer(Trainer):
    """A subclass that hands a copy of the logs on, so that the evaluation's own dict lacks what callbacks add."""

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        super().log(dict(logs), *args, **kwargs)


def test_a_subclass_that_copies_the_logs_still_chooses_by_grounding(screens: Path, offline: Path) -> None:
    from oaml_callbacks.grounding import read_sft_rows
    from oaml_callbacks.sft import SFTCollator, SFTDataset

    callback = OpenAdaptWandbCallback(grounding=Scripted(screens, [2, 3]), baseline=False)
    args = builders.arguments(
        offline, save_strategy="best", metric_for_best_model="grounding_accuracy", greater_is_better=True
    )
    trainer = CopyingTrainer(
        model=builders.lora_model(),
        args=args,
        train_dataset=SFTDataset(read_sft_rows(screens / "train.jsonl")),
        eval_dataset=SFTDataset(read_sft_rows(screens / "eval.jsonl")[:4]),
        data_collator=SFTCollator(builders.processor()),
        processing_class=builders.processor(),
        callbacks=[callback],
    )
    trainer.train()
    assert trainer.state.best_metric == 0.75
    assert builders.read_back(callback, offline).column("eval/grounding_correct") == [2, 3]


class AddsAMetric(TrainerCallback):
    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        kwargs["metrics"]["eval_extra"] = 7.0


def test_a_metric_that_another_callback_adds_is_forwarded_alone(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback()
    builders.trainer(screens, builders.arguments(offline), [AddsAMetric(), callback]).train()
    run = builders.read_back(callback, offline)
    assert run.column("eval/extra") == [7.0, 7.0]
    assert len(run.column("eval/loss")) == 2
    assert [set(row) for row in run.rows if "eval/extra" in row] == [{"eval/extra", "train/global_step"}] * 2
