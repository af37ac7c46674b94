"""Sending what W&B's server lacks, from the run's files: the command to type, and running it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .core_log import CORE_LOG, CoreLog
from .transaction_log import TransactionLog, write_transaction_log
from .typed_command import command
from .values import shown

logger = logging.getLogger(__name__)

UNSENT = "unsent.wandb"
"""In a run's folder: a copy of its file without the rows that the server has."""

_FAILED = ("Fatal error", "ERROR", "Failed", "failed", "Skipped")
"""What `wandb sync` prints where it fails; its exit status is 0 even then (seen with 0.31)."""

_NAMES = re.compile(r"\[\S+/\S+\]|https?://\S+|\S*run-\d{8}_\d{6}-\S+")
"""The names of projects, folders and runs among it, which may have such words in them."""


def wandb_command() -> str:
    """How this environment's `wandb` is typed: see [`command`]."""
    return command("wandb")


def sync_command(paths: Sequence[Path]) -> str:
    """What to type to send runs' folders or files, in this order, to W&B."""
    return " ".join([wandb_command(), "sync", *_options(paths), *map(shown, paths)])


def send(paths: Sequence[Path], seconds: float) -> bool:
    """Run that command, for at most `seconds`.

    Returns:
        Whether everything arrived. If not, the command may be run again.
    """
    unset = ("WANDB_MODE", "WANDB_SILENT", "WANDB_QUIET", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SERVICE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    with tempfile.TemporaryDirectory(prefix="oaml-sync-", ignore_cleanup_errors=True) as place:
        # Its log goes to where `WANDB_DIR` says, and nowhere else is it told that an artifact was refused.
        arrived = _run(paths, {**environment, "WANDB_DIR": place}, seconds)
        arrived = arrived and not _gave_up(Path(place))
    if not arrived:
        for path in paths:
            _unmark(path)
    return arrived


def _options(paths: Sequence[Path]) -> list[str]:
    return [] if all(map(_is_offline, paths)) else ["--include-online"]


def _run(paths: Sequence[Path], environment: Mapping[str, str], seconds: float) -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "sync", *_options(paths), *map(str, paths)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            start_new_session=True,  # Ctrl-C is the training's
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.debug("wandb sync: %s", error)
        return False
    printed = done.stdout.decode(errors="replace")
    logger.debug("wandb sync: %s", printed)
    finished = printed.count("Finished syncing") >= len(paths)
    told = _NAMES.sub("", printed)
    return done.returncode == 0 and finished and not any(word in told for word in _FAILED)


def _gave_up(place: Path) -> bool:
    logs = place.glob("**/debug-sync.*.log")
    return any(event.kind in ("gave_up", "refused") for log in logs for event in CoreLog(log).read())


def unsent_parts(folders: Sequence[Path], last: int = -1) -> list[Path]:
    """What of a run's folders the server lacks, as far as the files tell.

    Args:
        folders: Oldest first.
        last: W&B's step of the last row on the server, if it could be asked.
    """
    parts, logs = [], [CoreLog(folder / CORE_LOG) for folder in folders]
    for folder, log in zip(folders, logs, strict=True):
        if not _is_offline(folder):
            log.read()
    # What a run lacked before it was online again was sent then, or written again, or its rows were taken back.
    # One that was killed before its first row was on disk tells nothing.
    online = [index for index, log in enumerate(logs) if log.connected]
    newest = max((index for index in online if logs[index].arrived or _has_rows(folders[index])), default=0)
    for folder, log in list(zip(folders, logs, strict=True))[newest:]:
        if any(folder.glob("*.wandb.synced")):
            continue
        try:
            part = _lacking(folder, log, last)
        except (OSError, ValueError) as error:
            logger.debug("%s can't be read: %s", folder, error)
            continue
        if part is not None:
            parts.append(part)
    return parts


def unsent_rest(earlier: Sequence[Path], folder: Path, log: CoreLog | None, last: int | None) -> list[Path]:
    """What the server lacks of a run that has ended.

    Args:
        earlier: Parts of the run that were written before, and might not have arrived then.
        folder: The run's folder.
        log: What its service told.
        last: W&B's step of the last of its rows on the server, -1 if none is known; `None` if it could not be asked.
    """
    if last is not None:  # more may have arrived of them than was known when this part began
        earlier = unsent_parts([part.parent if part.suffix == ".wandb" else part for part in earlier], last)
    there = -1 if last is None else last
    if log is None or (not log.arrived and log.is_sure and there < 0):
        return [*earlier, folder]
    try:
        own = _lacking(folder, log, there)
    except (OSError, ValueError) as error:
        logger.debug("The unsent rows have no file of their own: %s", error)
        own = folder
    return [*earlier, *([own] if own is not None else [])]


def _lacking(folder: Path, log: CoreLog, last: int) -> Path | None:
    if log.has_hole:
        return write_unsent(folder, log.arrived, is_sure=log.is_sure)
    # The server itself has said it, where it could be asked.
    return write_unsent(folder, log.arrived, is_sure=log.is_sure or last >= 0, last=last)


def has_hole(folders: Sequence[Path]) -> bool:
    """Whether rows of the run went to somebody who isn't W&B's server, and later ones to the server."""
    logs = [CoreLog(folder / CORE_LOG) for folder in folders]
    for log in logs:
        log.read()
    return any(log.has_hole for log in logs)


def write_unsent(folder: Path, arrived: int, *, is_sure: bool = True, last: int = -1) -> Path | None:
    """Write the run's file again without its first rows, since `wandb sync` appends to what the server has.

    And without a last record that is torn: `wandb sync` calls that a failure, and leaves out the files after it. Where
    nobody knows what became of the rows that were sent last, the run is rewound to the one before them, if there is
    one.

    Args:
        folder: The run's folder.
        arrived: So many rows of this file are on the server.
        is_sure: Whether it has no more of them, and none of another place.
        last: W&B's step of the last row on the server, if it could be asked.

    Returns:
        What is to be sent: the folder, if it can be sent as it is; `None` if there is nothing.

    Raises:
        OSError: It can't be written.
        ValueError: The run's file is none of W&B's, or there is none.
    """
    path = next(folder.glob("run-*.wandb"), None)
    if path is None:
        raise ValueError(f"there is no run-*.wandb in {folder}")
    log = TransactionLog(path)
    kept: list[Any] = []
    rows, ended = 0, False
    before = -1  # the step of the last row that isn't sent
    for record in _records(log):
        kind = record.WhichOneof("record_type")
        ended = ended or kind == "exit"
        if kind == "run" and record.run.HasField("branch_point") and _is_offline(folder):
            last = -1  # sent again it takes back what was sent before, and the rows there may be those of before
        if kind == "history":
            rows += 1
            step = record.history.step.num
            if rows <= arrived or (step <= last and arrived == rows - 1):
                arrived, before = max(arrived, rows), step
                continue
            if rows == 1:
                before = step - 1
        if kind == "artifact" and not _is_there(record.artifact):
            continue  # the server had it, and it was removed to make room
        kept.append(record)
    if rows <= arrived and not ended:
        return None
    rewinds = not is_sure and before >= 0
    if arrived <= 0 and not log.torn and not rewinds:
        return folder
    for number, record in enumerate([record for record in kept if record.HasField("run")]):
        if arrived > 0:
            record.run.ClearField("branch_point")  # rewound once, it would lose what has arrived since
        if number == 0 and rewinds:
            record.run.branch_point.run, record.run.branch_point.metric = record.run.run_id, "_step"
            record.run.branch_point.value = before
    unsent = folder / UNSENT
    write_transaction_log(unsent, (record.SerializeToString() for record in kept))
    unsent.with_name(f"{UNSENT}.syncstate").unlink(missing_ok=True)  # of what this file was before
    return unsent


def _is_there(artifact: Any) -> bool:
    """Whether the files of an artifact's record are still where it names them."""
    named = [entry.local_path for entry in artifact.manifest.contents if entry.local_path]
    return all(Path(path).exists() for path in named)


def _has_rows(folder: Path) -> bool:
    try:
        logs = map(TransactionLog, folder.glob("run-*.wandb"))
        return any(record.HasField("history") for log in logs for record in _records(log))
    except (OSError, ValueError) as error:
        logger.debug("%s can't be read: %s", folder, error)
    return False


def _records(log: TransactionLog) -> Iterator[Any]:
    """The records of a run's file; ValueError at one that isn't W&B's."""
    record_class = import_module("wandb.proto.wandb_internal_pb2").Record
    decode_error: type[Exception] = import_module("google.protobuf.message").DecodeError
    for data in log:
        record = record_class()
        try:
            record.ParseFromString(data)
        except decode_error as error:
            raise ValueError(f"{log.path} has a record that is none of W&B's: {error}") from error
        yield record


def _is_offline(path: Path) -> bool:
    return (path.parent if path.suffix == ".wandb" else path).name.startswith("offline-run-")


def _unmark(path: Path) -> None:
    """W&B marks a file as sent even where its server refused the rows, and would pass it over the next time."""
    for marker in [path.with_name(f"{path.name}.synced")] if path.suffix == ".wandb" else path.glob("*.wandb.synced"):
        marker.unlink(missing_ok=True)
