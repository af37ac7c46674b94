"""A W&B server on the loopback device: as much of one as sending runs and artifacts, and deleting versions, needs.

It answers by an operation's name and sends whole objects, whatever fields were asked for. Like W&B's own it wants a
file's content once: of content that it has, no upload is asked for.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

ENTITY, PROJECT = "someone", "clicks"
API_KEY = "a" * 40
Answer = dict[str, Any]


@dataclass
class Version:
    """A version of an artifact: its manifest's entries once it is committed, and what was asked of it."""

    id: str
    name: str
    type: str
    index: int
    aliases: list[str]
    entries: dict[str, Any] = field(default_factory=dict)
    committed: bool = False
    deleted: bool = False


class Loopback:
    """What the server was sent.

    Attributes:
        url: Its address.
        history: Rows of all runs.
        versions: Versions of artifacts, deleted ones too.
        uploads: Uploaded bytes by their key.
        operations: Names of the GraphQL operations, in order.
        broken: While true, every request is answered with a server's error.
    """

    def __init__(self) -> None:
        self.url = ""
        self.history: list[Any] = []
        self.versions: list[Version] = []
        self.uploads: dict[str, bytes] = {}
        self.operations: list[str] = []
        self.broken = False
        self._contents: dict[str, str] = {}

    def of(self, name: str) -> list[Version]:
        """The versions of an artifact that are there."""
        return [version for version in self.versions if version.name == name and not version.deleted]

    def content(self, version: Version, path: str) -> bytes:
        """A file of a version."""
        return self.uploads[self._contents[version.entries[path]["digest"]]]

    # GraphQL -----------------------------------------------------------------------------------------------------

    def answer(self, operation: str, given: dict[str, Any]) -> Answer:
        self.operations.append(operation)
        answers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "CreateArtifact": self._create,
            "CreateArtifactManifest": self._manifest,
            "CreateArtifactFiles": self._files,
            "CommitArtifact": self._commit,
            "DeleteArtifact": self._delete,
        }
        if operation.startswith("Probe") or operation.endswith("Fields"):  # what wandb 0.22 asks of a server's schema
            types = ("QueryType", "MutationType", "ServerInfoType", "ServerSettingsType", "RunType", "TypeInfo")
            known = [{"name": name} for name in ("serverInfo", "cliVersionInfo")]
            return {name: {"fields": known, "inputFields": known} for name in types}
        if operation in answers:
            return answers[operation](given.get("input", given))
        paths = [str(path) for path in given.get("files") or []]
        places = [{"name": path, "uploadUrl": f"{self.url}/storage/run/{path}"} for path in paths]
        inside = {"id": "UHJv", "name": PROJECT, "entity": {"id": "RW50", "name": ENTITY}}
        run = {
            "id": "UnVu",
            "files": {
                "edges": [{"node": {**place, "url": place["uploadUrl"]}} for place in places],
                "uploadHeaders": [],
            },
            "name": given.get("name") or given.get("runName"),
            "displayName": "run",
            "projectId": "1",
            "historyLineCount": 0,
            "project": inside,
        }
        project = {"run": run, "bucket": run, "artifactType": self._listed(given), "artifact": None, **inside}
        return {
            "upsertBucket": {"bucket": run, "inserted": True},
            "createRunFiles": {"runID": "UnVu", "uploadHeaders": [], "files": places},
            "serverInfo": {
                "cliVersionInfo": {"max_cli_version": "99"},
                "features": [],
                "latestLocalVersionInfo": None,
            },
            "viewer": {
                "id": "VXNl",
                "entity": ENTITY,
                "username": ENTITY,
                "email": "",
                "flags": "{}",
                "teams": {"edges": []},
            },
            "model": project,
            "project": project,
        }

    def _create(self, given: dict[str, Any]) -> Answer:
        name = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]
        siblings = [version for version in self.versions if version.name == name]
        aliases = [alias["alias"] for alias in given.get("aliases") or []]
        new = Version(f"artifact-{len(self.versions)}", name, given["artifactTypeName"], len(siblings), aliases)
        self.versions.append(new)
        latest = {"id": siblings[-1].id} if siblings else None
        sequence = {"id": name, "latestArtifact": latest}
        return {"createArtifact": {"artifact": {"id": new.id, "state": "PENDING", "artifactSequence": sequence}}}

    def _manifest(self, given: dict[str, Any]) -> Answer:
        key = given["artifactID"]
        file = {"uploadUrl": f"{self.url}/storage/manifest/{key}", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": key, "file": file}}}

    def _files(self, given: dict[str, Any]) -> Answer:
        nodes = []
        for file in given["artifactFiles"]:
            key = f"{file['artifactID']}/{file['name']}"
            known = self._contents.setdefault(file["md5"], key) != key
            url = None if known else f"{self.url}/storage/{key}"
            artifact = {"id": file["artifactID"]}
            shown = {"displayName": file["name"], "storagePath": key, "artifact": artifact}
            nodes.append({"uploadUrl": url, "uploadHeaders": [], **shown, **file})
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _commit(self, given: dict[str, Any]) -> Answer:
        version = self._by_id(given["artifactID"])
        version.entries = json.loads(self.uploads[f"manifest/{version.id}"])["contents"]
        version.committed = True
        return {"commitArtifact": {"artifact": {"id": version.id, "digest": ""}}}

    def _delete(self, given: dict[str, Any]) -> Answer:
        version = self._by_id(given["artifactID"])
        version.deleted = True
        return {"deleteArtifact": {"artifact": {"id": version.id}}}

    def _listed(self, given: dict[str, Any]) -> Answer:
        found = self.of(str(given.get("collection") or given.get("collectionName") or given.get("name") or ""))
        edges = [
            {"node": self._node(version, found), "cursor": version.id, "version": f"v{version.index}"}
            for version in found
        ]
        page = {"endCursor": None, "hasNextPage": False}
        listed = {"totalCount": len(edges), "edges": edges, "pageInfo": page}
        collection = {"__typename": "ArtifactSequence", "name": "", "artifacts": listed}
        return {"id": "VHlw", "name": "run_table", "artifactCollection": collection}

    def _node(self, version: Version, all_versions: list[Version]) -> Answer:
        project = {"id": "UHJv", "internalId": "1", "name": PROJECT, "entityName": ENTITY, "entity": {"name": ENTITY}}
        sequence = {
            "__typename": "ArtifactSequence",
            "id": version.name,
            "name": version.name,
            "project": project,
            "defaultArtifactType": {"name": version.type},
        }
        # W&B moves the alias `latest` on to the newest.
        aliases = [alias for alias in version.aliases if alias != "latest" or version is all_versions[-1]]
        return {
            "__typename": "Artifact",
            "id": version.id,
            "digest": "",
            "versionIndex": version.index,
            "artifactSequence": sequence,
            "artifactType": {"name": version.type},
            "aliases": [
                {"id": alias, "alias": alias, "artifactCollectionName": version.name, "artifactCollection": sequence}
                for alias in aliases
            ],
            "tags": [],
            "description": None,
            "metadata": "{}",
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "state": "COMMITTED",
            "currentManifest": None,
            "size": 1,
            "fileCount": 1,
            "commitHash": "",
            "createdAt": "2026-01-01T00:00:00",
            "updatedAt": None,
            "historyStep": None,
        }

    def _by_id(self, identifier: str) -> Version:
        return next(version for version in self.versions if version.id == identifier)


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Start a server on a free port; stop it at the end."""
    state = Loopback()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if state.broken:
                return self._send({"error": "broken"}, status=500)
            if self.path != "/graphql":
                for name, chunk in json.loads(body).get("files", {}).items():
                    if name == "wandb-history.jsonl":
                        state.history += [json.loads(line) for line in chunk["content"]]
                return self._send({})
            asked = json.loads(body)
            operation = asked.get("operationName") or re.findall(r"(?:query|mutation)\s+(\w+)", asked["query"])[0]
            return self._send({"data": state.answer(operation, asked.get("variables") or {})})

        def do_PUT(self) -> None:
            state.uploads[unquote(self.path).removeprefix("/storage/")] = self._body()
            self._send({})

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            return gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body

        def _send(self, answer: Answer, status: int = 200) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # W&B's service ends by dropping its connections

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
