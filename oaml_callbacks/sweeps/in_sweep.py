"""A training that is a trial of a W&B sweep has folders of its own.

W&B's agent names the sweep and the run in the environment (`WANDB_SWEEP_ID`, `WANDB_RUN_ID`). A search without a
server gives each trial its folder, and says in the environment that it is one ([`LOCAL_TRIAL`]).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..config import ConfigError, RunConfig
from ..train_setup import DEFAULTS

LOCAL_TRIAL = "OAML_LOCAL_TRIAL"
"""Set in a trial of `oaml sweep local`."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def trial_folder() -> Path | None:
    """`<sweep id>/<run id>` in a trial of a sweep; `None` in any other training.

    Raises:
        ConfigError: The environment names a sweep or a run by what can't be a folder's name.
    """
    sweep, run = os.environ.get("WANDB_SWEEP_ID"), os.environ.get("WANDB_RUN_ID")
    if not sweep or not run:
        return None
    for name, given in (("WANDB_SWEEP_ID", sweep), ("WANDB_RUN_ID", run)):
        if not _ID.fullmatch(given):
            raise ConfigError(f"{name}={given!r} is no id of W&B's; unset it where no sweep is run")
    return Path(sweep, run)


def as_trial(config: RunConfig) -> RunConfig:
    """The configuration, with folders of the trial's own: those it names, and below them `<sweep id>/<run id>`.

    Any other training's is given back as it is. So trials don't meet each other's checkpoints; and one that W&B starts
    again, because its machine went away, finds its own.
    """
    folder = trial_folder()
    if folder is None:
        return config
    output = Path(str(config.training.get("output_dir", DEFAULTS["output_dir"]))) / folder
    changed: dict[str, Any] = {"training": {**config.training, "output_dir": str(output)}}
    if config.lora.weights_path is not None:
        weights = str(Path(config.lora.weights_path) / folder)
        changed["lora"] = config.lora.model_copy(update={"weights_path": weights})
    return config.model_copy(update=changed)
