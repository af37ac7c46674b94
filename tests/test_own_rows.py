"""`OpenAdaptWandbCallback()` alone: the Trainer's own evaluation rows are answered and graded if they are known."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image
from torch.utils.data import IterableDataset

from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback
from oaml_callbacks.click_meter import ClickMeter
from oaml_callbacks.grounding import AnswerReader, BoxTarget, PointTarget, read_sft_rows
from oaml_callbacks.sft import SFTDataset
from oaml_callbacks.trainer_samples import own_samples, same_rows

from . import builders

READER = AnswerReader()


def rows(screens: Path, name: str = "eval", count: int = 4) -> list[dict[str, Any]]:
    return read_sft_rows(screens / f"{name}.jsonl")[:count]


def hub_dataset(screens: Path, name: str = "eval", *, columns: tuple[str, ...] = ("images", "messages")) -> Dataset:
    """Rows as TRL's users have them: a `datasets.Dataset` whose pictures are decoded when they are looked at."""
    dataset = Dataset.from_list([{column: row[column] for column in columns} for row in rows(screens, name)])
    return dataset.cast_column("images", [Image()])


def test_the_callback_alone_measures_the_trainers_own_rows(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = OpenAdaptWandbCallback()
    builders.trainer(screens, builders.arguments(offline), [callback]).train()
    notices = [r.getMessage() for r in caplog.records if "Clicks are measured" in r.getMessage()]
    assert len(notices) == 1
    assert "all 4 rows" in notices[0]
    assert "grounding=None" in notices[0]
    assert "grounding=GroundingEvaluator(...)" in notices[0]
    run = builders.read_back(callback, offline)
    assert run.column("eval/grounding_samples") == [4, 4]
    assert run.summary["baseline/grounding_accuracy"] == 0
    assert run.summary["grounding_labels_ok"] == 1
    assert callback.last_report is not None
    assert all(isinstance(row.sample.target, BoxTarget) for row in callback.last_report.rows)


def test_grounding_none_measures_nothing(screens: Path, offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline), [callback]).train()
    run = builders.read_back(callback, offline)
    assert not [key for row in run.rows for key in row if "grounding" in key]
    assert not [key for key in run.summary if "grounding" in key]
    assert "Clicks" not in caplog.text


def test_named_evaluation_sets_each_have_their_own_samples(screens: Path, offline: Path) -> None:
    sets = {"web": SFTDataset(rows(screens)[:1]), "desktop": SFTDataset(rows(screens)[1:4])}
    callback = OpenAdaptWandbCallback()
    builders.trainer(screens, builders.arguments(offline, max_steps=5), [callback], eval_dataset=sets).train()
    run = builders.read_back(callback, offline)
    assert run.column("eval/web_grounding_samples") == [1]
    assert run.column("eval/desktop_grounding_samples") == [3]
    assert "baseline/web_grounding_accuracy" in run.summary
    assert "baseline/desktop_grounding_distance" in run.summary


def test_evaluators_can_be_given_by_name(screens: Path, offline: Path) -> None:
    sets = {"web": SFTDataset(rows(screens)[:1]), "desktop": SFTDataset(rows(screens)[1:4])}
    callback = OpenAdaptWandbCallback(grounding={"web": builders.evaluator(screens, 2)})
    builders.trainer(screens, builders.arguments(offline, max_steps=5), [callback], eval_dataset=sets).train()
    run = builders.read_back(callback, offline)
    assert run.column("eval/web_grounding_samples") == [2]
    assert not [key for row in run.rows for key in row if "desktop_grounding" in key]


def trl_trainer(screens: Path, folder: Path, callback: Any, **options: Any) -> Any:
    pytest.importorskip("trl")
    train, evaluation = (
        hub_dataset(screens, name, columns=("images", "messages", "bbox")) for name in ("train", "eval")
    )
    return builders.sft_trainer(folder, train, evaluation, callback, **options)


def test_trls_trainer_drops_the_box_and_training_finds_it_all_the_same(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback()
    trl_trainer(screens, offline, callback).train()
    assert callback.last_report is not None
    assert [type(row.sample.target) for row in callback.last_report.rows] == [BoxTarget] * 4
    run = builders.read_back(callback, offline)
    assert run.column("eval/grounding_samples") == [4]
    assert run.summary["baseline/grounding_accuracy"] == 0


def test_where_the_box_is_gone_the_answers_own_point_counts_and_the_user_is_told_how_to_keep_it(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = OpenAdaptWandbCallback()
    trainer = trl_trainer(screens, offline, callback)
    metrics = [trainer.evaluate(), trainer.evaluate()]
    assert [m["eval_grounding_samples"] for m in metrics] == [4, 4]
    assert callback.last_report is not None
    targets = [row.sample.target for row in callback.last_report.rows]
    assert all(isinstance(target, PointTarget) and target.tolerance == 0.05 for target in targets)
    told = [r.getMessage() for r in caplog.records if "remove_unused_columns=False" in r.getMessage()]
    assert len(told) == 1
    assert "within 0.05 of the answer's own point" in told[0]
    assert "eval_grounding_fixed" in metrics[1]  # the second is of the same samples


def test_trls_trainer_keeps_the_box_if_it_is_told_to(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback()
    trl_trainer(screens, offline, callback, remove_unused_columns=False).evaluate()
    assert callback.last_report is not None
    assert [type(row.sample.target) for row in callback.last_report.rows] == [BoxTarget] * 4


def test_a_large_set_says_how_many_of_its_rows_are_used(screens: Path) -> None:
    many = SFTDataset(rows(screens, count=8) * 40)
    own = own_samples(many, reader=READER)
    assert own.samples is not None
    ids = [sample.id for sample in own.samples]
    again = own_samples(many, reader=READER).samples
    assert again is not None
    assert ids == [sample.id for sample in again]
    assert len(ids) == 128
    assert any(int(name.split()[-1]) > 256 for name in ids)
    assert "128 of 320 rows" in own.notice
    assert "the same ones each time" in own.notice


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield {}


@pytest.mark.parametrize(
    ("dataset", "complaint"),
    [
        (Dataset.from_list([{"input_ids": [1, 2], "labels": [1, 2]}]), "tokenised"),
        (Dataset.from_list([{"text": "a"}]), "of the columns text"),
        ([("a", "tuple")], "of the columns none"),
        (Stream(), "can't be read row by row"),
        ([], "can't be read row by row"),
    ],
)
def test_rows_that_cannot_be_graded_are_said_to_need_an_evaluator(dataset: Any, complaint: str) -> None:
    own = own_samples(dataset, reader=READER)
    assert own.samples is None
    assert complaint in own.notice
    assert "grounding=GroundingEvaluator(read_samples(" in own.notice


def test_rows_whose_answers_point_nowhere_are_said_to_be_so(screens: Path) -> None:
    row = {**rows(screens)[0]}
    del row["bbox"]
    row["messages"] = [*row["messages"][:-1], {"role": "assistant", "content": "Action: DONE()"}]
    own = own_samples(SFTDataset([row]), reader=READER)
    assert own.samples is None
    assert "points anywhere" in own.notice


def test_datasets_are_the_same_rows_with_fewer_columns_and_not_otherwise(screens: Path) -> None:
    whole = hub_dataset(screens, columns=("images", "messages", "bbox"))
    assert same_rows(whole, whole)
    assert same_rows(whole.remove_columns(["bbox"]), whole)
    assert not same_rows(whole, whole.remove_columns(["bbox"]))
    assert not same_rows(whole.select([0, 1]), whole)
    assert not same_rows(whole.select([3, 2, 1, 0]), whole)
    assert not same_rows([1], whole)
    # The same requests, of other screens.
    other = hub_dataset(screens, "train", columns=("images", "messages", "bbox"))
    alike = other.remove_columns(["messages"]).add_column("messages", whole["messages"][:])
    assert not same_rows(alike, whole)
    assert not same_rows(hub_dataset(screens, columns=("images", "messages", "bbox")), whole)


class Unreadable(list[Any]):
    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("the disk is gone")


def test_a_set_that_cannot_be_read_ends_no_training_at_its_begin(
    screens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meter = ClickMeter("auto", baseline=True)
    args = builders.arguments(screens)
    assert meter.sets(Unreadable([1, 2]), args, None, builders.processor()) == []
    assert "the evaluation set can't be read (RuntimeError: the disk is gone)" in caplog.text


def test_a_processor_without_patches_is_no_obstacle(screens: Path) -> None:
    from types import SimpleNamespace

    processor = SimpleNamespace(image_processor=SimpleNamespace())
    meter = ClickMeter("auto", baseline=True)
    ((split, evaluator),) = meter.sets(SFTDataset(rows(screens)), builders.arguments(screens), None, processor)
    assert split == "eval"
    assert len(evaluator.samples) == 4


def test_a_resumed_training_finds_the_boxes_that_trl_drops(screens: Path, offline: Path) -> None:
    first = trl_trainer(screens, offline, OpenAdaptWandbCallback(grounding=None))
    first.train()
    first.save_state()
    first._save_checkpoint(first.model, trial=None)
    callback = OpenAdaptWandbCallback()
    again = trl_trainer(screens, offline, callback)
    again.args.max_steps = 4
    again.train(resume_from_checkpoint=str(offline / "out" / "checkpoint-2"))
    assert callback.last_report is not None
    assert [type(row.sample.target) for row in callback.last_report.rows] == [BoxTarget] * 4


class GoneDisk:
    """Pictures that fail in a way that no reader of pictures fails: a disk that has gone away, say."""

    def open(self) -> Any:
        raise RuntimeError("the disk is gone")


def test_an_evaluation_that_fails_is_named_and_the_training_goes_on(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dataclasses import replace

    first, second = builders.evaluator(screens).samples[:2]
    evaluator = GroundingEvaluator([first, replace(second, image=GoneDisk())], max_new_tokens=4, progress=False)
    callback = OpenAdaptWandbCallback(grounding=evaluator, baseline=False)
    # Chosen by what couldn't be measured: no checkpoint is the best, and the Trainer doesn't miss the metric.
    args = builders.arguments(
        offline, max_steps=5, save_strategy="best", metric_for_best_model="grounding_accuracy", greater_is_better=True
    )
    trainer = builders.trainer(screens, args, [callback])
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 5
    assert trainer.state.best_model_checkpoint is None
    (warning,) = [r.getMessage() for r in caplog.records if "has no grounding" in r.getMessage()]
    assert "the disk is gone" in warning
    assert second.id in warning
    run = builders.read_back(callback, offline)
    assert len(run.column("eval/loss")) == 1
    assert not [key for row in run.rows for key in row if "grounding" in key]


def test_a_resumed_training_measures_neither_the_baseline_nor_the_checkpoints_evaluation_again(
    screens: Path, offline: Path
) -> None:
    evaluator = builders.evaluator(screens)
    asked = []

    class Counting(type(evaluator)):  # type: ignore[misc]
        def evaluate(self, model: Any, processor: Any = None) -> Any:
            asked.append(1)
            return super().evaluate(model, processor)

    counting = Counting(evaluator.samples, batch_size=4, max_new_tokens=4, progress=False)
    args = builders.arguments(offline, max_steps=5, save_strategy="steps", save_steps=5)
    first = builders.trainer(screens, args, [OpenAdaptWandbCallback(grounding=counting)])
    first.train()
    assert len(asked) == 2  # the base model, and the evaluation at step 5
    args = builders.arguments(
        offline, save_strategy="no", eval_on_start=True, metric_for_best_model="grounding_accuracy"
    )
    callback = OpenAdaptWandbCallback(grounding=counting)
    resumed = builders.trainer(screens, args, [callback])
    resumed.train(resume_from_checkpoint=str(offline / "out" / "checkpoint-5"))
    assert len(asked) == 3  # step 10 alone
    evaluations = [e for e in resumed.state.log_history if "eval_loss" in e]
    assert [e["step"] for e in evaluations] == [5, 5, 10]
    assert evaluations[1]["eval_grounding_samples"] == 4
    assert json.dumps(callback.last_report.metrics) if callback.last_report else False
