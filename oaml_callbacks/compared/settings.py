"""In which settings runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..secrets import redacted
from .runs import ReadRun

MAX_SETTINGS = 200
"""Settings that are told."""

NOT_SET = "\N{EN DASH}"
"""What stands for a setting that a run doesn't have."""

_SAYS_NOTHING = frozenset(
    ("name", "host", "output_dir", "logging_dir", "run_name", "gpu", "viewer_url", "dashboard_url", "oaml.grounding")
)
"""Settings that differ with every run, or that are told elsewhere."""


def differing_settings(runs: Sequence[ReadRun]) -> dict[str, list[Any]]:
    """The settings that aren't the same in all runs, each run's value in the runs' order.

    Between a run folder and a run of W&B's, which knows many more, those count that all have.
    """
    alike = len({run.source for run in runs}) == 1
    names = list(dict.fromkeys(name for run in runs for name in run.config))
    found: dict[str, list[Any]] = {}
    for name in names:
        if name in _SAYS_NOTHING or not (alike or all(name in run.config for run in runs)):
            continue
        values = [run.config.get(name, NOT_SET) for run in runs]
        if any(value != values[0] for value in values[1:]):
            found[name] = values
    # The configuration as it was given says again what the Trainer's arguments say.
    plain = {name for name in found if "." not in name}
    told = {
        name: values
        for name, values in found.items()
        if not (name.startswith(("oaml.config.", "peft_config.")) and _plain_name(name) in plain)
    }
    # The package's own writing has left secrets out; W&B's other runs may have some.
    shown: dict[str, list[Any]] = redacted(dict(list(told.items())[:MAX_SETTINGS]))
    return shown


def _plain_name(name: str) -> str:
    last = name.rpartition(".")[2]
    return {"r": "lora_r", "alpha": "lora_alpha", "dropout": "lora_dropout"}.get(last, last)
