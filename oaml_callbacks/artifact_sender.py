"""[`ArtifactSender`]: a run's artifacts, logged without waiting for W&B's server; old versions deleted."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from .clean_text import error_text

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

MAX_WAITING = 8
"""Artifacts that may wait for the server at once."""

REQUEST_SECONDS = 10
"""Time limit of one request that lists or deletes versions."""

FINISH_SECONDS = 20.0
"""How long the end of a run waits for what is under way; wandb 0.31 gives one question to its server 19 seconds."""


class ArtifactSender:
    """Logs artifacts of one run, in their order.

    `run.log_artifact` asks W&B's server for the artifact's type before it returns: with a server that doesn't answer
    it holds its caller for 19 seconds (0.31) or a minute and more (0.22). So online it is called in a thread. Offline
    it is called at once.

    Args:
        run: The W&B run.
    """

    def __init__(self, run: wandb.Run) -> None:
        self._run = run
        self._sent: dict[str, int] = {}
        self._threads: list[threading.Thread] = []

    def send(self, artifact: wandb.Artifact, *, keep: int | None = None) -> None:
        """Log the artifact, which can't be changed from then on.

        Args:
            artifact: What to log.
            keep: Versions of it that stay on the server; older ones are deleted in the same thread. A version with an
                alias stays: W&B gives `latest` to the newest alone, so any other was given by somebody. Offline
                nothing is deleted.

        Raises:
            RuntimeError: Too many wait for the server already.
        """
        if self._run.offline:
            self._run.log_artifact(artifact)
            return
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MAX_WAITING:
            raise RuntimeError(f"W&B's server has not answered for the last {MAX_WAITING} artifacts")
        artifact.finalize()  # so that a table in it can be referred to at once
        before = self._threads[-1] if self._threads else None
        thread = threading.Thread(
            target=self._send_after, args=(before, artifact, keep), name="oaml-artifacts", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def wait(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until everything is logged, but for `seconds` at most. To be called before the run is finished."""
        if self._threads:
            self._threads[-1].join(seconds)
            if self._threads[-1].is_alive():
                logger.warning("W&B's server does not answer; the last tables may be missing there.")

    def _send_after(self, before: threading.Thread | None, artifact: wandb.Artifact, keep: int | None) -> None:
        if before is not None:
            before.join()
        name = artifact.name.partition(":")[0]
        try:
            self._run.log_artifact(artifact)
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread who could be told otherwise
            logger.warning("The artifact %s could not be logged: %s", name, error_text(error))
            return
        self._sent[name] = self._sent.get(name, 0) + 1
        # What a resumed run has logged before isn't known here.
        if keep is None or not (self._run.resumed or self._sent[name] > keep):
            return
        try:
            self._delete_old(name, artifact.type, keep)
        except Exception as error:  # noqa: BLE001 - tidying up; what isn't deleted now is after the next evaluation
            logger.debug("Old versions of %s were not deleted: %s", name, error_text(error))

    def _delete_old(self, name: str, type_name: str, keep: int) -> None:
        import wandb

        run = self._run
        server = {"base_url": run.settings.base_url, "entity": run.entity, "project": run.project}
        # The run's own key: asked for one, in a thread, nobody would answer.
        api = wandb.Api(overrides=server, timeout=REQUEST_SECONDS, api_key=run.settings.api_key)
        versions = list(api.artifacts(type_name, f"{run.entity}/{run.project}/{name}"))
        versions.sort(key=lambda version: int(version.version.removeprefix("v")), reverse=True)
        for version in versions[keep:]:
            if not version.aliases:
                version.delete()
