"""Tables as W&B has them: read back from what the SDK wrote offline, and from what a server was sent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oaml_callbacks.grounding.metrics import GroundingReport
from oaml_callbacks.media import COLUMNS, TABLE_KEY, GroundingTables
from oaml_callbacks.testing import RecordedArtifact, RecordedRun, read_run

from .builders import arguments, evaluator, read_back, trainer
from .graded import OUTSIDE, evaluation, graded, picture, report
from .loopback import API_KEY, loopback


def log(*evaluations: GroundingReport, **options: Any) -> GroundingTables:
    """Open a run, log each evaluation's accuracy and table as one row, finish."""
    import wandb

    run = wandb.init(project="clicks")
    tables = GroundingTables(run, **options)
    previous = None
    for step, evaluated in enumerate(evaluations):
        row: dict[str, Any] = {f"eval/{name}": value for name, value in evaluated.metrics.items()}
        row |= {TABLE_KEY: tables.table(evaluated, previous, step), "train/global_step": step}
        run.log(row)
        previous = evaluated
    tables.close()
    run.finish()
    wandb.teardown()
    return tables


def table_artifacts(run: RecordedRun) -> list[RecordedArtifact]:
    return [artifact for artifact in run.artifacts if artifact.type == "run_table"]


def rows_of(artifact: RecordedArtifact) -> list[dict[str, Any]]:
    path = artifact.files["grounding_table.table.json"].local_path
    assert path is not None
    table = json.loads(path.read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_an_evaluation_is_one_row_with_its_numbers_and_its_table(offline: Path) -> None:
    log(report([graded(0, OUTSIDE, image=picture(size=(1920, 1080))), graded(1)]))
    run = read_run(offline)
    (row,) = run.rows
    assert row["eval/grounding_accuracy"] == 0.5
    assert (row["train/global_step"], row[TABLE_KEY]["_type"], row[TABLE_KEY]["nrows"]) == (0, "table-file", 2)
    (artifact,) = table_artifacts(run)
    assert row[TABLE_KEY]["artifact_path"].endswith("/grounding_table.table.json")
    assert json.loads(run.media_path(row[TABLE_KEY]).read_text())["columns"] == list(COLUMNS)

    logged = next(row for row in rows_of(artifact) if row["sample"] == "sample-0")
    screenshot = logged.pop("screenshot")
    assert logged == {
        "step": 0,
        "instruction": "Click 0.",
        "target": "click within (0.4, 0.4, 0.6, 0.5)",
        "predicted": "click (0.8, 0.2)",
        "correct": False,
        "distance": pytest.approx(0.3905, abs=1e-3),
        "outcome": "elsewhere",
        "answer": "an answer",
        "sample": "sample-0",
        "why": "fixed set",
    }
    assert (screenshot["format"], screenshot["width"], screenshot["height"]) == ("jpg", 960, 540)
    assert set(screenshot["boxes"]) == {"human", "predicted"}
    path = artifact.files[screenshot["path"]].local_path
    assert path is not None
    with Image.open(path) as read:
        assert (read.format, read.size) == ("JPEG", (960, 540))


def test_pictures_are_on_disk_once_and_nothing_stays_in_the_staging_folder(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = offline / "home"
    monkeypatch.setenv("WANDB_DATA_DIR", str(home))
    log(*(evaluation(8, wrong=range(step, 8)) for step in range(3)))
    run = read_run(offline)
    folder = run.path.parent
    assert not [path for path in home.rglob("*") if path.is_file()]
    pictures = list(folder.rglob("*.jpg"))
    assert len(pictures) == 8
    assert len(table_artifacts(run)) == 3
    staged = {file.local_path for artifact in table_artifacts(run) for file in artifact.files.values()}
    assert set(pictures) < staged
    assert all(path is not None and path.is_file() and path.is_relative_to(folder) for path in staged)
    # What W&B stages twice is removed: no file but those that are to be sent.
    assert {path for path in (folder / "grounding").rglob("*") if path.is_file()} == staged
    assert os.environ["WANDB_DATA_DIR"] == str(home)


def test_beyond_max_media_mb_tables_go_on_with_the_pictures_that_are_there(
    offline: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables = log(evaluation(4), evaluation(20, wrong=range(20)), evaluation(20), max_media_mb=0.005)
    counts = [
        [row["screenshot"] is not None for row in rows_of(artifact)] for artifact in table_artifacts(read_run(offline))
    ]
    assert [all(count) for count in counts] == [True, False, False]
    assert any(counts[1])
    assert tables._pictures.bytes <= 0.005 * 2**20
    assert len([message for message in caplog.messages if "max_media_mb allows" in message]) == 1


def test_without_room_for_any_picture_there_is_a_table_all_the_same(offline: Path) -> None:
    log(evaluation(3), max_media_mb=0)
    assert [row["screenshot"] for row in rows_of(table_artifacts(read_run(offline))[0])] == [None] * 3


def test_awkward_text_is_cut_marked_and_can_be_sent(offline: Path) -> None:
    log(report([graded(0, answer="\ud800\x00" + "x" * 10**6), graded(1, answer="half of", stopped=False)]))
    answers = {row["sample"]: row["answer"] for row in rows_of(table_artifacts(read_run(offline))[0])}
    assert answers["sample-0"].startswith("\ufffd\\x00xxx")
    assert answers["sample-0"].endswith("…[cut: 1,000,002 characters]")
    assert len(answers["sample-0"]) < 600
    assert answers["sample-1"] == "half of …[not finished: stopped at max_new_tokens]"


def test_a_table_that_cannot_be_made_costs_the_table_alone(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    import wandb

    run = wandb.init(project="clicks")
    (Path(run.dir).parent / "grounding").write_text("a file where a folder is needed")
    assert GroundingTables(run).table(evaluation(2), None, 0) is None
    assert "eval/grounding_table" in caplog.text
    run.finish()


@pytest.mark.parametrize("options", [{"max_rows": 0}, {"keep_tables": 0}, {"max_media_mb": -1}])
def test_limits_that_make_no_sense_are_refused(offline: Path, options: dict[str, int]) -> None:
    import wandb

    with wandb.init(project="clicks") as run, pytest.raises(ValueError, match="at least"):
        GroundingTables(run, **options)


def test_embeddings_are_logged_as_lists_that_the_projection_panel_takes(offline: Path) -> None:
    import wandb

    rows = list(evaluation(3, wrong=[1]).rows)
    vectors = np.array([[0.1, 0.2], [1.5, -2.0], [np.nan, 1.0]], dtype=np.float16)
    with wandb.init(project="clicks") as run:
        tables = GroundingTables(run, max_rows=8)
        run.log({"eval/grounding_embeddings": tables.embeddings(rows, vectors, 5)})
    wandb.teardown()
    (artifact,) = table_artifacts(read_run(offline))
    path = artifact.files["grounding_embeddings.table.json"].local_path
    assert path is not None
    table = json.loads(path.read_text())
    assert table["columns"] == ["step", "embedding", "instruction", "correct", "sample"]
    assert table["data"] == [
        [5, [0.1, 0.2], "Click 0.", True, "sample-0"],
        [5, [1.5, -2.0], "Click 1.", False, "sample-1"],
        [5, None, "Click 2.", True, "sample-2"],
    ]


def test_an_offline_run_that_is_synced_sends_tables_with_every_picture_once(offline: Path) -> None:
    log(evaluation(3), evaluation(3, wrong=[0]), evaluation(3))
    folder = read_run(offline).path.parent
    with loopback() as server:
        program = shutil.which("wandb", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert program is not None
        environment = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": API_KEY, "WANDB_MODE": "online"}
        sent = subprocess.run(
            [program, "sync", str(folder)], check=False, env=environment, capture_output=True, text=True, timeout=60
        )
        assert sent.returncode == 0, sent.stderr
    assert [row[TABLE_KEY]["_type"] for row in server.history] == ["table-file"] * 3
    assert [version.committed for version in server.versions] == [True] * 3
    for version in server.versions:
        table = json.loads(server.content(version, "grounding_table.table.json"))
        assert len(table["data"]) == 3
        for row in table["data"]:
            screenshot = row[table["columns"].index("screenshot")]
            assert server.content(version, screenshot["path"]).startswith(b"\xff\xd8")  # a JPEG's first bytes
    assert len([key for key in server.uploads if key.endswith(".jpg")]) == 3


def test_a_trainers_evaluation_is_one_row_with_its_table_beside_a_progress_bar_that_copies_logs(
    offline: Path, screens: Path
) -> None:
    from oaml_callbacks import OpenAdaptWandbCallback

    callback = OpenAdaptWandbCallback(grounding=evaluator(screens), baseline=False)
    training = trainer(screens, arguments(offline, max_steps=5, disable_tqdm=False), [callback])
    training.train()
    run = read_back(callback, offline)
    (row,) = [row for row in run.rows if TABLE_KEY in row]
    assert {"eval/loss", "eval/grounding_accuracy", "train/global_step"} <= set(row)
    assert [row for row in run.rows if "eval/loss" in row] == [row]
    assert not any("grounding_table" in name for entry in training.state.log_history for name in entry)
