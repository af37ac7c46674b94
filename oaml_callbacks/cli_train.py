"""`oaml train`: argument handling alone."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from .cli_common import AsJson, Debug, fail, is_wandbs, log_to_stderr, print_json, told_errors

TRAIN_HELP = """Train a LoRA adapter as a configuration file says.

Every key of the file can be given here too, and wins: `lora.r=16`, `wandb.tags=[a,b]`, or `r=16` where one section
alone has the key. Fields of `training:` can also be written as options: `--max-steps 20`. Values are read as YAML.
Paths in the file are relative to the file; those typed here, and all that is written, to the current folder.

Examples:

\b
  oaml train configs/demo.yaml                    a tiny model on drawn screens, no GPU, no account
  WANDB_MODE=offline oaml train configs/demo.yaml --wandb
  oaml train run.yaml --wandb --wandb-project clicks data.train=rows.jsonl
  oaml train run.yaml --max-steps 20 --learning-rate 1e-4 lora.r=16
  oaml train run.yaml --resume                    go on after Ctrl-C

Ctrl-C saves a checkpoint after the running step; pressed again, it stops at once.

Exit codes: 0 trained; 1 failed; 2 a mistake in the arguments, the configuration or the data; 130 interrupted.
"""
_OF_A_TRIAL = ("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_SWEEP_ID", "WANDB_RUN_ID")
_TRAIN_OPTIONS = ("--wandb", "--wandb-project", "--resume", "--overwrite", "--debug", "--help")


def train(  # noqa: PLR0917  # called by typer alone
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="CONFIG.yaml|KEY=VALUE", help="The configuration file, and what to change of it."),
    ],
    wandb: Annotated[bool, typer.Option("--wandb", help="Track the run in Weights & Biases.")] = False,
    wandb_project: Annotated[
        str | None, typer.Option("--wandb-project", metavar="P", help="The W&B project; switches --wandb on.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the newest checkpoint in training.output_dir, if there is one."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove an earlier run's checkpoints from training.output_dir.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train; see `TRAIN_HELP`."""
    with told_errors(debug, failed="the training failed"), ExitStack() as stack:
        log_to_stderr()
        try:
            from .config import load_config

            path, overrides = split_arguments(arguments)
            if wandb_project is not None:
                overrides.append(f"wandb.project={_as_yaml(wandb_project)}")
            config = load_config(path, overrides)
            from rich.console import Console

            from .train import run_training
            from .train_summary import print_summary, result_as_json

            if as_json:  # the Trainer prints its logs there
                stack.enter_context(redirect_stdout(sys.stderr))
            result = run_training(config, wandb=wandb or wandb_project is not None, resume=resume, overwrite=overwrite)
            stack.close()
            if as_json:
                print_json(result_as_json(result))
            else:
                print_summary(result, Console())
        except KeyboardInterrupt as interrupt:
            checkpoint: Path | None = getattr(interrupt, "checkpoint", None)
            if checkpoint is None:
                fail("interrupted; there is no checkpoint to go on from", 130)
            fail(f"interrupted; the checkpoint is {checkpoint}. To go on:\n\n  {_resume_command(sys.argv[1:])}\n", 130)
        except Exception as error:
            if is_wandbs(error) and not debug:
                fail(f"{error} Or write the run to disk alone, with WANDB_MODE=offline before the command", 2)
            raise


def split_arguments(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Tell the configuration file from the overrides, and write `--max-steps 20` as `training.max_steps=20`.

    Raises:
        ConfigError: No file or several, or an option that is no field of `training:`.
    """
    from .config import ConfigError, is_switch, training_fields
    from .suggest import did_you_mean, nearest

    paths: list[str] = []
    overrides: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        option, has_value, value = argument.partition("=")
        if argument.startswith("-"):
            name = option.lstrip("-").replace("-", "_")
            if not option.startswith("--") or name not in training_fields():
                known = [*_TRAIN_OPTIONS, *(f"--{field.replace('_', '-')}" for field in training_fields())]
                hint = did_you_mean(nearest(f"--{name.replace('_', '-')}", known))
                raise ConfigError(f"there is no option {option}{hint}")
            if not has_value:
                if is_switch(name) and (not left or left[0].lower() not in ("true", "false")):
                    value = "true"
                elif not left:
                    raise ConfigError(f"{option} needs a value behind it")
                else:
                    value = left.pop(0)
            overrides.append(f"training.{name}={value}")
        elif has_value and not argument.endswith((".yaml", ".yml")):
            overrides.append(argument)
        else:
            paths.append(argument)
    if len(paths) != 1:
        found = f"{len(paths)}: {', '.join(paths)}" if paths else "none"
        raise ConfigError(f"expected one configuration file, found {found}. What changes it is written KEY=VALUE")
    return Path(paths[0]), overrides


def _as_yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _resume_command(arguments: Sequence[str]) -> str:
    kept = [argument for argument in arguments if argument not in ("--overwrite", "--resume")]
    # A sweep's trial is in a folder, and in a run, that its agent has named in the environment.
    names = ("WANDB_MODE", *(_OF_A_TRIAL if os.environ.get("WANDB_SWEEP_ID") else ()))
    given = [f"{name}={shlex.quote(os.environ[name])} " for name in names if os.environ.get(name)]
    return "".join(given) + shlex.join([_program(), *kept, "--resume"])


def _program() -> str:
    """How this command was typed, so that it can be typed again where the environment isn't active."""
    return sys.argv[0] if Path(sys.argv[0]).name == "oaml" and shutil.which("oaml") is None else "oaml"
