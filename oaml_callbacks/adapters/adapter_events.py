"""[`AdapterEvents`]: the callback's events that concern the adapter, and what a script may ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .moment import Moment

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from ..trainer_run import TrainerRun
    from .adapter_log import AdapterLog


class AdapterEvents:
    """Hands the Trainer's events on to the run's [`AdapterLog`], where there is one: on world rank 0, tracked."""

    in_training: bool
    _run: TrainerRun

    # What a script wants to know ---------------------------------------------------------------------------------

    @property
    def adapter_artifact(self) -> str | None:
        """The adapter's artifact, `ENTITY/PROJECT/adapter-ID`; `None` if none was logged."""
        return self._run.adapter.artifact_name if self._run.adapter is not None else None

    @property
    def registry_link(self) -> str | None:
        """The version in the registry that the best adapter was linked as."""
        return self._run.adapter.link.linked if self._run.adapter is not None else None

    @property
    def registry_command(self) -> str | None:
        """The command that links the best adapter to the registry; `None` if there is nothing left to link."""
        return self._run.adapter.link.command if self._run.adapter is not None else None

    def write_model_card(self, folder: str | os.PathLike[str]) -> None:
        """Write this run's model card beside an adapter that was saved after the training, into its README.md.

        What the Trainer itself saves or pushes has it. What the README has beside it stays. Does nothing without a
        tracked run or an adapter.
        """
        if (adapter := self._run.adapter) is not None:
            adapter.unless_it_fails(lambda: adapter.write_final_card(Path(folder)))

    def on_saved(self, trainer: Any, folder: Path) -> None:
        """Write the card where the Trainer has saved the model; see `final_saves`."""
        if not self.in_training:
            self.write_model_card(folder)
            return
        given = {"model": trainer.model, "processing_class": trainer.processing_class}
        self._tell_adapter(
            lambda adapter, moment: adapter.write_card(moment, folder), trainer.args, trainer.state, given
        )

    # The Trainer's events ----------------------------------------------------------------------------------------

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the checkpoint's model card, and log its adapter if it is to be logged."""
        self._tell_adapter(lambda adapter, moment: adapter.saved(moment), args, state, kwargs)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save what has to be had of the model before it changes."""
        if self._run.adapter is not None and self._run.adapter.is_pending:
            self._tell_adapter(lambda adapter, moment: adapter.goes_on(moment), args, state, kwargs)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The same where the best checkpoint may be loaded next: no event comes between it and a training's stop."""
        if args.load_best_model_at_end:
            self.on_step_begin(args, state, control, **kwargs)

    def _adapter_evaluated(
        self, args: TrainingArguments, state: TrainerState, metrics: Mapping[str, Any], kwargs: Mapping[str, Any]
    ) -> None:
        if self.in_training:
            self._tell_adapter(lambda adapter, moment: adapter.evaluated(moment, metrics), args, state, kwargs)

    def _adapter_ends(self, args: TrainingArguments, state: TrainerState, kwargs: Mapping[str, Any]) -> None:
        self._tell_adapter(lambda adapter, moment: adapter.ended(moment), args, state, kwargs)

    def _tell_adapter(
        self,
        tell: Callable[[AdapterLog, Moment], None],
        args: TrainingArguments,
        state: TrainerState,
        kwargs: Mapping[str, Any],
    ) -> None:
        adapter = self._run.adapter
        if adapter is not None:
            model, processor = kwargs.get("model"), kwargs.get("processing_class")
            moment = Moment(args, state, model, processor, dying=self._run.preempted)
            adapter.unless_it_fails(lambda: tell(adapter, moment))
