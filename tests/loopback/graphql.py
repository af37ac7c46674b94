"""Answers to the SDK's GraphQL operations, by the operation's name: whole objects, whatever fields were asked for."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

from .artifact_downloads import ArtifactDownloads
from .artifacts import Artifacts
from .runs import ENTITY, Answer, Refused, Run, Runs
from .sweeps import Sweeps
from .views import Views


def operation_of(body: bytes) -> str:
    """The name of the operation that a request is for; empty where it isn't one."""
    try:
        asked = json.loads(body)
    except ValueError:
        return ""
    found = re.search(r"(?:query|mutation)\s+(\w+)", str(asked.get("query")))
    return str(asked.get("operationName") or (found and found[1]) or "")


def answer(
    operation: str,
    given: dict[str, Any],
    *,
    runs: Runs,
    artifacts: Artifacts,
    downloads: ArtifactDownloads,
    sweeps: Sweeps,
    views: Views,
) -> Answer:
    """What an operation answers: the `data` of its response.

    Raises:
        Refused: The answer is an error.
    """
    given = {**given, **given.get("input", {})}
    if operation in artifacts.operations:
        return artifacts.operations[operation](given)
    if operation in downloads.operations:
        return downloads.operations[operation](given)
    if operation in sweeps.operations:
        return sweeps.operations[operation](given)
    if operation in views.operations:
        return views.operations[operation](given)
    if operation == "UpsertBucket":
        run, inserted = runs.upsert(given)
        return {"upsertBucket": {"bucket": _run(run, given, artifacts), "inserted": inserted}}
    if operation == "RewindRun":
        return {"rewindRun": {"rewoundRun": _run(runs.rewind(given), given, artifacts)}}
    entity, project = _place(given)
    key = str(given.get("runName") or given.get("run") or given.get("runId") or given.get("name") or "")
    found = runs.at(entity, project, key)
    if operation == "DeleteRun":
        found = next((run for run in runs.values() if run.storage_id == given["id"]), None)
        if found is None:
            raise Refused("run not found", status=404)
        found.deleted = True
        return {"deleteRun": {"clientMutationId": None}}
    if operation == "NotifyScriptableRunAlert":
        if found is None:
            raise Refused("run not found", status=404)
        found.alerts.append({name: given.get(name) for name in ("title", "text", "severity", "waitDuration")})
        return {"notifyScriptableRunAlert": {"success": True}}
    node = _run(found, given, artifacts) if found else None
    shown = {
        **_project(entity, project),
        "run": node,
        "bucket": node,
        "runs": _connection([_run(run, {}, artifacts) for run in runs.of_project(entity, project)]),
        "runCount": len(runs.of_project(entity, project)),
        "artifactType": artifacts.listed(given),
        "artifact": None,
    }
    uploads = _uploads(key, given, artifacts)
    return {
        "createRunFiles": {"runID": "UnVu", "uploadHeaders": [], "files": uploads},
        "serverInfo": {"cliVersionInfo": {"max_cli_version": "99"}, "features": [], "latestLocalVersionInfo": None},
        "viewer": {
            "id": "VXNl",
            "entity": ENTITY,
            "username": ENTITY,
            "email": "",
            "flags": "{}",
            "teams": {"edges": []},
        },
        "model": shown,
        "project": shown,
    }


def _place(given: dict[str, Any]) -> tuple[str, str]:
    entity, project = given.get("entity") or given.get("entityName"), given.get("project") or given.get("projectName")
    return str(entity or ENTITY), str(project or "uncategorized")


def _project(entity: str, project: str) -> Answer:
    whose = {"id": "RW50", "name": entity}
    return {
        "id": "UHJv",
        "internalId": "1",
        "name": project,
        "entityName": entity,
        "entity": whose,
        "readOnly": False,
    }


def _connection(nodes: list[Answer]) -> Answer:
    page = {"endCursor": None, "hasNextPage": False}
    edges = [{"node": node, "cursor": str(index)} for index, node in enumerate(nodes)]
    return {"edges": edges, "pageInfo": page, "totalCount": len(nodes)}


def _uploads(key: str, given: dict[str, Any], artifacts: Artifacts) -> list[Answer]:
    paths = [str(path) for path in given.get("files") or []]
    return [{"name": path, "uploadUrl": f"{artifacts.url}/storage/run/{key}/{path}"} for path in paths]


def _run(run: Run, given: dict[str, Any], artifacts: Artifacts) -> Answer:
    rows = [row for row in run.history if _asked_for(row, given)]
    # JSON has no infinity: where a row isn't in a string, W&B names it in one.
    plain = json.loads(json.dumps(rows), parse_constant=str)
    specs = [json.loads(spec) for spec in [*(given.get("specs") or []), *filter(None, [given.get("spec")])]]
    heartbeat = datetime.fromtimestamp(run.heartbeat, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    places = _uploads(run.id, given, artifacts)
    own = run.raw_config.get("_wandb", {}).get("value", {})  # a run without `t` in it counts as one that never began
    keys = {key: {"typeCounts": [{"type": "number", "count": 1}]} for row in run.history for key in row}
    return {
        "__typename": "Run",
        "id": run.storage_id,
        "name": run.id,
        "displayName": run.name,
        "projectId": "1",
        "project": _project(run.entity, run.project),
        "user": {"name": run.entity, "username": run.entity},
        "sweepName": None,
        "description": None,
        "readOnly": False,
        "commit": None,
        "state": run.state,
        "stopped": run.stopped,
        "tags": run.tags,
        "notes": run.notes,
        "group": run.group,
        "jobType": run.job_type,
        "createdAt": heartbeat,
        "heartbeatAt": heartbeat,
        "config": json.dumps(run.raw_config),
        "wandbConfig": json.dumps({"t": own["t"]} if "t" in own else {}),
        "summaryMetrics": json.dumps(run.summary),
        "systemMetrics": json.dumps(run.events[-1] if run.events else {}),
        "historyLineCount": len(run.history),
        "eventsLineCount": len(run.events),
        "logLineCount": len(run.log),
        "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
        "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
        "historyKeys": {"keys": keys, "lastStep": run.last_step},
        "history": [json.dumps(row) for row in rows],
        "events": [json.dumps(row) for row in run.events],
        "sampledHistory": [
            [row for row in plain if all(key in row for key in spec.get("keys") or [])] for spec in specs
        ],
        "parquetHistory": {"parquetUrls": [], "liveData": plain},
        "files": {"edges": [{"node": {**place, "url": place["uploadUrl"]}} for place in places], "uploadHeaders": []},
    }


def _asked_for(row: dict[str, Any], given: dict[str, Any]) -> bool:
    step = int(row.get("_step", 0))
    return (given.get("minStep") or 0) <= step < (given.get("maxStep") or step + 1)
