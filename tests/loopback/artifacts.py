"""The server's artifacts: versions made, uploaded, committed, listed and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .artifact_links import ArtifactLinks
from .runs import ENTITY, PROJECT, Answer, Refused


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
    digest: str = ""
    description: str = ""
    metadata: str = "{}"


class Artifacts:
    """Versions of artifacts and the bytes of all uploads.

    Attributes:
        url: The server's address, which upload addresses start with.
        versions: Versions, deleted ones too.
        uploads: Uploaded bytes by their key.
        links: What versions are linked to.
    """

    def __init__(self) -> None:
        self.url = ""
        self.versions: list[Version] = []
        self.uploads: dict[str, bytes] = {}
        self.links = ArtifactLinks(self)
        self._contents: dict[str, str] = {}
        self.operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "CreateArtifact": self._create,
            "CreateArtifactManifest": self._manifest,
            "CreateArtifactFiles": self._files,
            "CommitArtifact": self._commit,
            "DeleteArtifact": self._delete,
            **self.links.operations,
        }

    def of(self, name: str) -> list[Version]:
        """The versions of an artifact that are there."""
        return [version for version in self.versions if version.name == name and not version.deleted]

    def content(self, version: Version, path: str) -> bytes:
        """A file of a version."""
        return self.uploads[self._contents[version.entries[path]["digest"]]]

    def _create(self, given: dict[str, Any]) -> Answer:
        name = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]
        siblings = [version for version in self.versions if version.name == name]
        aliases = [alias["alias"] for alias in given.get("aliases") or []]
        latest = {"id": siblings[-1].id} if siblings else None
        sequence = {"id": name, "latestArtifact": latest}
        # What is sent again, as `wandb sync` may, makes no second version.
        version = next((one for one in siblings if one.digest == given["digest"] and not one.deleted), None)
        if version is None:
            number = len(self.versions)
            version = Version(f"artifact-{number}", name, given["artifactTypeName"], len(siblings), aliases)
            version.digest = given["digest"]
            version.metadata = given.get("metadata") or "{}"
            version.description = given.get("description") or ""
            self.versions.append(version)
        for one in siblings:  # an alias names one version: it moves
            one.aliases = [alias for alias in one.aliases if alias not in aliases]
        version.aliases = [*version.aliases, *(alias for alias in aliases if alias not in version.aliases)]
        state = "COMMITTED" if version.committed else "PENDING"
        return {"createArtifact": {"artifact": {"id": version.id, "state": state, "artifactSequence": sequence}}}

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
        version = self.by_id(given["artifactID"])
        version.entries = json.loads(self.uploads[f"manifest/{version.id}"])["contents"]
        version.committed = True
        return {"commitArtifact": {"artifact": {"id": version.id, "digest": ""}}}

    def _delete(self, given: dict[str, Any]) -> Answer:
        version = self.by_id(given["artifactID"])
        if version.aliases and not given.get("deleteAliases"):
            raise Refused(f"{version.name}:v{version.index} has aliases", status=409)
        version.deleted = True
        return {"deleteArtifact": {"artifact": {"id": version.id}}}

    def listed(self, given: dict[str, Any]) -> Answer:
        """An artifact's versions, as W&B's API lists them."""
        found = self.of(str(given.get("collection") or given.get("collectionName") or given.get("name") or ""))
        edges = [
            {"node": self.node(version), "cursor": version.id, "version": f"v{version.index}"} for version in found
        ]
        page = {"endCursor": None, "hasNextPage": False}
        listed = {"totalCount": len(edges), "edges": edges, "pageInfo": page}
        collection = {"__typename": "ArtifactSequence", "name": "", "artifacts": listed}
        return {"id": "VHlw", "name": "run_table", "artifactCollection": collection}

    def node(self, version: Version) -> Answer:
        """A version as W&B's API has it."""
        project = {"id": "UHJv", "internalId": "1", "name": PROJECT, "entityName": ENTITY, "entity": {"name": ENTITY}}
        sequence = {
            "__typename": "ArtifactSequence",
            "id": version.name,
            "name": version.name,
            "project": project,
            "defaultArtifactType": {"name": version.type},
        }
        return {
            "__typename": "Artifact",
            "id": version.id,
            "digest": version.digest,
            "versionIndex": version.index,
            "artifactSequence": sequence,
            "artifactType": {"name": version.type},
            "aliases": [
                {"id": alias, "alias": alias, "artifactCollectionName": version.name, "artifactCollection": sequence}
                for alias in version.aliases
            ],
            "tags": [],
            "description": version.description,
            "metadata": version.metadata,
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "state": "COMMITTED" if version.committed else "PENDING",
            "currentManifest": None,
            "size": 1,
            "fileCount": 1,
            "commitHash": "",
            "createdAt": "2026-01-01T00:00:00",
            "updatedAt": None,
            "historyStep": None,
        }

    def by_id(self, identifier: str) -> Version:
        """The version that W&B's API calls so."""
        return next(version for version in self.versions if version.id == identifier)
