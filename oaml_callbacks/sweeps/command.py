"""A sweep's command: what W&B's agent starts for each trial."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..errors import UserError

ARGUMENTS = "${args_no_hyphens}"
"""What W&B's agent replaces by the trial's values, one argument each: `lora.r=16`."""
EXPECTED = f"[oaml, train, CONFIG.yaml, --wandb, '{ARGUMENTS}']"

_ENV = ("${env}", "env", "/usr/bin/env")
_PYTHON = re.compile(r"python[\d.]*|\$\{interpreter\}")
_SWITCHES = ("--wandb", "--resume", "--overwrite", "--debug")
_OTHER_ARGUMENTS = (
    "${args}", "${args_no_boolean_flags}", "${args_no_equals}", "${args_json}", "${args_json_file}",
    "${args_append_hydra}", "${args_override_hydra}",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """An `oaml train` command.

    Args:
        config: The training configuration, as the command names it.
        overrides: The `key=value` arguments that every trial has; options of `training:` among them.
    """

    config: Path
    overrides: tuple[str, ...]


def make_command(config: Path, overrides: Sequence[str] = ()) -> list[str]:
    """The command of a sweep over this training configuration."""
    return ["oaml", "train", str(config), *overrides, "--wandb", ARGUMENTS]


def read_command(given: Any) -> tuple[Command | None, str | None]:
    """The `oaml train` in a sweep's command, or a sentence that says why there is none."""
    if given is None:
        return None, f"this key is needed and isn't there; expected {EXPECTED}"
    if not isinstance(given, list):
        return None, f"expected a list of arguments, {EXPECTED}"
    words = [str(word) for word in given]
    arguments = _behind_oaml_train(words)
    if arguments is None:
        return None, f"this doesn't run `oaml train`; expected {EXPECTED}"
    if problem := _lacking(arguments):
        return None, problem
    try:
        return Command(*_split(arguments)), None
    except UserError as error:
        return None, str(error)


def _lacking(arguments: Sequence[str]) -> str | None:
    """What keeps a trial from getting its values, or W&B from getting its metric."""
    for other in _OTHER_ARGUMENTS:
        if other in arguments:
            return f"{other} gives `oaml train` what it doesn't read; expected {ARGUMENTS}"
    if ARGUMENTS not in arguments:
        return f"without {ARGUMENTS} no trial gets its values; expected {EXPECTED}"
    if "--wandb" not in arguments and all(word.partition("=")[0] != "--wandb-project" for word in arguments):
        return f"without --wandb the metric reaches nobody; expected {EXPECTED}"
    return None


def _behind_oaml_train(words: Sequence[str]) -> list[str] | None:
    """The arguments of `oaml train`, where the command is that from its first word on; `None` where it isn't.

    A command comes from W&B's server, and what stands before `oaml train` would be what is run.
    """
    left = list(words[1:] if words and words[0] in _ENV else words)
    if left and PurePath(left[0]).name == "oaml":
        del left[0]
    elif left[1:3] == ["-m", "oaml_callbacks"] and _PYTHON.fullmatch(PurePath(left[0]).name):
        del left[:3]
    else:
        return None
    return left[1:] if left[:1] == ["train"] else None


def _split(arguments: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    left = list(arguments)
    kept: list[str] = []
    overrides: list[str] = []
    while left:
        word = left.pop(0)
        option, has_value, value = word.partition("=")
        if word in _SWITCHES or word == ARGUMENTS:
            continue
        if option == "--wandb-project":
            overrides.append("wandb.project=" + (value if has_value or not left else left.pop(0)))
        else:
            kept.append(word)
    from ..cli_train import split_arguments

    config, given = split_arguments(kept)
    return config, (*given, *overrides)
