"""Sweeps on W&B's server: started, found, and every refusal told in a sentence and in bounded time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oaml_callbacks.cli_sweep import app
from oaml_callbacks.sweeps.check import check_sweep
from oaml_callbacks.sweeps.server import find_sweep
from oaml_callbacks.sweeps.sweep_file import SweepError

from ..loopback import Loopback
from ..loopback.sweeps import SweepOnServer
from .files import WHOLE, written

pytestmark = pytest.mark.newest_only


def oaml(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def started(server: Loopback, tmp_path: Path) -> str:
    """A sweep on the server: its path."""
    server.sweeps.all["sweep0"] = SweepOnServer("someone", "clicks", "sweep0", written(tmp_path, WHOLE).read_text())
    return "someone/clicks/sweep0"


def test_a_sweep_that_is_started_says_what_to_type_next(server: Loopback, tmp_path: Path) -> None:
    result = oaml("start", str(written(tmp_path, WHOLE)), "--project", "other")
    assert result.exit_code == 0, result.output
    assert f"{server.url}/someone/other/sweeps/sweep0" in result.stdout
    assert "\n  oaml sweep agent someone/other/sweep0\n" in result.stdout
    assert "sbatch --array=1-8" in result.stdout
    content = check_sweep(tmp_path / "sweep.yaml").sweep.content
    assert server.sweeps.all["sweep0"].config == {**content, "program": "oaml"}


def test_a_projects_space_is_quoted_and_its_page_is_found(server: Loopback, tmp_path: Path) -> None:
    shown = json.loads(oaml("start", str(written(tmp_path, WHOLE)), "--project", "my clicks", "--json").stdout)
    assert shown["agent_command"] == "oaml sweep agent 'someone/my clicks/sweep0'"
    assert "my%20clicks" in shown["url"]
    assert find_sweep(shown["url"]).path == "someone/my clicks/sweep0"


def test_a_program_gets_json_and_nothing_else(server: Loopback, tmp_path: Path) -> None:
    shown = json.loads(oaml("start", str(written(tmp_path, WHOLE)), "--json").stdout)
    assert shown["sweep"] == "someone/clicks/sweep0"
    assert shown["agent_command"] == "oaml sweep agent someone/clicks/sweep0"


def test_a_sweep_with_faults_is_not_started(server: Loopback, tmp_path: Path) -> None:
    result = oaml("start", str(written(tmp_path, WHOLE.replace("lora.r", "lora.rank"))))
    assert (result.exit_code, server.sweeps.all) == (2, {})
    assert "did you mean lora.r?" in result.stderr


@pytest.mark.parametrize("reference", ["sweep0", "clicks/sweep0", "someone/clicks/sweep0", "URL"])
def test_a_sweep_is_found_by_its_id_its_path_or_its_page(server: Loopback, started: str, reference: str) -> None:
    found = find_sweep(reference if reference != "URL" else f"{server.url}/someone/clicks/sweeps/sweep0?workspace=x")
    assert (found.path, found.state, found.content["method"]) == (started, "PENDING", "bayes")


@pytest.mark.parametrize("reference", ["", "a b", "a/b/c/d", "../x", "a//b"])
def test_what_is_no_reference_is_told_without_asking(server: Loopback, reference: str) -> None:
    with pytest.raises(SweepError, match="is no sweep; expected its id"):
        find_sweep(reference)
    assert server.operations == []


@pytest.mark.parametrize("reference", ["none", "other/sweep0", "a-team/clicks/sweep0"])
def test_a_sweep_that_is_not_there_or_of_others_is_told(started: str, reference: str) -> None:
    result = oaml("agent", reference)
    assert result.exit_code == 2
    assert "there is no such sweep, or it belongs to others" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED"])
def test_a_sweep_that_is_over_gives_no_agent(server: Loopback, started: str, state: str) -> None:
    server.sweeps.all["sweep0"].state = state
    result = oaml("agent", started)
    assert result.exit_code == 2
    assert f"is {state.lower()}: it gives no more trials" in result.stderr


def test_an_agent_runs_nothing_but_oaml_train(server: Loopback, started: str) -> None:
    sweep = server.sweeps.all["sweep0"]
    sweep.text = sweep.text.replace("oaml", "rm")
    result = oaml("agent", started)
    assert result.exit_code == 2
    assert "doesn't run `oaml train`" in result.stderr
    assert sweep.agents == {}


def test_what_a_sweeps_command_says_reaches_no_terminal_as_it_is(server: Loopback, started: str) -> None:
    sweep = server.sweeps.all["sweep0"]
    sweep.text = sweep.text.replace("run.yaml", '"\\e]0;x.yaml"')
    result = oaml("agent", started)
    assert result.exit_code == 2
    assert "there is no \\x1b]0;x.yaml here" in result.stderr


def test_an_agent_without_the_configuration_says_where_to_start_it(started: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").unlink()
    result = oaml("agent", started)
    assert result.exit_code == 2
    assert "there is no run.yaml here" in result.stderr


def test_a_server_that_does_not_answer_is_told_in_bounded_time(server: Loopback, started: str) -> None:
    server.fault("hang")
    begun = time.monotonic()
    with pytest.raises(SweepError, match=r"no answer in 2 s|server doesn't answer"):
        find_sweep(started, seconds=2)
    assert time.monotonic() - begun < 20
    server.mend()
    for thread in threading.enumerate():  # or else W&B's client, still asking, sets its variables in the next test
        if thread.name == "oaml-ask":
            thread.join(60)


def test_a_key_that_is_not_taken_is_told(started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    with pytest.raises(SweepError, match="this API key may not"):
        find_sweep(started)


@pytest.mark.parametrize("arguments", [["start", "sweep.yaml"], ["agent", "a/b/c"]])
def test_offline_the_search_without_a_server_is_named(
    offline: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(offline)
    written(offline, WHOLE)
    result = oaml(*arguments)
    assert result.exit_code == 2
    assert "needs W&B's server: W&B is offline. Unset WANDB_MODE" in result.stderr
    assert "`oaml sweep local`" in result.stderr
