"""What tests share: drawn screens, and W&B offline in a folder of each test's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from .browser import chromium, executable
from .loopback import Loopback, OwnProcess, loopback, own_process
from .same_run import TRAIN, Start, Undisturbed, variables
from .warm import Job, Warm, warm

# Before torch is imported, and for the processes that tests start: these models are too small to gain from threads,
# and on a busy machine threads that wait for each other take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Run folders go below the working directory otherwise, which for most tests is the repository.
os.environ.setdefault("OAML_RUNS_DIR", tempfile.mkdtemp(prefix="oaml-runs-"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several workers begin with the longest tests, so that none is left with one when the others have ended."""
    if hasattr(config, "workerinput"):  # in one process the order of the files is easier to follow
        items.sort(key=lambda item: -seconds(item))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a good part of the time a test waits, for a server or a process."""
    return (os.cpu_count() or 1) + 1


def seconds(item: pytest.Item) -> float:
    slow = item.get_closest_marker("slow")
    return slow.kwargs.get("seconds", 10) if slow else 0


@pytest.fixture(autouse=True)
def nothing_left_of_wandb() -> Iterator[None]:
    """No test leaves a variable of W&B's to the next one, where a service that is gone would be looked for."""
    before = wandb_variables()
    yield
    left = wandb_variables()
    if "WANDB_SERVICE" not in left:  # a service that was there before may be gone
        before.pop("WANDB_SERVICE", None)
    if left != before:
        for name in left:
            del os.environ[name]
        os.environ.update(before)
        pytest.fail(f"WANDB_* variables are changed: {before} -> {left}")


def wandb_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}


@pytest.fixture(scope="session")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight training and eight evaluation screens."""
    from oaml_callbacks.demo.screens import write_samples

    folder = tmp_path_factory.mktemp("screens")
    write_samples(folder, name="train", count=8, seed=1)
    write_samples(folder, name="eval", count=8, seed=2)
    return folder


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """W&B offline; gives the folder that holds the test's runs."""
    from oaml_callbacks import open_runs
    from oaml_callbacks.testing import offline_wandb

    with pytest.MonkeyPatch.context() as clean:
        for name in [name for name in os.environ if name.startswith(("WANDB_", "OAML_"))]:
            clean.delenv(name)
        clean.setenv("OAML_RUNS_DIR", str(tmp_path / "training_output"))
        with offline_wandb(tmp_path):
            yield tmp_path
            # Tests that leave their run open must not hand it to the next one.
            open_runs.make_room()
            # What a test has set goes before what was set for it, or it would come back after it.
            monkeypatch.undo()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that this process's runs are sent to; their folders are in the test's, which is the working one."""
    import wandb

    wandb.teardown()  # before what names its service is put aside, or that would come back
    for name in wandb_variables():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with loopback() as started:
        for name, value in {**variables(started), "WANDB_DATA_DIR": "data"}.items():
            monkeypatch.setenv(name, value)
        yield started
        started.mend()
        wandb.teardown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Where none is installed its tests are left out, but not in CI: `OAML_BROWSER=required`."""
    path = executable()
    if path is None:
        message = "no Chromium: `playwright install chromium`, or your system's package `chromium`"
        if os.environ.get("OAML_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    with chromium(path, "--allow-file-access-from-files") as started:
        yield started


@pytest.fixture(scope="session")
def processes() -> Iterator[Warm]:
    """Starts small trainings in processes of their own."""
    # The last one is what `wandb.init` imports, for five seconds.
    with warm("tests.small_training", "tests.outages", "wandb.sdk.launch") as started:
        yield started


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnProcess]:
    """A W&B server for them."""
    with own_process() as started:
        yield started


@pytest.fixture
def start(processes: Warm, own_server: OwnProcess, tmp_path: Path) -> Iterator[Start]:
    """Starts small trainings in the test's folder, with their runs sent to the server, which is mended at the end."""

    def started(*, environment: Mapping[str, str] | None = None, **given: Any) -> Job:
        return processes.start(TRAIN, tmp_path, environment={**variables(own_server), **(environment or {})}, **given)

    yield started
    own_server.mend()
    own_server.refuse_rewind(False)


@pytest.fixture(scope="session")
def undisturbed(processes: Warm, own_server: OwnProcess, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The small training when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    result = processes.start(TRAIN, folder, environment=variables(own_server)).result()
    return own_server.runs[result["run_id"]], result
