"""Artifacts online: nobody waits for the server, and it keeps the newest versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oaml_callbacks.media import TABLE_KEY, GroundingTables
from oaml_callbacks.service import finish_run
from oaml_callbacks.sync import send
from oaml_callbacks.testing import read_run

from .graded import evaluation
from .loopback import API_KEY, Kind, Loopback, loopback

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone


@pytest.fixture
def server(offline: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server on the loopback device, which runs of the test are sent to."""
    import wandb

    with loopback() as started:
        monkeypatch.setenv("WANDB_BASE_URL", started.url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        monkeypatch.setenv("WANDB_MODE", "online")
        yield started
        started.mend()
        wandb.teardown()


def wait_for(versions: int, server: Loopback) -> None:
    deadline = time.monotonic() + 20
    while sum(version.committed for version in server.versions) < versions and time.monotonic() < deadline:
        time.sleep(0.05)


def test_old_tables_are_deleted_but_for_those_that_somebody_named(server: Loopback, offline: Path) -> None:
    import wandb

    with wandb.init(project="clicks") as run:
        tables = GroundingTables(run, keep_tables=2)
        for step in range(5):
            run.log({TABLE_KEY: tables.table(evaluation(2, wrong=[step % 2]), None, step)})
            wait_for(step + 1, server)
            if step == 0:
                server.versions[0].aliases.append("to-show")
        tables.close()
        (name,) = {version.name for version in server.versions}
        deadline = time.monotonic() + 20  # on a machine that others use, longer than the end waits
        while len(left := [version.index for version in server.of(name)]) > 4 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert left[0] == 0
    # The newest may have been listed before it was committed, or after.
    assert left[1:] in ([3, 4], [2, 3, 4])
    assert not [path for path in (offline / "artifacts").rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["500", "hang"])
def test_a_server_that_does_not_answer_holds_nobody_and_gets_every_table_later(server: Loopback, kind: Kind) -> None:
    """Made in no time, and on disk: what the server didn't take is sent by `wandb sync`."""
    import wandb

    run = wandb.init(project="clicks", settings=wandb.Settings(x_transaction_log_flush_interval=1, finish_timeout=1))
    tables = GroundingTables(run)
    run.log({TABLE_KEY: tables.table(evaluation(2), None, 0)})
    wait_for(1, server)
    server.fault(kind)
    start = time.monotonic()
    for step in range(1, 12):
        run.log({TABLE_KEY: tables.table(evaluation(12, wrong=[step]), None, step)})
    assert time.monotonic() - start < 5
    folder = Path(run.dir).parent
    assert not finish_run(run, 0, 3)
    assert time.monotonic() - start < 10
    assert len(read_run(folder).artifacts) == 12
    server.mend()
    assert send([folder], 60)
    assert len(server.versions) == 12
    assert all(version.committed for version in server.versions)
