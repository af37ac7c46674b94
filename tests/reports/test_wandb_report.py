"""`oaml report` and `oaml workspace` with W&B: what is saved, read back from the server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb_workspaces import workspaces
from wandb_workspaces.reports.v2.interface import Report

from ..loopback import Loopback
from ..loopback.views import View
from ..run_folders import learning, write_run
from .conftest import HOSTILE, Oaml


@pytest.fixture
def sent(server: Loopback) -> Loopback:
    """A server with two runs, the second with a hostile name."""
    import wandb

    for run_id, name, accuracy in (("r1", "plain", 0.5), ("r2", f"|{HOSTILE}", 0.75)):
        with wandb.init(id=run_id, name=name) as run:
            row = {f"eval/grounding_{metric}": value for metric, value in (("accuracy", accuracy), ("distance", 0.1))}
            run.log({**row, "train/loss": 1.0, "train/learning_rate": 1e-3, "train/global_step": 30})
            run.summary["viewer_url"] = f"http://localhost:8080/viewer.html?run={run_id}"
    return server


def panels_of(view: View) -> Iterator[dict[str, Any]]:
    for block in view.spec["blocks"]:
        if block["type"] == "panel-grid":
            yield from block["metadata"]["panelBankSectionConfig"]["panels"]


def markdown_of(view: View) -> str:
    return "\n".join(block["content"] for block in view.spec["blocks"] if block["type"] == "markdown-block")


def test_a_saved_report_has_exactly_these_runs_their_curves_and_their_table(sent: Loopback, oaml: Oaml) -> None:
    ran = oaml("report", "someone/clicks/r1", "someone/clicks/r2", "--title", "Ranks / compared?", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    (view,) = sent.views.saved.values()
    assert (view.type, view.entity, view.project, view.title) == ("runs", "someone", "clicks", "Ranks / compared?")
    assert told["url"] == f"{sent.url}/someone/clicks/reports/Ranks-compared--{view.id}"
    assert told["iframe"] == f'<iframe src="{told["url"]}" style="border:none;height:1024px;width:100%"></iframe>'
    (grid,) = (block["metadata"] for block in view.spec["blocks"] if block["type"] == "panel-grid")
    (run_set,) = grid["runSets"]
    (chosen,) = run_set["filters"]["filters"]
    assert (chosen["key"], chosen["op"]) == ({"section": "run", "name": "name"}, "IN")
    assert chosen["value"] == ["r1", "r2"]
    drawn = {
        metric: panel["config"]["xAxis"]
        for panel in panels_of(view)
        if panel["viewType"] == "Run History Line Plot"
        for metric in panel["config"]["metrics"]
    }
    assert drawn == dict.fromkeys(
        ("eval/grounding_accuracy", "eval/grounding_distance", "train/loss", "train/learning_rate"),
        "train/global_step",
    )
    assert "eval/grounding_table" in json.dumps([p for p in panels_of(view) if p["viewType"] == "Weave"])
    assert f"[plain]({sent.url}/someone/clicks/runs/r1) | 50.0 % at 30 |" in markdown_of(view)
    assert "[viewer](http://localhost:8080/viewer.html?run=r1)" in markdown_of(view)
    # W&B's own reader takes it.
    assert Report.from_url(told["url"].replace("Ranks-compared", "x")).title == view.title


def test_a_hostile_name_stays_text_in_the_reports_markdown(sent: Loopback, oaml: Oaml) -> None:
    assert oaml("report", "someone/clicks/r1", "someone/clicks/r2", "--title", "T").code == 0
    (view,) = sent.views.saved.values()
    assert "<" not in markdown_of(view)
    rows = [line for line in markdown_of(view).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10}


def test_folders_whose_runs_were_sent_are_shown_from_the_server(sent: Loopback, oaml: Oaml, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", "r1", reports=learning(8, 3), name="plain")
    ran = oaml("report", folder, "--title", "T", "--entity", "someone", "--project", "clicks", "--json")
    assert ran.code == 0, ran.err
    (view,) = sent.views.saved.values()
    assert "87.5 %" in markdown_of(view)  # the folder's figures


@pytest.mark.parametrize(
    ("run_id", "place", "said"),
    [
        ("r1", (), "has no address at W&B"),
        ("r9", ("--entity", "someone", "--project", "clicks"), "isn't at W&B (someone/clicks/r9)"),
    ],
)
def test_a_run_that_was_not_sent_is_told_and_nothing_is_saved(
    sent: Loopback, oaml: Oaml, tmp_path: Path, run_id: str, place: tuple[str, ...], said: str
) -> None:
    folder = write_run(tmp_path / "runs", run_id, reports=learning(8, 3))
    ran = oaml("report", folder, "--title", "T", *place)
    assert ran.code == 2
    assert said in ran.err
    assert "--html OUT" in ran.err
    assert sent.views.saved == {}


def test_a_title_that_wandb_would_not_take_is_refused(sent: Loopback, oaml: Oaml) -> None:
    ran = oaml("report", "someone/clicks/r1", "--title", "x" * 129)
    assert (ran.code, "129 characters" in ran.err) == (2, True)


def test_a_saved_workspace_has_the_panels_of_grounding(sent: Loopback, oaml: Oaml) -> None:
    ran = oaml("workspace", "--json")
    assert ran.code == 0, ran.err
    (view,) = sent.views.saved.values()
    assert (view.type, view.entity, view.project, view.title) == ("project-view", "someone", "clicks", "Grounding")
    assert json.loads(ran.out)["url"] == f"{sent.url}/someone/clicks?nw={view.name[3:-2]}"
    section = view.spec["section"]
    sections = {one["name"]: one["panels"] for one in section["panelBankConfig"]["sections"]}
    assert list(sections) == ["Grounding", "Answers", "Training", "Links"]
    drawn = [metric for panels in sections.values() for p in panels for metric in p["config"].get("metrics", [])]
    assert {"eval/grounding_accuracy", "eval/grounding_distance", "eval/grounding_parsed", "train/loss"} <= set(drawn)
    assert {"eval/grounding_misses/near", "eval/grounding_fixed", "eval/grounding_broken"} <= set(drawn)
    assert section["settings"]["xAxis"] == "train/global_step"
    (run_set,) = section["runSets"]
    assert run_set["runFeed"]["columnPinned"]["summary:viewer_url"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--project", "nope"), "someone has no project nope at W&B"),
        (("--project", "clicks", "--name", "Clicks \U0001f600"), "no emoji"),
        (("--project", "clicks", "--name", " "), "has 1 characters"),
    ],
)
def test_a_workspace_that_cannot_be_is_told_and_not_saved(
    sent: Loopback, oaml: Oaml, words: tuple[str, ...], said: str
) -> None:
    ran = oaml("workspace", *words)
    assert ran.code == 2
    assert said in ran.err
    assert sent.views.saved == {}


def test_a_dry_run_prints_what_would_be_saved_and_asks_nobody(
    oaml: Oaml, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    ran = oaml("workspace", "--project", "clicks", "--name", "Clicks", "--dry-run")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["entity"], told["project"], told["name"]) == (None, "clicks", "Clicks")
    # It is what W&B's own model takes.
    workspaces.internal.WorkspaceViewspec.model_validate(told["spec"])


@pytest.mark.parametrize("command", [("workspace", "--project", "clicks"), ("report", "long", "--title", "T")])
def test_offline_it_says_what_does_without_wandb(
    oaml: Oaml, offline: Path, runs: Path, command: tuple[str, ...]
) -> None:
    ran = oaml(*command, *(("--runs-dir", runs) if command[0] == "report" else ()))
    assert ran.code == 2
    assert "W&B is offline" in ran.err
    assert ("--html OUT" if command[0] == "report" else "--dry-run") in ran.err


def test_without_a_project_a_workspace_says_what_names_one(oaml: Oaml, offline: Path) -> None:
    ran = oaml("workspace")
    assert (ran.code, "--project P" in ran.err) == (2, True)


def test_a_key_that_wandb_does_not_know_is_told(
    server: Loopback, oaml: Oaml, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    ran = oaml("report", runs / "long", "--title", "T")
    assert ran.code == 2
    assert "whose API key this is may not" in ran.err
    assert "b" * 40 not in ran.err


@pytest.mark.slow(15)
@pytest.mark.newest_only
def test_a_server_that_is_away_is_one_sentence_in_bounded_time(runs: Path, tmp_path: Path, server: Loopback) -> None:
    server.fault("hang")
    words = ["report", str(runs / "long"), "--title", "T"]
    ran = subprocess.run(
        [sys.executable, "-m", "oaml_callbacks", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: W&B did not save the report: its server gave no answer.")
    assert ran.stderr.count("\n") == 1


@pytest.mark.newest_only
@pytest.mark.parametrize(
    ("version", "said"),
    [("0.4.0", "wandb-workspaces 0.4.0 is older"), ("0.4.99", 'pip install "oaml-callbacks[report]"')],
)
def test_a_wandb_workspaces_that_is_too_old_or_broken_is_told(tmp_path: Path, version: str, said: str) -> None:
    (tmp_path / "wandb_workspaces").mkdir()
    (tmp_path / "wandb_workspaces" / "__init__.py").write_text("import wandb_gql")  # as 0.4.0 does, beside wandb 0.31
    about = tmp_path / f"wandb_workspaces-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wandb-workspaces\nVersion: {version}\n")
    ran = subprocess.run(
        [sys.executable, "-m", "oaml_callbacks", "workspace", "--project", "p", "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert said in ran.stderr
