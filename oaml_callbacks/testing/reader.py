"""From W&B's run folders to `RecordedRun`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..transaction_log import TransactionLog
from .recorded_run import (
    RecordedAlert,
    RecordedArtifact,
    RecordedArtifactFile,
    RecordedFile,
    RecordedMetric,
    RecordedRun,
    Row,
)

# A run's folder, the `wandb` folder, and the folder that holds it (WANDB_DIR). `latest-run` is a link to one of them.
_IN_RUN = "run-*.wandb"
_IN_WANDB = (f"run-*/{_IN_RUN}", f"offline-run-*/{_IN_RUN}")
_PATTERNS = (_IN_RUN, *_IN_WANDB, *(f"wandb/{pattern}" for pattern in _IN_WANDB))


def read_run(path: str | os.PathLike[str], *, merge_segments: bool = False) -> RecordedRun:
    """Read one run, offline or online, ended, killed or still going.

    Args:
        path: A `.wandb` file; a run's folder (`offline-run-...`, `run-...`, `latest-run`); a `wandb` folder or the
            folder that holds it. In a folder of several runs the one opened last is read: where a test makes more
            than one, `read_runs` leaves no doubt.
        merge_segments: As in `read_runs`; the run's other segments are looked for under `path`.

    Raises:
        FileNotFoundError: Nothing there, or no run in the folder.
        ValueError: The file is no `.wandb` file.
        ModuleNotFoundError: wandb isn't installed.
    """
    logs = _logs(Path(path))
    newest = logs[-1]
    return _read([log for log in logs if log.name == newest.name] if merge_segments else [newest])


def read_runs(path: str | os.PathLike[str], *, merge_segments: bool = False) -> list[RecordedRun]:
    """Read every run under `path`, oldest first.

    Args:
        path: As in `read_run`.
        merge_segments: A run that was opened again with the same id is in several files, one for each opening. By
            default each is a run of its own in the list, all with one id. If True they are read as one run, as
            `wandb sync` would send them: rows follow each other (offline, `_step` starts at 0 in each segment), config
            and summary are updated, what a later segment says of the run's name, tags and notes counts, and the exit
            code is the last segment's. It stands in the list where its last segment would.

    Raises:
        FileNotFoundError: Nothing there, or no run in the folder.
        ValueError: A file is no `.wandb` file.
        ModuleNotFoundError: wandb isn't installed.
    """
    logs = _logs(Path(path))
    if not merge_segments:
        return [_read([log]) for log in logs]
    segments: dict[str, list[Path]] = {}
    for log in logs:
        # The file's name holds the run's id. Taken out and put back, the run moves to its last segment's place.
        segments[log.name] = [*segments.pop(log.name, []), log]
    return [_read(run) for run in segments.values()]


def _logs(path: Path) -> list[Path]:
    """Return the `.wandb` files that `path` stands for, by the time at which they were opened."""
    if path.is_file():
        return [path]
    if not path.exists():
        raise FileNotFoundError(f"No W&B run at {path}: there is no such file or folder.")
    logs = [log for pattern in _PATTERNS for log in path.glob(pattern)]
    if not logs:
        raise FileNotFoundError(
            f"No W&B run in {path}: expected a run-*.wandb file, an offline-run-* or run-* folder, or a wandb folder "
            "with such folders. Was a run opened there (WANDB_DIR), and with WANDB_MODE other than 'disabled'?"
        )
    # Folders' names tell seconds alone, too coarse for two runs of one test. A run killed before it wrote its start
    # has its file's time.
    return sorted(logs, key=lambda log: (_started(log) or log.stat().st_mtime, log))


def _started(log: Path) -> float | None:
    return next((_seconds(record.run) for record in _records(TransactionLog(log)) if record.HasField("run")), None)


def _seconds(run: Any) -> float | None:
    start = run.start_time
    return start.seconds + start.nanos / 1e9 if run.HasField("start_time") else None


def _records(log: TransactionLog) -> Iterator[Any]:
    """Yield the protobuf records of a log (`wandb.proto.wandb_internal_pb2.Record`)."""
    try:
        pb = import_module("wandb.proto.wandb_internal_pb2")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"Reading a .wandb file needs wandb: pip install wandb ({error}).") from error
    decode_error: type[Exception] = import_module("google.protobuf.message").DecodeError
    for data in log:
        record = pb.Record()
        try:
            record.ParseFromString(data)
        except decode_error:
            log.damaged = True
            continue
        yield record


def _read(segments: Sequence[Path]) -> RecordedRun:
    run = _Run(segments[0].stem.removeprefix("run-"))
    damaged = False
    for segment in segments:
        log = TransactionLog(segment)
        run.exit_code = None
        for record in _records(log):
            run.add(record)
        damaged = damaged or log.damaged
    return run.recorded(tuple(segments), damaged)


class _Run:
    """What the records so far add up to."""

    def __init__(self, run_id: str) -> None:
        self.id = run_id  # From the file's name, until a record says it.
        self.head: dict[str, Any] = dict.fromkeys(("name", "project", "entity", "group", "job_type", "notes"))
        self.tags: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[Row] = []
        self.metrics: dict[str, RecordedMetric] = {}
        self.files: dict[str, RecordedFile] = {}
        self.artifacts: list[RecordedArtifact] = []
        self.alerts: list[RecordedAlert] = []
        self.exit_code: int | None = None
        self.started: float | None = None

    def add(self, record: Any) -> None:
        """Take in one record; the kinds that tell nothing of `RecordedRun` (statistics, telemetry) are passed over."""
        kind = record.WhichOneof("record_type")
        if kind == "run":
            self._add_run(record.run)
        elif kind == "config":
            _update(self.config, record.config)
        elif kind == "summary":
            _update(self.summary, record.summary)
        elif kind == "history":
            row: Row = {}
            for item in record.history.item:
                _put(row, _item_path(item), _value(item))
            row.setdefault("_step", record.history.step.num)
            self.history.append(row)
        elif kind == "metric":
            self._add_metric(record.metric)
        elif kind == "files":
            for file in record.files.files:
                self.files[file.path] = RecordedFile(file.path, type(file).PolicyType.Name(file.policy).lower())
        elif kind == "artifact":
            self.artifacts.append(_artifact(record.artifact))
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            self.artifacts.append(_artifact(record.request.log_artifact.artifact))
        elif kind == "alert":
            alert = record.alert
            self.alerts.append(RecordedAlert(alert.title, alert.text, alert.level, alert.wait_duration / 1000))  # ms
        elif kind == "exit":
            self.exit_code = record.exit.exit_code

    def _add_run(self, run: Any) -> None:
        self.id = run.run_id or self.id
        said = {
            "name": run.display_name,
            "project": run.project,
            "entity": run.entity,
            "group": run.run_group,
            "job_type": run.job_type,
            "notes": run.notes,
        }
        # An empty text says nothing (a run opened again without its name, say); tags are the whole list every time.
        self.head.update((key, value) for key, value in said.items() if value)
        self.tags = tuple(run.tags)
        if self.started is None:
            self.started = _seconds(run)
        _update(self.config, run.config)
        _update(self.summary, run.summary)

    def _add_metric(self, metric: Any) -> None:
        if not metric.options.defined:
            return  # The SDK's own: one for each key that a defined glob matched.
        name = metric.name or metric.glob_name
        # define_metric(overwrite=False), the default, adds to what an earlier call said.
        known = RecordedMetric(name) if metric._control.overwrite else self.metrics.get(name, RecordedMetric(name))
        goal = type(metric).MetricGoal.Name(metric.goal).removeprefix("GOAL_").lower()
        self.metrics[name] = RecordedMetric(
            name,
            step_metric=metric.step_metric or known.step_metric,
            step_sync=metric.options.step_sync or known.step_sync,
            hidden=metric.options.hidden or known.hidden,
            summary=known.summary | {field.name for field, on in metric.summary.ListFields() if on is True},
            goal=known.goal if goal == "unset" else goal,
        )

    def recorded(self, segments: tuple[Path, ...], damaged: bool) -> RecordedRun:
        config = dict(self.config)
        wandb_config = config.pop("_wandb", {})
        return RecordedRun(
            id=self.id,
            **self.head,
            tags=self.tags,
            config=config,
            wandb_config=wandb_config,
            summary={key: value for key, value in self.summary.items() if key != "_wandb"},
            history=self.history,
            metrics=self.metrics,
            files=tuple(self.files.values()),
            artifacts=tuple(self.artifacts),
            alerts=tuple(self.alerts),
            exit_code=self.exit_code,
            started=self.started,
            segments=segments,
            damaged=damaged,
        )


def _artifact(artifact: Any) -> RecordedArtifact:
    return RecordedArtifact(
        name=artifact.name,
        type=artifact.type,
        aliases=tuple(sorted(artifact.aliases)),
        tags=tuple(sorted(artifact.tags)),
        metadata=json.loads(artifact.metadata) if artifact.metadata else {},
        description=artifact.description or None,
        files={
            entry.path: RecordedArtifactFile(
                size=entry.size,
                digest=entry.digest,
                reference=entry.ref or None,
                local_path=Path(entry.local_path) if entry.local_path else None,
            )
            for entry in artifact.manifest.contents
        },
    )


def _update(root: dict[str, Any], change: Any) -> None:
    """Apply a config or summary record: keys set, then keys removed."""
    for item in change.update:
        _put(root, _item_path(item), json.loads(item.value_json))
    for item in change.remove:
        *parents, last = _item_path(item)
        inner: Any = root
        for key in parents:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(last, None)


def _item_path(item: Any) -> Sequence[str]:
    return item.nested_key or [item.key]


def _put(root: dict[str, Any], path: Iterable[str], value: Any) -> None:
    *parents, last = path
    for key in parents:
        inner = root.get(key)
        if not isinstance(inner, dict):
            inner = root[key] = {}
        root = inner
    root[last] = value


def _value(item: Any) -> Any:
    """Return a history item's value: JSON (with NaN and Infinity), or one of the typed fields that newer SDKs know."""
    typed = item.WhichOneof("value") if "value" in item.DESCRIPTOR.oneofs_by_name else None
    if typed is None:
        return json.loads(item.value_json)
    if typed == "none":
        return None
    value = getattr(item, typed)
    return json.loads(value) if typed == "json" else value
