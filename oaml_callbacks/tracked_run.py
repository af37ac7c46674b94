"""[`TrackedRun`]: what a script may want to know of a callback's W&B run, and what checkpoints keep of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import ExportableState

from . import open_runs
from .saved_run import SavedRun

if TYPE_CHECKING:
    from transformers import TrainerState

    from .click_meter import ClickMeter
    from .trainer_run import TrainerRun
    from .wandb_logger import WandbLogger


class TrackedRun(ExportableState):
    """Tells of a run, while it is open and after."""

    _run: TrainerRun
    _clicks: ClickMeter

    @property
    def _tracker(self) -> WandbLogger | None:
        return self._run.tracker

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
        """The command that sends to W&B what it lacks of the run; `None` if it lacks nothing."""
        return self._tracker.sync_command if self._tracker else None

    @property
    def view_command(self) -> str | None:
        """The command that shows the run in the viewer; `None` without a run folder."""
        return self._run.view_command

    # In a Trainer's checkpoints ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The run as a checkpoint keeps it, in `trainer_state.json`: its id, its last row, its best evaluation."""
        saved = self.saved_run
        return {"args": {}, "attributes": {"saved_run": saved.to_dict()} if saved is not None else {}}

    @property
    def saved_run(self) -> SavedRun | None:
        """What a checkpoint knows of the run, or would know now."""
        return self._run.saved(self._clicks.correct)

    @saved_run.setter
    def saved_run(self, saved: Any) -> None:
        # `restore_callback_states_from_checkpoint` makes a new callback, by its class alone, and puts it in the place
        # of the one that the user made. So this one becomes that one; what was saved is read when training begins.
        replaced = open_runs.in_training(type(self))
        if replaced is not None:
            self.__dict__ = replaced.__dict__

    def _saved_in(self, state: TrainerState) -> SavedRun | None:
        """What the checkpoint knows of the run that a training goes on from; of several callbacks, the last one's."""
        # The Trainer looks for an entry at each save, and has none where its checkpoint was made without us.
        kept: Any = state.stateful_callbacks
        known = kept.setdefault(type(self).__name__, {})
        for entry in reversed(known if isinstance(known, list) else [known]):
            attributes = entry.get("attributes") if isinstance(entry, dict) else None
            if isinstance(attributes, dict) and (saved := SavedRun.from_dict(attributes.get("saved_run"))) is not None:
                return saved
        return None
