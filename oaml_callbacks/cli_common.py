"""What the `oaml` commands have in common: how errors are told, and how a program reads the results."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
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
def told_errors(
    debug: bool, *, mistakes: tuple[type[Exception], ...] = (), failed: str | None = None
) -> Iterator[None]:
    """End the command with its exit code, and a sentence on stderr instead of a traceback.

    2 for a [`UserError`] or what W&B refuses, 130 for Ctrl-C, 1 for anything else. A `typer.Exit` goes through.

    Args:
        debug: Raise what was raised.
        mistakes: Further errors that stand for a mistake in what was given.
        failed: What is said before an error that is none.
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
        if isinstance(error, (UserError, *mistakes)) or is_wandbs(error):
            fail(_sentence(error), 2)
        what = f"{failed}: " if failed else ""
        fail(f"{what}{type(error).__name__}: {error} (--debug shows the traceback)", 1)
    finally:
        _log_as_before()


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error).strip()


def is_wandbs(error: BaseException) -> bool:
    """Whether W&B says by this error that a user can mend something."""
    return type(error).__module__.startswith("wandb.") and type(error).__name__ in WANDB_REFUSES


def fail(message: str, code: int = 2) -> NoReturn:
    """End the command: `error: <message>` on stderr, and the exit code."""
    typer.echo(f"error: {message}" if code != 130 else f"\n{message}", err=True)
    raise typer.Exit(code)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on stderr that `what` is being done, if that is a terminal; gone when it is done."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(f"{escape(what)} …"):  # shows nothing elsewhere
        yield


def print_json(value: Any) -> None:
    """Print plain values as JSON, which has no infinity and no NaN: they are `null`.

    Characters that act in a terminal, and halves of characters, which can't be written, are spelled `\\u....`.
    """
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo(_ACTING.sub(lambda found: f"\\u{ord(found.group()):04x}", text))


# Those below a blank json spells itself.
_ACTING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


@contextmanager
def wandb_quiet() -> Iterator[None]:
    """W&B says nothing of its own on stderr, where it hasn't been told how to be yet."""
    before = os.environ.get("WANDB_SILENT")
    os.environ["WANDB_SILENT"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_SILENT"]
        else:
            os.environ["WANDB_SILENT"] = before


def log_to_stderr() -> None:
    """Show what the package logs, one line each, until the block of [`told_errors`] ends."""
    logger = logging.getLogger(__package__)
    if any(isinstance(handler, _Shown) for handler in logger.handlers):
        return
    logger.addHandler(_Shown(logger))
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _Shown(logging.StreamHandler):  # type: ignore[type-arg]  # generic in its annotations alone, in Python 3.10
    """Shows what is logged; knows how the logger was before."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("oaml: %(message)s"))
        self._before = (logger.level, logger.propagate)

    def leave(self, logger: logging.Logger) -> None:
        """Leave the logger as it was."""
        logger.removeHandler(self)
        level, logger.propagate = self._before
        logger.setLevel(level)


def _log_as_before() -> None:
    logger = logging.getLogger(__package__)
    for handler in list(logger.handlers):
        if isinstance(handler, _Shown):
            handler.leave(logger)
