"""A server with adapters, for the tests of what is pulled from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wandb_variables
from tests.loopback import loopback
from tests.same_run import variables

from .adapter_folders import write_adapter
from .stored_adapters import RUN, Stored, log_adapter


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """A server with three versions of a run's adapter: step-10, step-20 (best) and step-30 (latest)."""
    import wandb

    wandb.teardown()
    folder = tmp_path_factory.mktemp("logged")
    before = wandb_variables()
    with loopback() as server, pytest.MonkeyPatch.context() as patch:
        for name in before:
            patch.delenv(name)
        for name, value in {**variables(server), "WANDB_DIR": str(folder), "WANDB_DATA_DIR": str(folder)}.items():
            patch.setenv(name, value)
        with wandb.init(id=RUN, settings=wandb.Settings(console="off")) as run:
            for index, aliases in enumerate((["step-10"], ["step-20", "best"], ["step-30"])):
                adapter = write_adapter(folder / f"v{index}", value=0.1 * (index + 1))
                log_adapter(run, adapter, ["latest", *aliases], step=10 * (index + 1))
        yield Stored(server)
        server.mend()
        wandb.teardown()
        os.environ.pop("WANDB_SERVICE", None)


@pytest.fixture
def stored(logged: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    """The same, put back after each test, which has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    with logged.put_back():
        yield logged
