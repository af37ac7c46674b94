"""Artifacts on their way back: a version by its name, its manifest, where its files are, and what is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from .artifacts import Artifacts, Version
from .runs import ENTITY, PROJECT, Answer, Refused, Runs

PREFIX = "/storage/download/"


class ArtifactDownloads:
    """What is asked of artifacts by who fetches one.

    Attributes:
        instead: Bytes that are given out in place of a file's or a manifest's own, by `ID/NAME`, or `ID/manifest`.
    """

    def __init__(self, artifacts: Artifacts, runs: Runs) -> None:
        self.instead: dict[str, bytes] = {}
        self._artifacts = artifacts
        self._runs = runs
        self.operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "ArtifactByID": self._by_id,
            "ArtifactMembershipByName": self._by_name,
            "FetchArtifactManifest": self._manifest,
            "ArtifactMembershipFiles": self._files,
            "GetArtifactMembershipFileUrls": self._files,
        }

    def content(self, path: str) -> bytes:
        """What lies at a download's address.

        Raises:
            Refused: Nothing does.
        """
        key = unquote(path.partition("?")[0]).removeprefix(PREFIX)
        if key in self.instead:
            return self.instead[key]
        identifier, _, name = key.partition("/")
        version = self._with_id(identifier)
        if version is not None and name == "manifest":
            return json.dumps(
                {
                    "version": 1,
                    "storagePolicy": "wandb-storage-policy-v1",
                    "storagePolicyConfig": {"storageLayout": "V2"},
                    "contents": version.entries,
                }
            ).encode()
        if version is None or name not in version.entries:
            raise Refused("no such file", status=404)
        return self._artifacts.content(version, name)

    def _by_id(self, given: dict[str, Any]) -> Answer:
        version = self._with_id(str(given["id"]))
        return {"artifact": version and self._membership(version)["artifact"]}

    def _by_name(self, given: dict[str, Any]) -> Answer:
        place = f"{given['entity']}/{given['project']}"
        if not self._runs.of_project(given["entity"], given["project"]) and not self._linked(place):
            return {"project": None}
        name, _, alias = str(given["name"]).partition(":")
        version = self._named(f"{place}/{name}", alias or "latest")
        shown = version and self._membership(version, f"{place}/{name}")
        return {"project": {"artifactCollectionMembership": shown}}

    def _manifest(self, given: dict[str, Any]) -> Answer:
        version = self._with_id(str(given["id"]))
        if version is None:
            return {"artifact": None}
        return {"artifact": {"currentManifest": {"file": {"directUrl": self._url(version, "manifest")}}}}

    def _files(self, given: dict[str, Any]) -> Answer:
        version = self._named(f"{given['entity']}/{given['project']}/{given['collection']}", str(given["alias"]))
        wanted = given.get("fileNames")
        names = [name for name in (version.entries if version else ()) if not wanted or name in wanted]
        nodes = [self._file(version, name) for name in names if version]
        files = {
            "totalCount": len(nodes),
            "pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False},
            "edges": [{"node": node} for node in nodes],
        }
        membership = {"files": files} if version else None
        collection = {"__typename": "ArtifactSequence", "artifactMembership": membership}
        return {"project": {"artifactCollection": collection}}

    def _file(self, version: Version, name: str) -> Answer:
        entry = version.entries[name]
        url = entry.get("ref") or self._url(version, name)
        return {
            "__typename": "File",
            "id": f"{version.id}/{name}",
            "name": name,
            "url": url,
            "directUrl": url,
            "sizeBytes": entry.get("size", 0),
            "storagePath": None,
            "mimetype": "",
            "updatedAt": None,
            "digest": entry["digest"],
            "md5": entry["digest"],
        }

    def _membership(self, version: Version, where: str | None = None) -> Answer:
        """A version in a collection: its own artifact, or one of a registry that it is linked to."""
        linked = self._linked(where or "")
        aliases = [] if linked else version.aliases
        project = {"id": "UHJv", "internalId": "SW50", "name": PROJECT, "entity": {"name": ENTITY}}
        sequence: Answer = {"__typename": "ArtifactSequence", "name": version.name, "project": project}
        collection = sequence
        if where is not None and linked:
            entity, name, collection_name = where.split("/")
            registry = {**project, "name": name, "entity": {"name": entity}}
            collection = {"__typename": "ArtifactPortfolio", "name": collection_name, "project": registry}
        return {
            "__typename": "ArtifactCollectionMembership",
            "id": f"membership-{version.id}",
            "versionIndex": linked.index(version) if linked else version.index,
            "createdAt": "2026-01-01T00:00:00",
            "aliases": [{"__typename": "ArtifactAlias", "id": alias, "alias": alias} for alias in aliases],
            "artifactCollection": collection,
            "artifact": {
                "__typename": "Artifact",
                "id": version.id,
                "artifactSequence": sequence,
                "versionIndex": version.index,
                "artifactType": {"name": version.type},
                "description": None,
                "metadata": version.metadata,
                "ttlDurationSeconds": -1,
                "ttlIsInherited": True,
                "tags": [],
                "historyStep": None,
                "state": "COMMITTED",
                "size": sum(entry.get("size") or 0 for entry in version.entries.values()),
                "digest": version.digest,
                "digestAlgorithm": "MANIFEST_MD5",
                "commitHash": "",
                "fileCount": len(version.entries),
                "createdAt": "2026-01-01T00:00:00",
                "updatedAt": None,
                "aliases": [],
            },
        }

    def _named(self, path: str, alias: str) -> Version | None:
        """The version of `ENTITY/PROJECT/NAME` with an alias, which is the newest that was given it."""
        linked = self._linked(path)
        versions = linked or [one for one in self._artifacts.of(path.rpartition("/")[2]) if one.committed]
        if re.fullmatch(r"v\d+", alias):
            numbered = enumerate(linked) if linked else ((one.index, one) for one in versions)
            return next((one for index, one in numbered if index == int(alias[1:])), None)
        if alias == "latest":
            return versions[-1] if versions else None
        return next((one for one in reversed(versions) if alias in one.aliases), None)

    def _linked(self, path: str) -> list[Version]:
        """The versions that are linked to a registry's collection, or to any of a registry's."""
        registered = self._artifacts.links.registered
        return [one for place, found in registered.items() if f"{place}/".startswith(f"{path}/") for one in found]

    def _with_id(self, identifier: str) -> Version | None:
        return next((one for one in self._artifacts.versions if one.id == identifier and not one.deleted), None)

    def _url(self, version: Version, name: str) -> str:
        return f"{self._artifacts.url}{PREFIX}{version.id}/{quote(name)}"
