"""Parts of a run on disk, and what W&B's log says of them: what tests of sending them share."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from oaml_callbacks.core_log import CORE_LOG
from oaml_callbacks.testing import offline_wandb, read_run
from oaml_callbacks.transaction_log import TransactionLog, write_transaction_log

ROWS = 5
RUN = "abc"


def write_parts(folder: Path) -> Path:
    """Two parts of a run, as the real SDK writes them: `whole` has five rows, `later` goes on after the third."""
    import wandb

    parts: dict[str, dict[str, Any]] = {"whole": {"id": RUN}, "later": {"resume_from": f"{RUN}?_step=2"}}
    with offline_wandb(folder):
        for name, how in parts.items():
            (folder / name).mkdir()
            run = wandb.init(dir=str(folder / name), config={"rank": 8}, **how)
            for row in range(ROWS):
                run.log({"row": row})
            run.summary["best"] = 0.5
            run.finish()
    return folder


def part(made: Path, to: Path, *, name: str = "whole", prefix: str = "offline-run-1", killed: bool = False) -> Path:
    """A copy of a part's folder, for a test of its own; one that was killed lacks its end."""
    (source,) = made.glob(f"{name}/wandb/offline-run-*")
    folder = to / f"{prefix}-{RUN}"
    shutil.copytree(source, folder)
    if killed:
        path = next(folder.glob("*.wandb"))
        kept = [record for record in records(path) if record.WhichOneof("record_type") not in ("exit", "footer")]
        write_transaction_log(path, [record.SerializeToString() for record in kept])
    return folder


def records(path: Path) -> list[Any]:
    """W&B's records of a file."""
    record = import_module("wandb.proto.wandb_internal_pb2").Record
    return [record.FromString(data) for data in TransactionLog(path)]


def rewinds_to(path: Path) -> list[int]:
    """Where the file begins to write, if it says so."""
    runs = [record.run for record in records(path) if record.HasField("run")]
    return [int(run.branch_point.value) for run in runs if run.HasField("branch_point")]


def steps(path: Path | None) -> list[int]:
    """Of the rows in a file."""
    assert path is not None
    return [row["_step"] for row in read_run(path).history]


def tells(folder: Path, arrived: int, *, dropped: int = 0, answered_by_others: int = 0) -> Path:
    """Let W&B's log say that so many rows have arrived.

    Args:
        folder: The part's.
        arrived: How many.
        dropped: So many were sent when the connection was lost.
        answered_by_others: So many were answered by somebody who isn't W&B's server.
    """
    log = folder / CORE_LOG
    log.parent.mkdir(exist_ok=True)
    request = '{"msg":"filestream: sending request","history_offset":0,"history_lines":%d}\n'
    sent = '{"msg":"filestream: request sent","status":"200 OK"}\n'
    lines = [request % arrived, sent]
    if dropped:
        lines += [request % dropped, '{"msg":"api: retrying error","error":"EOF"}\n']
    if answered_by_others:
        decoding = '{"level":"ERROR","msg":"filestream: json decode error: invalid character"}\n'
        lines += [request % answered_by_others, sent, decoding]
    log.write_text("".join(lines), encoding="utf-8")
    return folder
