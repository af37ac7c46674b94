"""The server's views: reports and workspaces, as they were saved."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .runs import Answer, Runs


@dataclass
class View:
    """A saved report (`type` is ``runs``) or workspace (``project-view``).

    Attributes:
        id: Its id, by which its address ends.
        spec: What it shows.
    """

    id: str
    type: str = ""
    name: str = ""
    entity: str = ""
    project: str = ""
    title: str = ""
    description: str = ""
    spec: dict[str, Any] = field(default_factory=dict)


class Views:
    """Views by their id, in the order in which they were made.

    Attributes:
        saved: All of them.
        operations: Answers by an operation's name.
    """

    def __init__(self, runs: Runs) -> None:
        self.saved: dict[str, View] = {}
        self._runs = runs
        self.operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "upsertView": self._upsert,
            "UpsertView2": self._upsert,
            "SpecificReport": self._view,
            "ProjectInternalId": self._project,
            "GetProjects": self._projects,
        }

    def _upsert(self, given: dict[str, Any]) -> Answer:
        inserted = not given.get("id")
        number = len(self.saved) + 1
        view_id = given.get("id") or base64.b64encode(f"View:{number}".encode()).decode()
        view = self.saved.setdefault(view_id, View(view_id))
        view.type, view.name = given["type"], given.get("name") or f"view-{number}"
        view.entity, view.project = given["entityName"], given["projectName"]
        view.title, view.description = given["displayName"], given.get("description") or ""
        view.spec = json.loads(given["spec"])
        return {"upsertView": {"view": _node(view), "inserted": inserted}}

    def _view(self, given: dict[str, Any]) -> Answer:
        found = self.saved.get(given["reportId"])
        return {"view": _node(found) if found else None}

    def _project(self, given: dict[str, Any]) -> Answer:
        there = given["projectName"] in self._names(given["entityName"])
        return {"project": {"id": "UHJv", "internalId": "UHJvOjE="} if there else None}

    def _projects(self, given: dict[str, Any]) -> Answer:
        nodes = [
            {
                "id": "UHJv",
                "name": name,
                "entityName": given["entity"],
                "createdAt": "2026-11-26T12:00:00Z",
                "isBenchmark": False,
                "user": None,
            }
            for name in self._names(given["entity"])
        ]
        page = {"endCursor": None, "hasNextPage": False}
        edges = [{"node": node, "cursor": node["name"]} for node in nodes]
        return {"models": {"edges": edges, "pageInfo": page}}

    def _names(self, entity: str) -> list[str]:
        return sorted({run.project for run in self._runs.values() if run.entity == entity})


def _node(view: View) -> Answer:
    return {
        "id": view.id,
        "type": view.type,
        "name": view.name,
        "displayName": view.title,
        "description": view.description,
        "project": {"id": "UHJv", "name": view.project, "entityName": view.entity},
        "spec": json.dumps(view.spec),
        "createdAt": "2026-11-26T12:00:00Z",
        "updatedAt": "2026-11-26T12:00:00Z",
    }
