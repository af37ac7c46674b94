"""What the `oaml` commands have in common: how errors are told, and how a program reads the results."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from .errors import UserError

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

WANDB_REFUSES = ("UsageError", "AuthenticationError", "CommError", "WandbAttachFailedError")
"""W&B's errors that a user can mend: no key, a wrong one, no server, no such project."""


def sub_app(name: str, help: str) -> typer.Typer:
    """A group of commands, `oaml <name> …`, in the style of all."""
    return typer.Typer(
        name=name, help=help, no_args_is_help=True, rich_markup_mode=None, context_settings=dict(HELP_OPTIONS)
    )


@contextmanager
def told_errors(debug: bool) -> Iterator[None]:
    """End the command with its exit code, and a sentence on stderr instead of a traceback.

    2 for a [`UserError`] or what W&B refuses, 130 for Ctrl-C, 1 for anything else. A `typer.Exit` goes through.

    Args:
        debug: Raise what was raised.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, UserError) or is_wandbs(error):
            fail(str(error).strip(), 2)
        fail(f"{type(error).__name__}: {error} (--debug shows the traceback)", 1)


def is_wandbs(error: BaseException) -> bool:
    """Whether W&B says by this error that a user can mend something."""
    return type(error).__module__.startswith("wandb.") and type(error).__name__ in WANDB_REFUSES


def fail(message: str, code: int = 2) -> NoReturn:
    """End the command: `error: <message>` on stderr, and the exit code."""
    typer.echo(f"error: {message}" if code != 130 else f"\n{message}", err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print plain values as JSON, which has no infinity and no NaN: those must be `None` by now."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def log_to_stderr() -> None:
    """Show what the package logs, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("oaml: %(message)s"))
    logger = logging.getLogger(__package__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
