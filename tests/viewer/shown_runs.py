"""A folder of runs in every state that a page can meet, hostile ones among them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from oaml_callbacks.grounding.metrics import GroundingReport
from oaml_callbacks.run_folder import layout

from ..graded import INSIDE, OUTSIDE, graded, picture, report
from ..run_folders import fall_silent, write_run

SAMPLES = 12
EVALUATIONS = 5

PLANTED = '</script><script>alert("planted")</script><img src=x onerror=alert(1)><svg onload=alert(2)>'
"""Text that would be seen to run: a dialog is a failure of the test."""


def evaluations(seed: int = 0) -> list[GroundingReport]:
    """Sample `n` is right from evaluation `n % 5` on; the last evaluation breaks sample 1; sample 11 is unreadable."""
    reports = []
    for number in range(EVALUATIONS):
        rows = []
        for index in range(SAMPLES):
            right = number > index % EVALUATIONS and not (number == EVALUATIONS - 1 and index == 1 + seed)
            wandering = (OUTSIDE[0] - 0.05 * number, OUTSIDE[1] + 0.05 * number)
            point = None if index == SAMPLES - 1 else INSIDE if right else wandering
            answer = "I don't see it." if point is None else f"Action: CLICK(x={point[0]:.2f}, y={point[1]:.2f})"
            rows.append(graded(index, point, image=picture(index, (640, 360)), answer=answer))
        reports.append(report(rows))
    return reports


def upright(name: str, folder: Path) -> Path:
    """A run on a telephone's screen, with a name as long as they come."""
    rows = [graded(index, OUTSIDE, image=picture(index, (360, 780))) for index in range(3)]
    return write_run(folder, name, reports=[report(rows)], name=f"{name} " + "x" * 300)


def write_states(folder: Path) -> Path:
    """`ended`, `other` (the same samples), `training`, `died`, `failed`, `young` (nothing logged) and `theirs`."""
    write_run(folder, "ended", reports=evaluations(), name="ended run", links={"url": "https://wandb.ai/a/b/runs/c"})
    write_run(folder, "other", reports=evaluations(seed=1), name="the other run")
    write_run(folder, "failed", reports=evaluations()[:2], outcome="failed: ValueError", name="failed run")
    write_run(folder, "died", reports=evaluations()[:3], outcome=None, name="dead run")
    fall_silent(folder / "died", 400)
    write_run(folder, "young", losses=0, outcome=None, name="young run")
    write_run(
        folder,
        "training",
        reports=evaluations()[:3],
        outcome=None,
        name="live run",
        links={"sync_command": "wandb sync wandb/offline-run-training"},
    )
    write_foreign(folder / "theirs")
    return folder


def write_foreign(folder: Path) -> None:
    """A run as openadapt-ml's own trainer writes it."""
    folder.mkdir(parents=True)
    picture(3, (640, 360)).save(folder / "screen.png")
    click = {"type": "click", "x": 0.5, "y": 0.45, "text": "Click it"}
    log = {
        "job_id": "20260101_000000",
        "goal": "Fill the form",
        "model_name": "Qwen/Qwen3-VL-2B-Instruct",
        "started_at": "2026-01-01T00:00:00Z",
        "step": 3,
        "total_epochs": 2,
        "termination_status": "auto_complete",
        "losses": [{"epoch": 0, "step": step, "loss": 1 / step, "lr": 1e-4, "time": step} for step in (1, 2, 3)],
        "evaluations": [
            {
                "epoch": epoch,
                "sample_idx": 0,
                "image_path": "screen.png",
                "human_action": click,
                "predicted_action": {"type": "click", "x": 0.7 - epoch / 5, "y": 0.45, "raw_output": "CLICK(…)"},
                "distance": 0.2,
                "correct": True,
            }
            for epoch in (0, 1)
        ],
    }
    (folder / layout.TRAINING_LOG).write_text(json.dumps(log))


def write_hostile(folder: Path) -> Path:
    """`hostile`: planted scripts wherever text is; `broken`: files that are missing, cut off or of another kind."""
    rows = [graded(0, INSIDE, answer=PLANTED, image=picture(1, (640, 360))), graded(1, OUTSIDE, answer="x" * 3000)]
    hostile = write_run(
        folder,
        "hostile",
        reports=[report(rows), report(rows)],
        name=PLANTED,
        split=f"eval_{PLANTED[:40]}",
        model=PLANTED,
    )
    about = json.loads((hostile / layout.RUN).read_text())
    about |= {"id": PLANTED, "project": PLANTED, "url": "javascript:alert(3)", "sync_command": PLANTED}
    about["facts"][PLANTED] = PLANTED
    (hostile / layout.RUN).write_text(json.dumps(about))
    for path in (hostile / layout.OWN).glob("samples_*"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line |= {"id": PLANTED, "instruction": PLANTED, "target": PLANTED, "groups": {PLANTED: PLANTED}}
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for path in (hostile / layout.OWN).glob("answers_*"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[1]["answer"] = PLANTED + "y" * 50_000_000
        lines[1]["status"] = lines[1]["action"] = PLANTED
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with open(hostile / layout.HISTORY, "a") as file:
        file.write(f'{{"train/global_step": 30, "train/loss": NaN, {json.dumps(PLANTED)}: 1}}\n')

    broken = write_run(folder, "broken", reports=evaluations()[:3], name="broken run")
    (broken / layout.RUN).write_text('["a list"]')
    (broken / layout.PROGRESS).write_text('{"state": "training", "step": 1e999, "max')
    (broken / layout.answers_file("eval", 10)).unlink()
    samples = broken / layout.samples_file("eval")
    samples.write_text(samples.read_text().replace("{", "", 1))
    for picture_file in list((broken / layout.SCREENSHOTS).iterdir())[:3]:
        picture_file.write_bytes(b"no picture")
    os.symlink("/etc/hostname", broken / layout.SCREENSHOTS / "link.png")
    return folder
