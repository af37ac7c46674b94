"""[`ArtifactSender`]: a run's artifacts, logged without waiting for W&B's server; old versions deleted."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .clean_text import error_text

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10
"""Time limit of one request that lists or deletes versions."""

FINISH_SECONDS = 3.0
"""How long the end of a run waits for old versions to be deleted; what isn't is after the next evaluation."""


class ArtifactSender:
    """Logs artifacts of one run, in their order.

    `run.log_artifact` asks W&B's server two things before it returns: of which type the artifact is there, and whether
    the key is right. With a server that doesn't answer it holds its caller for 19 seconds each, and then raises (seen
    with 0.31). Neither is needed for artifacts of our own, so here they aren't asked. And online it writes nothing of
    the artifact into the run's file, so that what the server didn't take could never be sent. Here it is written
    there, as it is offline, and W&B's service sends it when it can.

    Args:
        run: The W&B run.
        passing: Aliases that protect no version from being deleted: whoever logs gives each version one of its own.

    Attributes:
        arrived: W&B's digests of the versions that the server had when old ones were deleted last.
    """

    def __init__(self, run: wandb.Run, *, passing: re.Pattern[str] | None = None) -> None:
        self.arrived: frozenset[str] = frozenset()
        self._run = run
        self._passing = passing
        self._sent: dict[str, int] = {}
        self._due: tuple[str, str, int] | None = None
        self._tidying: threading.Thread | None = None
        self._lock = threading.Lock()  # of `_tidying`, and of
        self._again = False

    def send(self, artifact: wandb.Artifact, *, aliases: Sequence[str] = (), keep: int | None = None) -> None:
        """Log the artifact, which can't be changed from then on.

        Of one whose content the server has, it makes no new version: the aliases move to the one that is there.

        Args:
            artifact: What to log.
            aliases: Names that this version gets, and an older one loses; `latest` is always one of them.
            keep: Versions of it that stay on the server; older ones are deleted in a thread. A version with an alias
                stays: W&B gives `latest` to the newest alone, so any other was given by somebody; and so does one that
                is linked to a registry. Offline nothing is deleted.
        """
        with _on_disk_first(self._run):
            self._run.log_artifact(artifact, aliases=list(aliases) or None)
        name = artifact.name.partition(":")[0]
        self._sent[name] = self._sent.get(name, 0) + 1
        # What a resumed run has logged before isn't known here.
        if keep is not None and (self._run.resumed or self._sent[name] > keep):
            self._due = (name, artifact.type, keep)
            if not self._run.offline:
                self.tidy()

    def tidy(self) -> None:
        """Delete in a thread what became too old, as [`send`] does; also after the run's end, when all has arrived."""
        with self._lock:
            self._again = self._due is not None
            if self._again and self._tidying is None:
                thread = threading.Thread(target=self._tidy, name="oaml-artifacts", daemon=True)
                thread.start()  # which raises where there can be no more threads
                self._tidying = thread

    def wait(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until old versions are deleted, but for `seconds` at most. To be called before the run is finished."""
        tidying = self._tidying
        if tidying is not None:
            tidying.join(seconds)

    def _tidy(self) -> None:
        """Until nothing is due: what comes while old versions are deleted makes others old."""
        while True:
            with self._lock:
                if not self._again or self._due is None:
                    self._tidying = None
                    return
                self._again = False
                name, type_name, keep = self._due
            try:
                self._delete_old(name, type_name, keep)
            except Exception as error:  # noqa: BLE001 - tidying up; what isn't deleted now is after the next evaluation
                logger.debug("Old versions of %s were not deleted: %s", name, error_text(error))

    def _delete_old(self, name: str, type_name: str, keep: int) -> None:
        run = self._run
        versions = list(api_of(run).artifacts(type_name, f"{run.entity}/{run.project}/{name}"))
        self.arrived = frozenset(version.digest for version in versions if version.state == "COMMITTED")
        versions.sort(key=lambda version: int(version.version.removeprefix("v")), reverse=True)
        for version in versions[keep:]:
            passing = [alias for alias in version.aliases if self._passing and self._passing.fullmatch(alias)]
            # Asked of those alone that would go; W&B has no list that says it of all.
            if len(passing) < len(version.aliases) or (self._passing is not None and version.linked_artifacts):
                continue
            if passing:
                # Not `delete(delete_aliases=True)`: an alias that somebody gives it meanwhile must be in the way.
                version.aliases = []
                version.save()
            version.delete()


def api_of(run: wandb.Run) -> wandb.Api:
    """W&B's client for the run's server, with a time limit for each request; it works after the run's end too."""
    import wandb

    server = {"base_url": run.settings.base_url, "entity": run.entity, "project": run.project}
    # The run's own key: asked for one, in a thread, nobody would answer.
    return wandb.Api(overrides=server, timeout=REQUEST_SECONDS, api_key=run.settings.api_key)


@contextmanager
def _on_disk_first(run: wandb.Run) -> Iterator[None]:
    """Inside, `run.log_artifact` hands an artifact to W&B's service as it does offline: written first, and then sent.

    Online it would ask the server twice, and hand the artifact over in a way that leaves nothing on disk.
    """
    held: Any = run
    interface: Any = getattr(run, "_interface", None)
    names = ("_assert_can_log_artifact", "_public_api")
    if run.offline or not hasattr(interface, "publish_artifact") or not all(hasattr(run, name) for name in names):
        yield  # an SDK that has changed: it asks
        return

    def publish(of: Any, artifact: Any, aliases: Any, tags: Any = None, history_step: Any = None, **more: Any) -> None:
        interface.publish_artifact(of, artifact, aliases, tags, **more)

    interface.deliver_artifact = publish
    held._assert_can_log_artifact = lambda artifact: None
    held._public_api = _Api
    try:
        yield
    finally:
        vars(interface).pop("deliver_artifact", None)
        for name in names:
            vars(run).pop(name, None)


class _Api:
    """In the place of W&B's client: `Artifact.wait` would use what it is given, and nobody waits for ours."""

    def _set_artifact_save_handle(self, artifact: Any, handle: Any) -> None:
        pass
