"""The server's runs: opened, streamed into, resumed, rewound, deleted."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Answer = dict[str, Any]

ENTITY, PROJECT = "someone", "clicks"
ROWS, EVENTS, LOG, SUMMARY = "wandb-history.jsonl", "wandb-events.jsonl", "output.log", "wandb-summary.json"


class Refused(Exception):
    """The server answers with an error.

    Attributes:
        status: The answer's HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Run:
    """A run as the server has it.

    Attributes:
        id: The last part of its path.
        name: What it is shown as.
        raw_config: Its configuration as sent: each value as ``{"value": …}``, W&B's own under ``_wandb``.
        history: Its rows; a row's index is its line number. Where lines were left out, the row is empty. Rows of one
            `_step` stay what they are, several rows: nothing here hides that a client sent a step twice.
        events: Rows of the machine's measurements.
        log: Lines of the console.
        state: ``running``, ``finished`` (exit code 0), ``failed`` (another), ``preempting`` (announced), ``preempted``
            (ended with another exit code than 0 after that) or ``crashed`` (by `Loopback.crash_run`).
        exit_codes: One for each time that an end was sent.
        heartbeat: When it was last heard of, in seconds since the epoch.
        upserts: How often its settings were sent.
        streams: How often its stream sent something, or said that it lives.
        rewinds: The steps that it was rewound to.
        stopped: Somebody pressed "stop" in W&B's pages.
    """

    entity: str
    project: str
    id: str
    name: str = ""
    raw_config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    group: str | None = None
    job_type: str | None = None
    state: str = "running"
    exit_codes: list[int] = field(default_factory=list)
    deleted: bool = False
    stopped: bool = False
    heartbeat: float = 0.0
    upserts: int = 0
    streams: int = 0
    rewinds: list[int] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration as the user gave it."""
        return {key: entry["value"] for key, entry in self.raw_config.items() if key != "_wandb" and "value" in entry}

    @property
    def exit_code(self) -> int | None:
        """What its last end said."""
        return self.exit_codes[-1] if self.exit_codes else None

    @property
    def path(self) -> str:
        """Entity, project and id, as `wandb.Api().run` takes it."""
        return f"{self.entity}/{self.project}/{self.id}"

    @property
    def storage_id(self) -> str:
        """What W&B's API calls the run."""
        return base64.b64encode(f"Run:v1:{self.id}:{self.project}:{self.entity}".encode()).decode()

    @property
    def last_step(self) -> int:
        """The highest `_step`; -1 without rows."""
        return max((int(row.get("_step", -1)) for row in self.history), default=-1)


class Runs(Mapping[str, Run]):
    """Runs by their id, or by ``entity/project/id`` where two projects have the same id. Deleted ones are there too.

    Attributes:
        refuses_rewind: While true, a rewind is answered as by a server that doesn't know of it.
    """

    def __init__(self) -> None:
        self.refuses_rewind = False
        self._runs: dict[str, Run] = {}

    def __getitem__(self, key: str) -> Run:
        found = [run for path, run in self._runs.items() if key in (path, run.id)]
        if len(found) > 1:
            raise KeyError(f"{key} is in several projects: {[run.path for run in found]}")
        if not found:
            raise KeyError(key)
        return found[0]

    def __iter__(self) -> Iterator[str]:
        ids = [run.id for run in self._runs.values()]
        return iter([run.id if ids.count(run.id) == 1 else path for path, run in self._runs.items()])

    def __len__(self) -> int:
        return len(self._runs)

    def at(self, entity: str | None, project: str | None, key: str | None) -> Run | None:
        """The run at a path, unless it is deleted."""
        run = self._runs.get(f"{entity or ENTITY}/{project or 'uncategorized'}/{key}")
        return None if run is None or run.deleted else run

    def of_project(self, entity: str | None, project: str | None) -> list[Run]:
        """A project's runs, without deleted ones."""
        place = (entity or ENTITY, project or "uncategorized")
        return [run for run in self._runs.values() if (run.entity, run.project) == place and not run.deleted]

    def upsert(self, given: dict[str, Any]) -> tuple[Run, bool]:
        """Open a run or change its settings; gives the run, and whether it is new.

        Raises:
            Refused: The run was deleted: W&B keeps the id, and answers 409.
        """
        run = next((run for run in self._runs.values() if given.get("id") == run.storage_id), None)
        inserted = False
        if run is None:
            new = Run(given.get("entity") or ENTITY, given.get("project") or "uncategorized", given["name"])
            run = self._runs.setdefault(new.path, new)
            inserted = run is new
        if run.deleted:
            raise Refused(f"run {run.path} was previously created and deleted; try a new run name", status=409)
        run.upserts += 1
        run.heartbeat = time.time()
        run.name = given.get("displayName") or given.get("display_name") or run.name or f"run-{len(self._runs)}"
        run.notes = given.get("notes") or run.notes
        run.group = given.get("groupName") or run.group
        run.job_type = given.get("jobType") or run.job_type
        run.tags = run.tags if given.get("tags") is None else given["tags"]
        if given.get("config"):
            run.raw_config = json.loads(given["config"])
        if given.get("summaryMetrics"):
            run.summary = json.loads(given["summaryMetrics"])
        return run, inserted

    def rewind(self, given: dict[str, Any]) -> Run:
        """Cut off the rows after a step; the summary becomes that of the rows which are left.

        Raises:
            Refused: There is no such run, it hasn't that step, or `refuses_rewind`.
        """
        if self.refuses_rewind:
            raise Refused('Cannot query field "rewindRun" on type "Mutation".', status=400)
        run, step = self.at(given.get("entity"), given.get("project"), given["runName"]), int(given["metricValue"])
        if run is None:
            raise Refused(f"run {given['runName']} not found", status=404)
        if not 0 <= step <= run.last_step:
            raise Refused(f"run {run.id} has no step {step}: its last is {run.last_step}", status=400)
        run.history = [row for row in run.history if int(row.get("_step", 0)) <= step]
        run.summary = {key: value for row in run.history for key, value in row.items()}
        run.rewinds.append(step)
        run.state = "running"
        return run

    def stream(self, run: Run, sent: dict[str, Any], *, shared: bool) -> None:
        """Take what a run's file stream sends.

        Args:
            run: The run.
            sent: The request: chunks of files by name, and whether the run has ended.
            shared: Several processes write to the run: their lines are appended, whatever their offset.
        """
        run.streams += 1
        run.heartbeat = time.time()
        for name, chunk in (sent.get("files") or {}).items():
            content: list[str] = chunk.get("content") or []
            offset = int(chunk.get("offset") or 0)
            if name == SUMMARY and content:
                run.summary = json.loads(content[-1])
            elif name == LOG:
                _write(run.log, content, len(run.log) if shared else offset, "")
            elif name in (ROWS, EVENTS):
                lines = run.history if name == ROWS else run.events
                _write(lines, [json.loads(line) for line in content], len(lines) if shared else offset, {})
        if sent.get("complete"):
            code = int(sent.get("exitcode") or 0)
            run.exit_codes.append(code)
            failed = "preempted" if run.state == "preempting" else "failed"
            run.state = failed if code else "finished"
        elif sent.get("preempting"):
            run.state = "preempting"
        elif run.state != "preempting":
            run.state = "running"


def _write(lines: list[Any], content: list[Any], offset: int, empty: Any) -> None:
    # W&B's lines have numbers: lines that are sent again take the place of the same lines.
    lines.extend(empty for _ in range(offset - len(lines)))
    lines[offset : offset + len(content)] = content
