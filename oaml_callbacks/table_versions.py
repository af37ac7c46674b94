"""[`OldVersions`]: of an artifact with one version per evaluation, the newest stay on W&B's server."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10
"""Time limit of one request to W&B's server."""

FINISH_SECONDS = 5.0
"""How long the end of a run waits for a deletion that is under way."""


class OldVersions:
    """Deletes versions of a run's artifacts that are older than the newest few.

    It happens in a thread of its own, one artifact at a time, and never raises: what isn't deleted now is deleted
    after a later evaluation. A version with an alias stays, since W&B gives `latest` to the newest alone: any other
    was given by somebody.

    Args:
        run: The W&B run that logs them.
        keep: How many versions stay.
    """

    def __init__(self, run: wandb.Run, *, keep: int) -> None:
        self._keep = keep
        self._settings = run.settings
        self._entity, self._project = run.entity, run.project
        self._logged: dict[str, int] = {}
        self._resumed = run.resumed
        self._thread: threading.Thread | None = None

    def drop(self, name: str, *, type_name: str) -> None:
        """Note that a version of `name` was logged, and delete the oldest if there are too many by now.

        Returns at once. Offline nothing is deleted: the server has no version yet.
        """
        if self._settings.mode != "online":
            return
        self._logged[name] = self._logged.get(name, 0) + 1
        busy = self._thread is not None and self._thread.is_alive()
        # What a resumed run has logged before isn't known here.
        if busy or not (self._resumed or self._logged[name] > self._keep):
            return
        self._thread = threading.Thread(target=self._delete, args=(name, type_name), name="oaml-old-tables", daemon=True)
        self._thread.start()

    def wait(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until a deletion that is under way has ended, but for `seconds` at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _delete(self, name: str, type_name: str) -> None:
        import wandb

        try:
            server = {"base_url": self._settings.base_url, "entity": self._entity, "project": self._project}
            # The run's own key: asked for one, in a thread, nobody would answer.
            api = wandb.Api(overrides=server, timeout=REQUEST_SECONDS, api_key=self._settings.api_key)
            versions = list(api.artifacts(type_name, f"{self._entity}/{self._project}/{name}"))
            versions.sort(key=lambda version: int(version.version.removeprefix("v")), reverse=True)
            for version in versions[self._keep :]:
                if not version.aliases:
                    version.delete()
        except Exception as error:  # noqa: BLE001 - tidying up; whatever it fails at, the training must go on
            logger.debug("Old versions of %s were not deleted: %s: %s", name, type(error).__name__, error)
