"""What users get wrong, and what the world does to them: said once and clearly, and the training goes on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback, read_sft_samples
from oaml_callbacks.grounding import GroundingSample
from oaml_callbacks.keys import MAX_KEY

from . import builders


def test_a_name_that_only_looks_like_an_evaluations_starts_none(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = builders.trainer(screens, builders.arguments(offline), [callback])
    trainer.log({"data_runtime": 1.0})
    assert callback.last_report is None
    (row,) = builders.read_back(callback, offline).rows
    assert row["train/data_runtime"] == 1.0
    assert not any("grounding" in key for key in row)


def test_choosing_the_largest_distance_is_warned_of(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = builders.arguments(offline, metric_for_best_model="grounding_distance", save_strategy="best")
    builders.trainer(screens, args, [OpenAdaptWandbCallback(grounding=builders.evaluator(screens))])
    assert "Set greater_is_better=False" in caplog.text


def test_an_evaluation_whose_pictures_are_all_gone_ends_no_training(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sample = read_sft_samples(screens / "eval.jsonl")[0]
    gone = GroundingSample("gone", "gone.png", sample.messages, sample.target)
    callback = OpenAdaptWandbCallback(grounding=GroundingEvaluator([gone], progress=False), baseline=False)
    builders.trainer(screens, builders.arguments(offline), [callback]).train()
    run = builders.read_back(callback, offline)
    assert len(run.column("eval/loss")) == 2
    assert "has no grounding" in caplog.text


def test_a_picture_that_the_processor_refuses_is_named_and_the_others_go_on(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = read_sft_samples(screens / "eval.jsonl")[:3]
    line = offline / "line.png"
    Image.new("RGB", (1, 900)).save(line)
    bad = GroundingSample("line", line, samples[0].messages, samples[0].target)
    evaluator = GroundingEvaluator([samples[0], bad, *samples[1:]], max_new_tokens=2, progress=False)
    report = evaluator.evaluate(builders.lora_model(), builders.processor())
    assert [row.sample.id for row in report.rows] == [sample.id for sample in samples]
    assert report.skipped == 1
    assert "line.png" in caplog.text


def test_a_configuration_with_objects_in_it_is_written_as_text(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=None, config={"lora": {"r": 4}, "odd": object(), "path": Path("a")})
    builders.trainer(screens, builders.arguments(offline), [callback]).evaluate()
    config = builders.read_back(callback, offline).config["oaml"]["config"]
    assert config["lora"] == {"r": 4}
    assert config["odd"].startswith("<object")
    assert config["path"] == "a"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_losses_that_are_no_finite_numbers_are_logged_as_they_are(screens: Path, offline: Path, value: float) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback])
    trainer.log({"loss": value})
    (logged,) = builders.read_back(callback, offline).column("train/loss")
    assert logged == value or (math.isnan(logged) and math.isnan(value))


def test_what_is_no_number_is_left_out_and_named_once(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import numpy as np

    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback])
    for _ in range(3):
        trainer.log({"loss": 1.0, "mood": "good", "many": [1, 2], "none": None})  # type: ignore[dict-item]
    trainer.log({"torch": torch.tensor(2.5), "numpy": np.float32(1.5), "flag": True})  # type: ignore[dict-item]
    run = builders.read_back(callback, offline)
    assert run.column("train/loss") == [1.0, 1.0, 1.0]
    assert not any({"train/mood", "train/many", "train/none"} & set(row) for row in run.rows)
    assert run.column("train/torch") == [2.5]
    assert run.column("train/numpy") == [1.5]
    warnings = [r.getMessage() for r in caplog.records if "is not logged" in r.getMessage()]
    assert len(warnings) == 3
    assert any("'train/mood'" in warning and "str" in warning for warning in warnings)


def test_odd_keys_do_no_harm(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback])
    trainer.log({"a/b": 1.0, "c.d": 2.0, "two\nlines\x00": 3.0, "": 4.0, "k" * 3000: 5.0})
    (row,) = builders.read_back(callback, offline).rows
    assert row["train/a/b"] == 1.0
    assert row["train/c.d"] == 2.0
    assert row["train/two_lines_"] == 3.0
    (long,) = [key for key in row if key.startswith("train/kkk")]
    assert len(long) <= MAX_KEY + len("train/")
    assert row[long] == 5.0


def test_a_name_of_ten_thousand_characters_is_cut_with_a_warning(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = OpenAdaptWandbCallback(grounding=None)
    builders.trainer(screens, builders.arguments(offline, run_name="n" * 10_000), [callback]).evaluate()
    assert builders.read_back(callback, offline).name == "n" * 128
    assert "10000 characters" in caplog.text


def test_an_unwritable_folder_for_wandb_ends_no_training(
    screens: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = offline / "blocked"
    blocked.write_text("a file where a folder should be")
    monkeypatch.setenv("WANDB_DIR", str(blocked))
    callback = OpenAdaptWandbCallback(grounding=None)
    trainer = builders.trainer(screens, builders.arguments(offline), [callback])
    trainer.train()
    assert trainer.state.global_step == 10
    # wandb warns of it by itself, and writes elsewhere.
    assert callback.run_folder is not None
    assert not callback.run_folder.is_relative_to(offline)
    assert len(builders.read_back(callback, callback.run_folder).rows) == 8


def test_a_broken_picture_is_named_and_counted_and_the_others_go_on(
    screens: Path, offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = read_sft_samples(screens / "eval.jsonl")[:3]
    broken, missing = offline / "broken.png", offline / "missing.png"
    broken.write_bytes(b"\x89PNG no more")
    bad = [GroundingSample(p.name, p, samples[0].messages, samples[0].target) for p in (broken, missing)]
    evaluator = GroundingEvaluator([*samples, *bad], batch_size=2, max_new_tokens=2, progress=False)
    callback = OpenAdaptWandbCallback(grounding=evaluator, baseline=False)
    builders.trainer(screens, builders.arguments(offline), [callback]).evaluate()
    (row,) = builders.read_back(callback, offline).rows
    assert row["eval/grounding_samples"] == 3
    assert row["eval/grounding_skipped"] == 2
    assert str(broken) in caplog.text
    assert str(missing) in caplog.text


def test_grounding_without_a_processor_says_what_to_do(screens: Path, offline: Path) -> None:
    callback = OpenAdaptWandbCallback(grounding=builders.evaluator(screens))
    trainer = builders.trainer(screens, builders.arguments(offline), [callback], processing_class=None)
    with pytest.raises(ValueError, match=r"processing_class=processor"):
        trainer.train()


def test_wrong_links_are_refused_when_the_callback_is_made() -> None:
    with pytest.raises(ValueError, match=r"unknown field \{steps\}"):
        OpenAdaptWandbCallback(viewer_url="http://localhost/{steps}")


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        OpenAdaptWandbCallback(None)  # type: ignore[call-arg]
