"""The model card where no event of the Trainer's tells of a save: `trainer.save_model(…)`, `trainer.push_to_hub()`.

PEFT writes a README.md of its own at each save, and the Trainer a new one before it pushes. So both methods are
wrapped, once for each class of Trainer, as `Trainer.train` is: afterwards the card is written there too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .adapter_events import AdapterEvents


def watch_saves(trainer_class: type) -> None:
    """Tell the callbacks of such Trainers of each save."""
    for name in ("save_model", "create_model_card"):
        for where in trainer_class.__mro__:
            method = where.__dict__.get(name)
            if method is not None:
                if not hasattr(method, "_oaml_wrapped"):
                    setattr(where, name, _watched(method))
                break


def _watched(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        given = None
        if method.__name__ == "save_model":
            given = kwargs.get("output_dir", args[0] if args else None)
        folder = Path(str(given if given is not None else self.args.output_dir))
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, AdapterEvents):
                callback.on_saved(self, folder)
        return result

    wrapper._oaml_wrapped = True  # type: ignore[attr-defined]
    return wrapper
