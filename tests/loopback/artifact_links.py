"""What becomes of a version after it was logged: aliases taken away, links to a registry's collections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .runs import ENTITY, Answer, Refused

if TYPE_CHECKING:
    from .artifacts import Artifacts, Version

ORGANISATION, ORGANISATION_ENTITY = "acme", "acme-org"


class ArtifactLinks:
    """Answers to what is done to versions that are there.

    Attributes:
        registered: The versions that were linked to each collection, `ORGANISATION/PROJECT/COLLECTION`, in order.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self.registered: dict[str, list[Version]] = {}
        self._artifacts = artifacts
        self.operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "DeleteAliases": self._delete_aliases,
            "UpdateArtifact": self._update,
            "FetchOrgInfoFromEntity": self._organisation,
            "LinkArtifact": self._link,
            "FetchLinkedArtifacts": self._linked,
        }

    def _delete_aliases(self, given: dict[str, Any]) -> Answer:
        version = self._artifacts.by_id(given["artifactID"])
        gone = {alias["alias"] for alias in given["aliases"]}
        version.aliases = [alias for alias in version.aliases if alias not in gone]
        return {"result": {"success": True}}

    def _update(self, given: dict[str, Any]) -> Answer:
        return {"result": {"artifact": self._artifacts.node(self._artifacts.by_id(given["artifactID"]))}}

    def _organisation(self, given: dict[str, Any]) -> Answer:
        if given["entity"] != ENTITY:
            return {"entity": None}
        organisation = {"name": ORGANISATION, "orgEntity": {"name": ORGANISATION_ENTITY}}
        return {"entity": {"organization": organisation, "user": None}}

    def _link(self, given: dict[str, Any]) -> Answer:
        version = self._artifacts.by_id(given["artifactID"])
        if version.deleted:
            raise Refused("artifact not found", status=404)
        place = f"{given['entityName']}/{given['projectName']}/{given['artifactPortfolioName']}"
        versions = self.registered.setdefault(place, [])
        if all(one is not version for one in versions):
            versions.append(version)
        index = next(index for index, one in enumerate(versions) if one is version)
        return {"result": {"versionIndex": index, "artifactMembership": self._membership(version, place, index)}}

    def _linked(self, given: dict[str, Any]) -> Answer:
        version = self._artifacts.by_id(given["artifactID"])
        own = {
            "versionIndex": version.index,
            "createdAt": "2026-01-01T00:00:00",
            "aliases": [],
            "artifactCollection": self._artifacts.node(version)["artifactSequence"],
        }
        links = [
            self._membership(version, place, index)
            for place, versions in self.registered.items()
            for index, one in enumerate(versions)
            if one is version
        ]
        return {"artifact": {"artifactMemberships": {"edges": [{"node": node} for node in (own, *links)]}}}

    def _membership(self, version: Version, place: str, index: int) -> Answer:
        entity, project, name = place.split("/")
        whose = {"id": "UHJv", "internalId": "2", "name": project, "entity": {"name": entity}}
        return {
            "__typename": "ArtifactCollectionMembership",
            "id": f"link-{version.id}",
            "versionIndex": index,
            "createdAt": "2026-01-01T00:00:00",
            "aliases": [],
            "artifactCollection": {"__typename": "ArtifactPortfolio", "name": name, "project": whose},
            "artifact": self._artifacts.node(version),
        }
