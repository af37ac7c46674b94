"""Artifacts online: nobody waits for the server, and it keeps the newest versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oaml_callbacks.media import TABLE_KEY, GroundingTables

from .graded import evaluation
from .loopback import API_KEY, Loopback, loopback


@pytest.fixture
def server(offline: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server on the loopback device, which runs of the test are sent to."""
    import wandb

    with loopback() as started:
        monkeypatch.setenv("WANDB_BASE_URL", started.url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        monkeypatch.setenv("WANDB_MODE", "online")
        yield started
        started.broken = False
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
        left = [version.index for version in server.of(name)]
    assert left[0] == 0
    # The newest may have been listed before it was committed, or after.
    assert left[1:] in ([3, 4], [2, 3, 4])
    assert not [path for path in (offline / "artifacts").rglob("*") if path.is_file()]


def test_a_server_that_does_not_answer_holds_nobody(server: Loopback) -> None:
    import wandb

    with wandb.init(project="clicks") as run:
        tables = GroundingTables(run)
        run.log({TABLE_KEY: tables.table(evaluation(2), None, 0)})
        wait_for(1, server)
        server.broken = True
        start = time.monotonic()
        made = [tables.table(evaluation(2, wrong=[0]), None, step) for step in range(1, 12)]
        assert time.monotonic() - start < 5
        # No more than a few wait; the rest of the tables is left out, and never the numbers.
        assert 1 <= sum(table is not None for table in made) <= 9
        assert made[-1] is None
        server.broken = False
