"""Runs for reports, and the commands driven in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from oaml_callbacks import cli_report

from ..run_folders import learning, write_run

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"

LONG = {
    "url": "https://wandb.ai/acme/clicks/runs/long",
    "adapter": "adapter-long",
    "links": {"viewer_url": "http://localhost:8080/viewer.html?run=long", "dashboard_url": "javascript:alert(1)"},
}
"""What the run named `long` knows of where it is."""

_app = typer.Typer(pretty_exceptions_enable=False)
_app.command()(cli_report.report)
_app.command()(cli_report.workspace)


class Ran:
    """What a command said, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Oaml = Callable[..., Ran]


@pytest.fixture
def oaml() -> Oaml:
    """Runs `oaml report …` or `oaml workspace …`."""

    def run(*words: object) -> Ran:
        result = CliRunner().invoke(_app, [str(word) for word in words], catch_exceptions=False)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of the same samples, of which the one named `long` is the best; one without an evaluation, one that
    trains, and one whose every text is hostile."""
    folder = tmp_path_factory.mktemp("runs")
    reports = learning(40, 5)
    write_run(folder, "short", reports=reports[:3], name="short")
    write_run(folder, "long", reports=reports, name="long", links=LONG)
    write_run(folder, "middle", reports=reports[:4], name="middle")
    write_run(folder, "bare", name="bare")
    write_run(folder, "trains", reports=reports[:2], name="trains", outcome=None)
    write_run(folder, "hostile", reports=reports, name=HOSTILE, model=HOSTILE, outcome=f"failed: {HOSTILE}")
    return folder
