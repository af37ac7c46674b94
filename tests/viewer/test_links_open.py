"""The links of a finished run's summary, as they are, in a browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from oaml_callbacks import OpenAdaptWandbCallback

from ..builders import arguments, evaluator, read_back, trainer
from .conftest import Open


def default_port_is_free() -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", 8080))
        except OSError:
            return False
    return True


@contextmanager
def oaml_view(folder: Path, *options: str) -> Iterator[str]:
    """The command, as a user types it; gives what it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "oaml_callbacks", "view", str(folder), *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


@pytest.mark.slow
def test_both_links_of_a_finished_runs_summary_open_that_run(
    offline: Path, screens: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[str] = []
    if not default_port_is_free():  # somebody's own server: the links are then made for another port
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            options = ["--port", str(one.getsockname()[1])]
        for name in ("viewer", "dashboard"):
            template = f"http://localhost:{options[1]}/{name}.html?run={{run_id}}"
            monkeypatch.setenv(f"OAML_{name.upper()}_URL", template)
    for _ in range(2):  # the first is there too, and isn't what the second's links open
        callback = OpenAdaptWandbCallback(grounding=evaluator(screens))
        trainer(screens, arguments(offline, max_steps=4, eval_steps=2), [callback]).train()
        callback.close()
    recorded = read_back(callback, offline)

    with oaml_view(offline / "training_output", *options) as printed:
        assert "http://localhost:" in printed
        viewer = page = opened(str(recorded.summary["viewer_url"]))
        expect(page.locator("svg.screen image")).to_have_attribute("href", re.compile(str(callback.run_id)))
        report = callback.last_report
        assert report is not None
        expect(page.locator("body")).to_contain_text(report.rows[0].sample.instruction)

        page = opened(str(recorded.summary["dashboard_url"]))
        expect(page.locator("#details")).to_contain_text(str(callback.run_id))
        expect(page.locator("#evaluation-rows tr")).to_have_count(3)
        viewer.close()  # before what it asks is gone
        page.close()
