from __future__ import annotations

import json
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.run_folder.openadapt_log import MAX_GALLERIES, MAX_GALLERY, MAX_LOSSES, OpenAdaptLog

from ..graded import INSIDE, evaluation, graded, report
from ..run_folders import learning, write_run


class Written(OpenAdaptLog):
    """Whose files are written as the run folder writes them."""

    def __init__(self, folder: Path) -> None:
        super().__init__({"job_id": "a"}, time.time())
        self.folder = folder

    def write(self, *, max_steps: int, samples_seen: int) -> None:
        (self.folder / "training_log.json").write_text(self.text(max_steps=max_steps, samples_seen=samples_seen) or "")

    def add_evaluation(self, *given: Any, **named: Any) -> tuple[str, str]:
        name, text = super().add_evaluation(*given, **named)
        (self.folder / name).write_text(text)
        return name, text


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "training_log.json").read_text())
    return found


def log(folder: Path) -> Written:
    made = Written(folder)
    made.num_epochs = 3
    return made


def row(step: int, loss: float = 1.0, **others: float) -> dict[str, float]:
    return {"train/loss": loss, "train/learning_rate": 0.1, "train/global_step": step, **others}


def test_the_log_has_every_field_of_openadapt_mls_state(tmp_path: Path) -> None:
    found = written(write_run(tmp_path, reports=learning(3, 2)))
    # As `TrainingState.to_dict` of openadapt-ml 0.17.0 has them.
    fields = (
        "job_id hostname capture_path config_path goal model_name lora_r lora_alpha load_in_4bit instance_type "
        "instance_ip started_at cloud_provider cloud_dashboard_url cloud_instance_id setup_status setup_logs epoch "
        "step total_steps total_epochs loss learning_rate samples_seen elapsed_time losses evaluations "
        "termination_status termination_message"
    )
    assert sorted(found) == sorted(fields.split())
    assert set(found["losses"][0]) == {"epoch", "step", "loss", "lr", "time"}
    assert set(found["evaluations"][0]) == {
        "epoch", "sample_idx", "image_path", "human_action", "predicted_action", "distance", "correct",
    }  # fmt: skip


def test_pictures_are_named_relative_to_the_folder_and_are_there(tmp_path: Path) -> None:
    folder = write_run(tmp_path, reports=learning(3, 2))
    paths = {entry["image_path"] for entry in written(folder)["evaluations"]}
    assert len(paths) == 3
    assert all((folder / path).is_file() for path in paths)


def test_a_long_training_is_thinned_and_its_last_loss_is_told(tmp_path: Path) -> None:
    made = log(tmp_path)
    for step in range(1, 5 * MAX_LOSSES):
        made.add_loss(row(step), at=time.time())
    made.write(max_steps=10**6, samples_seen=0)
    steps = [entry["step"] for entry in written(tmp_path)["losses"]]
    assert MAX_LOSSES // 2 <= len(steps) <= MAX_LOSSES
    assert len({b - a for a, b in pairwise(steps)}) == 1
    assert written(tmp_path)["step"] == 5 * MAX_LOSSES - 1


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_left_out(tmp_path: Path, loss: float) -> None:
    made = log(tmp_path)
    made.add_loss(row(1), at=time.time())
    made.add_loss(row(2, loss), at=time.time())
    made.write(max_steps=2, samples_seen=0)
    assert [entry["step"] for entry in written(tmp_path)["losses"]] == [1]


def test_the_last_evaluation_of_an_epoch_stays_and_the_end_is_in_the_last_epoch(tmp_path: Path) -> None:
    made = log(tmp_path)
    for epoch, wrong in ((0.2, [0]), (0.9, []), (3.0, [1])):
        made.add_evaluation(evaluation(2, wrong).rows, {}, epoch=epoch)
    matches = {
        path.name: [one["match"] for one in json.loads(path.read_text())["predictions"]]
        for path in tmp_path.glob("predictions_epoch*.json")
    }
    assert matches == {"predictions_epoch0.json": [True, True], "predictions_epoch2.json": [True, False]}


def test_all_files_have_the_samples_of_the_first_in_its_order(tmp_path: Path) -> None:
    made = log(tmp_path)
    made.add_evaluation(evaluation(3).rows, {}, epoch=0)
    made.add_evaluation(report([graded(2, None), graded(9)]).rows, {}, epoch=1)
    first, second = (json.loads((tmp_path / f"predictions_epoch{number}.json").read_text()) for number in (0, 1))
    assert first["base_data"] == second["base_data"]
    assert [one["predicted_action"]["type"] for one in second["predictions"]] == ["none", "none", "unreadable"]


def test_galleries_are_bounded(tmp_path: Path) -> None:
    made = log(tmp_path)
    for number in range(MAX_GALLERIES + 5):
        made.add_evaluation(evaluation(2 * MAX_GALLERY).rows, {}, epoch=number)
    made.write(max_steps=1, samples_seen=0)
    assert len(written(tmp_path)["evaluations"]) == MAX_GALLERIES * MAX_GALLERY


def test_an_answers_markup_reaches_no_page_of_theirs(tmp_path: Path) -> None:
    made = log(tmp_path)
    hostile = graded(0, INSIDE, answer="</script><script>alert(1)</script><img src=x onerror=alert(1)>&lt;")
    made.add_evaluation([hostile], {}, epoch=0)
    made.write(max_steps=1, samples_seen=0)
    for path in tmp_path.glob("*.json"):
        assert not set("<>&") & set(path.read_text())


def test_a_distance_is_a_number_and_no_prediction_is_null(tmp_path: Path) -> None:
    made = log(tmp_path)
    made.add_evaluation([graded(0, None), graded(1, (math.nan, 0.5))], {}, epoch=0)
    made.write(max_steps=1, samples_seen=0)
    for entry in written(tmp_path)["evaluations"]:
        assert isinstance(entry["distance"], float)
        assert entry["predicted_action"]["raw_output"]
        assert "x" not in entry["predicted_action"]
