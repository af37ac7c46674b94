"""What a sweep can be decided by: the numbers that a trial logs, and which way is better."""

from __future__ import annotations

import re
from typing import Literal

from .. import keys
from ..suggest import did_you_mean, nearest

_TRAINERS = ("eval/loss", "train/loss", "train/grad_norm", "train_loss")
_NO_NUMBERS = ("table", "page", "text", "URL", "hex")
_HIGHER = re.compile(r"grounding_(accuracy|parsed|correct|fixed|labels_ok|samples_per_second)")
_LOWER = re.compile(r"grounding_(distance|misses|broken|seconds|skipped|unreached)|loss$")


def known_metrics() -> list[str]:
    """The names of all numbers that `oaml train` logs, groups aside."""
    names = [
        name
        for key in keys.KEYS
        if key.where != "config" and key.unit not in _NO_NUMBERS
        for name in key.name.split(", ")
        if name[0].isalpha() and "<" not in name
    ]
    return [*names, *_TRAINERS]


def is_known(name: str) -> bool:
    """Whether `oaml train` logs a number of this name, or would with such a group in the data."""
    if name in known_metrics():
        return True
    if (parts := keys.split_evaluation_key(name)) is None or parts[0]:  # it has one evaluation set, without a name
        return False
    group_of, _, group = parts[1].partition("/")
    return bool(group) and group_of in (keys.GROUNDING_ACCURACY, keys.GROUNDING_MISSES)


def is_in_history(name: str) -> bool:
    """Whether it is logged at each evaluation or step, and not once: only then can trials be stopped by it."""
    return name.startswith(("eval/", "train/"))


def unknown_metric(name: str) -> str:
    """What to say of a metric that nobody logs."""
    in_place = keys.trainer_key(name)
    likely = [in_place] if is_known(in_place) else nearest(name, known_metrics())
    return f"nobody logs {name}{did_you_mean(likely) or '; expected a key of README, such as eval/grounding_accuracy'}"


def better(name: str) -> Literal["maximize", "minimize"] | None:
    """Which way is better; `None` where neither is."""
    if name.startswith("baseline/"):
        return None
    if _LOWER.search(name):
        return "minimize"
    return "maximize" if _HIGHER.search(name) else None
