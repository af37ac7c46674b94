"""A Trainer at an event, and where its adapters lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .adapter_files import CONFIG
from .facts import adapter_config, adapter_name

if TYPE_CHECKING:
    from transformers import TrainerState, TrainingArguments


@dataclass(frozen=True)
class Moment:
    """A Trainer at an event.

    Args:
        args: Its arguments.
        state: Its state.
        model: Its model. Nobody holds it longer than the event lasts: others may want the memory.
        processor: Its `processing_class`.
        dying: SIGTERM has come: nothing is logged any more, to be gone in time.
    """

    args: TrainingArguments
    state: TrainerState
    model: Any
    processor: Any = None
    dying: bool = False

    @property
    def has_adapter(self) -> bool:
        """Whether the model has an adapter of PEFT's."""
        return adapter_config(self.model) is not None

    @property
    def metric(self) -> str | None:
        """What the Trainer chooses its best checkpoint by, as evaluations name it: `eval_grounding_accuracy`."""
        given = self.args.metric_for_best_model
        return None if not given else given if given.startswith("eval_") else f"eval_{given}"

    @property
    def is_sharded(self) -> bool:
        """Whether no rank has the whole adapter."""
        from ..grounding.sharding import Sharding

        return Sharding(self.model).synced

    @property
    def loaded_checkpoint(self) -> Path | None:
        """At a training's end: the best checkpoint, which the model was loaded from; `None` if it wasn't."""
        best = self.state.best_model_checkpoint if self.args.load_best_model_at_end else None
        return Path(best) if best else None

    def step_of(self, checkpoint: Path) -> int:
        """How many steps a checkpoint has. The best evaluation may be a later one, that no checkpoint was saved at."""
        number = checkpoint.name.rpartition("-")[2]
        return int(number) if number.isdecimal() else self.state.best_global_step or self.state.global_step

    def adapter_in(self, folder: Path) -> Path | None:
        """Where in a folder that was saved the adapter's files are; `None` without one."""
        return adapter_in(folder, adapter_name(self.model))

    def checkpoint(self) -> Path | None:
        """The checkpoint that has just been saved; in a search it is in a folder of the trial's own."""
        output, name = Path(str(self.args.output_dir)), f"checkpoint-{self.state.global_step}"
        found = [path for path in (output / name, *output.glob(f"run-*/{name}")) if path.is_dir()]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)


def adapter_in(folder: Path, name: str | None) -> Path | None:
    """Where the adapter `name` is in a folder that PEFT saved to: `default` is in the folder itself."""
    places = (folder, folder / (name or "default"))
    return next((place for place in places if (place / CONFIG).is_file()), None)
