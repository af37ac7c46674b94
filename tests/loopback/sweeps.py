"""The server's sweeps: taken, described, and given out to agents, trial by trial."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from .runs import ENTITY, Answer, Refused


@dataclass
class SweepOnServer:
    """A sweep as the server has it.

    Attributes:
        id: The last part of its path.
        text: Its file, as sent.
        state: ``PENDING``, ``RUNNING``, ``PAUSED``, ``FINISHED`` or ``CANCELED``.
        given_out: The run ids of its trials, in the order in which agents got them; one twice if it was begun again.
        values: What each of them got.
        agents: Agents by their id: the hosts that they run on.
        again: Run ids to be given out before anything new.
        stopping: Run ids that the next heartbeat is told to stop.
    """

    entity: str
    project: str
    id: str
    text: str
    state: str = "PENDING"
    given_out: list[str] = field(default_factory=list)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    stopping: list[str] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """Its file's values."""
        loaded: dict[str, Any] = yaml.safe_load(self.text)
        return loaded

    @property
    def path(self) -> str:
        """Entity, project and id."""
        return f"{self.entity}/{self.project}/{self.id}"

    def propose(self, number: int) -> dict[str, Any]:
        """A trial's values: each list's own in turn, a range's lower end."""
        values = {}
        for name, parameter in self.config["parameters"].items():
            listed = parameter.get("values", [parameter.get("value", parameter.get("min"))])
            values[name] = listed[number % len(listed)]
        return values


class Sweeps:
    """Sweeps by their id, and the answers to the SDK's operations about them.

    Attributes:
        operations: What answers an operation, by its name.
    """

    def __init__(self) -> None:
        self.all: dict[str, SweepOnServer] = {}
        self.operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "UpsertSweep": self._upsert,
            "GetSweep": self._shown,
            "GetSweepLegacy": self._shown,
            "GetSweepState": self._shown,
            "SweepWithRuns": self._shown,
            "CreateAgent": self._create_agent,
            "Heartbeat": self._heartbeat,
        }

    def stop(self, run: str) -> None:
        """Stop a trial, as Hyperband does: its agent is told with the next heartbeat."""
        for sweep in self.all.values():
            if run in sweep.given_out:
                sweep.stopping.append(run)

    def _upsert(self, given: dict[str, Any]) -> Answer:
        found = next((sweep for sweep in self.all.values() if _storage_id(sweep) == given.get("id")), None)
        if found is None:
            number = f"sweep{len(self.all)}"
            found = SweepOnServer(
                str(given.get("entityName") or ENTITY), str(given.get("projectName") or "uncategorized"), number, ""
            )
            self.all[number] = found
        found.text = given.get("config") or found.text
        found.state = given.get("state") or found.state
        return {"upsertSweep": {"sweep": _sweep(found), "configValidationWarnings": []}}

    def _shown(self, given: dict[str, Any]) -> Answer:
        found = self._at(given, str(given.get("sweep") or given.get("name")))
        return {"project": {"sweep": None if found is None else _sweep(found)}}

    def _create_agent(self, given: dict[str, Any]) -> Answer:
        found = self._at(given, given["sweep"])
        if found is None:
            raise Refused("could not find sweep", status=404)
        agent = f"agent-{found.id}-{len(found.agents)}"
        found.agents[agent] = given["host"]
        found.state = "RUNNING"
        return {"createAgent": {"agent": {"id": agent}}}

    def _heartbeat(self, given: dict[str, Any]) -> Answer:
        sweep = next((sweep for sweep in self.all.values() if given["id"] in sweep.agents), None)
        if sweep is None:
            raise Refused("could not find agent", status=404)
        running = json.loads(given.get("runState") or "{}")
        stopping = [run for run in sweep.stopping if run in running]
        sweep.stopping = [run for run in sweep.stopping if run not in running]
        commands: list[Answer] = [{"type": "stop", "run_id": run} for run in stopping]
        if not running and not commands and sweep.state == "RUNNING":
            commands = [self._next(sweep)]
        elif sweep.state in ("FINISHED", "CANCELED"):
            commands = [{"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}

    def _next(self, sweep: SweepOnServer) -> Answer:
        kind = "run"
        if sweep.again:
            run, kind = sweep.again.pop(0), "resume"
        elif len(sweep.values) < (sweep.config.get("run_cap") or 100):
            run = f"{sweep.id}trial{len(sweep.values)}"
            sweep.values[run] = sweep.propose(len(sweep.values))
        else:
            sweep.state = "FINISHED"
            return {"type": "exit"}
        sweep.given_out.append(run)
        arguments = {name: {"value": value} for name, value in sweep.values[run].items()}
        return {"type": kind, "run_id": run, "program": sweep.config.get("program"), "args": arguments}

    def _at(self, given: dict[str, Any], key: str) -> SweepOnServer | None:
        found = self.all.get(key)
        place = (given.get("entity") or given.get("entityName"), given.get("project") or given.get("projectName"))
        return found if found is not None and place == (found.entity, found.project) else None


def _storage_id(sweep: SweepOnServer) -> str:
    return base64.b64encode(f"Sweep:v1:{sweep.id}:{sweep.project}:{sweep.entity}".encode()).decode()


def _sweep(sweep: SweepOnServer) -> Answer:
    return {
        "__typename": "Sweep",
        "id": _storage_id(sweep),
        "name": sweep.id,
        "displayName": None,
        "method": sweep.config.get("method"),
        "state": sweep.state,
        "description": None,
        "bestLoss": None,
        "config": sweep.text,
        "createdAt": "2026-11-01T00:00:00Z",
        "updatedAt": "2026-11-01T00:00:00Z",
        "heartbeatAt": "2026-11-01T00:00:00Z",
        "runCount": len(sweep.values),
        "runCountExpected": None,
        "earlyStopJobRunning": False,
        "controller": None,
        "scheduler": None,
        "project": {"id": "UHJv", "name": sweep.project, "entity": {"id": "RW50", "name": sweep.entity}},
        "runs": {"edges": []},
    }
