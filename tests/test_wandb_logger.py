"""A loop without a Trainer: the same keys, nothing lost, the end told truly."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
import wandb

from oaml_callbacks import WandbLogger
from oaml_callbacks.links import LinkError
from oaml_callbacks.testing import RecordedRun, read_run


def read_back(folder: Path) -> RecordedRun:
    wandb.teardown()
    return read_run(folder)


def test_a_hand_written_loop_writes_the_callbacks_keys(offline: Path) -> None:
    with WandbLogger(enabled=True, config={"lora_r": 16}) as tracker:
        for step in (1, 2):
            tracker.log_metrics({"loss": 1.0 / step, "learning_rate": 0.1}, step=step)
        tracker.log_metrics({"eval_loss": 0.25, "val/iou": 0.5})
        tracker.log_evaluation_summary(0.75, 0.125, 96, samples=128)
        tracker.log_evaluation_summary(accuracy=0.5, avg_distance=0.25, step=3)
    run = read_back(offline)
    assert run.project == "openadapt-ml"
    assert run.config["lora_r"] == 16
    assert run.rows == [
        {"train/loss": 1.0, "train/learning_rate": 0.1, "train/global_step": 1},
        {"train/loss": 0.5, "train/learning_rate": 0.1, "train/global_step": 2},
        {"eval/loss": 0.25, "val/iou": 0.5, "train/global_step": 2},
        {
            "eval/grounding_accuracy": 0.75,
            "eval/grounding_distance": 0.125,
            "eval/grounding_correct": 96,
            "eval/grounding_samples": 128,
            "train/global_step": 2,
        },
        {"eval/grounding_accuracy": 0.5, "eval/grounding_distance": 0.25, "train/global_step": 3},
    ]
    assert run.summary["best/grounding_accuracy"] == 0.75
    assert run.summary["best/grounding_distance"] == 0.125
    assert run.summary["best/global_step"] == 2
    assert run.metrics["*"].step_metric == "train/global_step"
    assert run.exit_code == 0
    assert run.summary["outcome"] == "finished"


def test_a_step_that_goes_backwards_loses_nothing(offline: Path) -> None:
    with WandbLogger(enabled=True) as tracker:
        for step in (5, 3, 5, 1):
            tracker.log_metrics({"loss": float(step)}, step=step)
    assert read_back(offline).series("train/loss") == [(5, 5), (3, 3), (5, 5), (1, 1)]


def test_the_best_evaluation_is_the_most_accurate_then_the_nearest_then_the_first(offline: Path) -> None:
    with WandbLogger(enabled=True) as tracker:
        for step, accuracy, distance in [(1, 0.5, 0.3), (2, 0.5, 0.2), (3, 0.5, 0.2), (4, 0.4, 0.1)]:
            tracker.log_evaluation_summary(accuracy, distance, step=step)
        tracker.log_evaluation_summary(float("nan"), 0.0, step=5)
    summary = read_back(offline).summary
    assert summary["best/grounding_accuracy"] == 0.5
    assert summary["best/grounding_distance"] == 0.2
    assert summary["best/global_step"] == 2


def test_a_distance_that_is_no_number_never_wins(offline: Path) -> None:
    with WandbLogger(enabled=True) as tracker:
        for step, distance in [(1, 0.2), (2, float("nan")), (3, 0.3)]:
            tracker.log_evaluation_summary(0.5, distance, step=step)
    assert read_back(offline).summary["best/global_step"] == 1


def test_a_config_that_is_no_json_is_written_as_text(offline: Path) -> None:
    with WandbLogger(enabled=True, config={"odd": object(), "lora_r": 4}) as tracker:
        assert tracker.enabled
    config = read_back(offline).config
    assert config["lora_r"] == 4
    assert "object" in config["odd"]


def test_links_are_there_from_the_start_and_can_be_set(offline: Path) -> None:
    with WandbLogger(enabled=True, name="my run", notes="Why I did it.") as tracker:
        assert tracker.links["viewer_url"] == f"http://localhost:8080/viewer.html?run={tracker.run_id}"
        tracker.set_viewer_url("https://example.com/v?a=1&b=(2)")
        tracker.set_dashboard_url("https://example.com/d")
        with pytest.raises(LinkError, match="credentials"):
            tracker.set_viewer_url("https://user:secret@example.com")
    run = read_back(offline)
    assert run.summary["viewer_url"] == "https://example.com/v?a=1&b=(2)"
    assert run.summary["dashboard_url"] == "https://example.com/d"
    assert run.notes == (
        "Why I did it.\n\n[Viewer](https://example.com/v?a=1&b=%282%29) · [Dashboard](https://example.com/d)"
    )


def test_an_open_run_is_used_and_left_open(offline: Path) -> None:
    mine = wandb.init(project="mine")
    with WandbLogger(enabled=True, config={"a": 1}) as tracker:
        tracker.log_metrics({"loss": 1.0}, step=1)
    assert wandb.run is mine
    mine.finish()
    run = read_back(offline)
    assert run.project == "mine"
    assert run.config["a"] == 1
    assert run.column("train/loss") == [1.0]


@pytest.mark.parametrize(
    ("error", "exit_code", "outcome"),
    [(ValueError, 1, "failed: ValueError"), (KeyboardInterrupt, 255, "interrupted")],
)
def test_an_exception_marks_the_run(offline: Path, error: type[BaseException], exit_code: int, outcome: str) -> None:
    with pytest.raises(error), WandbLogger(enabled=True):
        raise error("a message that may hold anything")
    run = read_back(offline)
    assert run.exit_code == exit_code
    assert run.summary["outcome"] == outcome


def test_offline_runs_tell_the_command_that_sends_them(offline: Path) -> None:
    with WandbLogger(enabled=True) as tracker:
        assert tracker.state == "offline"
        assert tracker.url is None
    assert tracker.folder is not None
    assert tracker.sync_command is not None
    program, command, folder = shlex.split(tracker.sync_command)
    assert shutil.which(program) is not None  # it can be typed as it is, also where the environment isn't active
    assert (command, Path(folder)) == ("sync", tracker.folder)
    assert tracker.folder.is_dir()
