"""[`TrackedRun`]: what a script may want to know of the W&B run that a callback has opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wandb_logger import WandbLogger


class TrackedRun:
    """Tells of a run, while it is open and after."""

    @property
    def _tracker(self) -> WandbLogger | None:
        return None

    @property
    def run_id(self) -> str | None:
        """Id of the run that is open, or was last."""
        return self._tracker.run_id if self._tracker else None

    @property
    def run_url(self) -> str | None:
        """The run's page at W&B; `None` offline."""
        return self._tracker.url if self._tracker else None

    @property
    def run_folder(self) -> Path | None:
        """Where W&B keeps the run on disk."""
        return self._tracker.folder if self._tracker else None

    @property
    def links(self) -> dict[str, str]:
        """The run's `viewer_url` and `dashboard_url`."""
        return dict(self._tracker.links) if self._tracker else {}

    @property
    def look_command(self) -> str | None:
        """The command that shows the run's files in a terminal."""
        return self._tracker.look_command if self._tracker else None

    @property
    def sync_command(self) -> str | None:
        """The command that sends an offline run to W&B."""
        return self._tracker.sync_command if self._tracker else None
