"""W&B fails in every way and at every moment; the training doesn't notice, and nothing is lost."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.testing import read_run

from .loopback import loopback
from .outages import (
    CASES,
    FINISH_S,
    START_S,
    TRAIN,
    Fault,
    Outage,
    Outages,
    ended,
    losses,
    outage,
    run_as_seen,
    variables,
)
from .same_run import comparable
from .warm import Warm

# The oldest wandb that is allowed is the newest too; test_resume and test_kill run on the oldest transformers.
pytestmark = pytest.mark.newest_only

SLACK_S = 2.0
"""What a busy machine may add to the short limit of a start here; the test of the defaults allows 1."""

STEP_S = 2.0
"""What a step of two numbers may take on a busy machine; one request that waited for a server would take longer."""


@pytest.fixture(scope="module")
def outages(processes: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outages]:
    started = Outages(processes, tmp_path_factory.mktemp("outages"))
    yield started
    started.close()


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def seen(request: pytest.FixtureRequest, outages: Outages) -> Outage:
    """A training under each fault, from each place on."""
    fault, place = request.param
    return outages.of(fault, place)


@pytest.fixture(scope="module")
def well(processes: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """The training that nothing happens to."""
    folder = tmp_path_factory.mktemp("well")
    with loopback() as server:
        yield ended(Outage("", "", processes.start(TRAIN, folder, environment=variables(server)), server, folder))


@pytest.fixture(scope="module")
def off(processes: Warm, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The training without W&B."""
    folder = tmp_path_factory.mktemp("off")
    result: Mapping[str, Any] = processes.start(TRAIN, folder, options={"report_to": "none"}).result()
    return result


# Every fault, everywhere ---------------------------------------------------------------------------------------------


def test_the_training_is_the_same(seen: Outage, well: Outage, off: Mapping[str, Any]) -> None:
    """The same steps, bit for bit the same losses, and the same evaluations; the process ends well."""
    assert seen.result["steps"] == off["steps"]
    assert losses(seen.result) == losses(well.result)
    assert [_without_clicks(entry) for entry in losses(seen.result)] == losses(off)


def test_nobody_waits(seen: Outage, record_property: Callable[[str, object], None]) -> None:
    """The start and the end, process exit included, keep to their limits, and no step is held."""
    for name, seconds in (("start", seen.start_s), ("step", max(seen.step_s)), ("end", seen.end_s)):
        record_property(f"{name}_s", round(seconds, 2))
    assert seen.start_s < START_S + SLACK_S
    assert max(seen.step_s) < STEP_S
    assert seen.end_s < FINISH_S


def test_every_row_is_on_disk(seen: Outage, well: Outage) -> None:
    """The run's folder holds what that of an undisturbed run holds."""
    assert comparable(read_run(seen.result["folder"]).history) == comparable(read_run(well.result["folder"]).history)


def test_it_is_told_once(seen: Outage) -> None:
    """One warning when it happens, one at the end with the command, and a line for each change of state."""
    begun = [text for _, text in seen.records if " is open: " in text or " is offline, in " in text]
    at_the_time, at_the_end = seen.warnings("could not open", "can't be reached"), seen.warnings("as a whole")
    assert len(begun) == 1
    assert len(at_the_end) == 1
    assert seen.command is not None
    assert seen.command in at_the_end[0]
    assert len(at_the_time) == 1 if seen.place in ("start", "midway") else len(at_the_time) <= 1
    assert len(seen.warnings("")) == len(at_the_time) + len(at_the_end)
    assert "ERROR" not in [level for level, _ in seen.records]
    assert "Traceback" not in seen.job.printed


def test_the_command_sends_the_rest(seen: Outage, well: Outage) -> None:
    """Typed as it is told, with the server mended, it makes the run equal to an undisturbed one."""
    _assert_equal(seen, well)


@pytest.mark.slow(seconds=40)
def test_a_vision_language_model_is_trained_the_same(processes: Warm, screens: Path, tmp_path: Path) -> None:
    """A tiny Qwen-VL under LoRA that is asked for its clicks, with a server that says nothing at a table."""
    (off, faulty) = (tmp_path / "off", tmp_path / "faulty")
    off.mkdir()
    without = processes.start(TRAIN, off, screens=str(screens), options={"report_to": "none"}).result()
    faulty.mkdir()
    seen = outage(processes, faulty, "hang", "table", screens=str(screens))
    assert seen.result["steps"] == without["steps"]
    assert [_without_clicks(entry) for entry in losses(seen.result)] == losses(without)
    assert seen.end_s < FINISH_S
    assert "Finished syncing" in seen.printed


# An outage that ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["refuse", "500", "429", "hang", "drop"])
def test_a_server_that_comes_back_gets_everything(processes: Warm, tmp_path: Path, well: Outage, fault: Fault) -> None:
    """Within the run, without any command; it is told that it was away, and that it is back."""
    seen = outage(processes, tmp_path, fault, "midway", mended_after=4.5, pause=1.0)
    _assert_equal(seen, well)
    assert seen.command is None
    assert len(seen.warnings("can't be reached")) == 1
    assert [text for _, text in seen.records if "answers again" in text or "is back" in text]


@pytest.mark.parametrize("fault", ["401", "403", "404", "413"])
def test_what_wandb_has_given_up_is_sent_at_the_end(
    processes: Warm, tmp_path: Path, well: Outage, fault: Fault
) -> None:
    """W&B's service never tries again after these; the rest is sent when the run ends."""
    seen = outage(processes, tmp_path, fault, "midway", mended_after=2.0, finish_timeout=20.0)
    _assert_equal(seen, well)
    assert seen.command is None
    assert len(seen.warnings("can't be reached")) == 1
    assert [text for _, text in seen.records if "server is back" in text]


# Nobody to ask -------------------------------------------------------------------------------------------------------


def test_no_key_and_no_terminal(processes: Warm, tmp_path: Path, well: Outage) -> None:
    """It goes on offline, says why, and asks nobody."""
    with loopback() as server:
        environment = _without_key(variables(server), tmp_path)
        seen = ended(Outage("", "", processes.start(TRAIN, tmp_path, environment=environment), server, tmp_path))
    assert losses(seen.result) == losses(well.result)
    assert "Enter your choice" not in seen.job.printed
    assert len(seen.warnings("It goes on offline")) == 1
    assert Path(seen.result["folder"]).name.startswith("offline-run-")


def test_a_terminal_and_no_key(tmp_path: Path) -> None:
    """wandb's own question appears."""
    assert "Use an existing W&B account" in _at_a_terminal(tmp_path, until="Enter your choice")


def test_a_terminal_no_key_and_a_mode(tmp_path: Path) -> None:
    """`WANDB_MODE` says that nobody wants to be asked: offline, and it is told."""
    printed = _at_a_terminal(tmp_path, WANDB_MODE="online")
    assert "Enter your choice" not in printed
    assert "exit status 0" in printed
    assert "It goes on offline" in printed


# Those who would rather stop -----------------------------------------------------------------------------------------


def test_strict_raises_at_a_start_that_fails(processes: Warm, tmp_path: Path) -> None:
    """No training without W&B."""
    with loopback() as server:
        server.fault("500")
        job = processes.start(TRAIN, tmp_path, environment=variables(server), strict=True)
        assert job.wait() == 1
    assert "HTTP 500" in job.printed
    assert not (tmp_path / "end").exists()


def test_strict_raises_when_rows_do_not_arrive(processes: Warm, tmp_path: Path) -> None:
    """Once they haven't for `start_timeout`."""
    with pytest.raises(AssertionError, match="its server can't be reached"):
        outage(processes, tmp_path, "500", "midway", strict=True, pause=1.0)
    assert not (tmp_path / "end").exists()


# The defaults --------------------------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=110)
def test_the_default_limits_hold_in_a_process_of_its_own(tmp_path: Path, well: Outage) -> None:
    """A server that says nothing: 30 s at the start, 60 s at the end, the interpreter's own end included."""
    with loopback() as server:
        server.fault("hang")
        begun = time.time()
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT.format(folder=str(tmp_path), given="start_timeout=30, finish_timeout=60")],
            env=_environment(variables(server)),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        over = time.time()
    assert done.returncode == 0, done.stderr
    start_s = float(done.stdout.rpartition("start_s ")[2].split()[0])
    assert 20 < start_s < 31
    assert over - float((tmp_path / "end").read_text(encoding="utf-8")) < 60
    assert over - begun < 120


# Shared --------------------------------------------------------------------------------------------------------------

_SCRIPT = "from tests.outages import train; print('start_s', train(folder={folder!r}, {given})['start_s'])"


def _without_clicks(entry: Mapping[str, str]) -> dict[str, str]:
    # With W&B off, and no checkpoint chosen by them, nobody asks for clicks.
    return {key: value for key, value in entry.items() if "grounding" not in key}


def _assert_equal(seen: Outage, well: Outage) -> None:
    found, expected = run_as_seen(seen.server, seen.run), run_as_seen(well.server, well.run)
    for part, value in expected.items():  # one by one, so that a difference can be read
        assert found[part] == value, f"{part}\n{seen.printed}"


def _without_key(given: Mapping[str, str], home: Path) -> dict[str, str]:
    kept = {name: value for name, value in given.items() if name not in ("WANDB_API_KEY", "WANDB_MODE")}
    return {**kept, "HOME": str(home), "NETRC": str(home / "netrc"), "WANDB_CONFIG_DIR": str(home)}


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    rest = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "OAML_"))}
    return {**rest, "PYTHONPATH": str(Path(__file__).parents[1]), **given}


def _at_a_terminal(folder: Path, *, until: str | None = None, **mode: str) -> str:
    """Train at a terminal without a key; gives what is printed there until the end, or until some words."""
    told = "import logging; logging.basicConfig(level='INFO'); "
    with loopback() as server:
        environment = {**_environment(_without_key(variables(server), folder)), **mode, "WANDB_SILENT": "false"}
        master, slave = pty.openpty()
        command = [sys.executable, "-c", told + _SCRIPT.format(folder=str(folder), given="")]
        with subprocess.Popen(
            command, env=environment, cwd=folder, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        ) as process:
            os.close(slave)
            printed, deadline = "", time.monotonic() + 90
            while time.monotonic() < deadline and (until is None or until not in printed):
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        printed += os.read(master, 65536).decode(errors="replace")
                    except OSError:  # the other side is closed
                        break
            if until is not None:
                process.kill()
            status = process.wait(timeout=30)
        os.close(master)
    return f"{printed}\nexit status {status}"
