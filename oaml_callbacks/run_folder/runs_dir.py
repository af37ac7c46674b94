"""Where run folders go, and what is typed to see them."""

from __future__ import annotations

import os
from pathlib import Path

from ..typed_command import command
from ..values import shown
from .layout import RUNS_DIR


def choose_runs_dir(given: str | os.PathLike[str] | None) -> Path | None:
    """The folder given, else that of `OAML_RUNS_DIR`, else [`RUNS_DIR`]; `None` for an empty text."""
    chosen = os.fspath(given) if given is not None else os.environ.get("OAML_RUNS_DIR", RUNS_DIR)
    return Path(chosen) if chosen else None


def view_command(runs_dir: Path) -> str:
    """What to type to see the runs in the viewer."""
    default = Path(os.environ.get("OAML_RUNS_DIR", RUNS_DIR)).absolute()
    where = "" if runs_dir.absolute() == default else f" {shown(runs_dir)}"
    return f"{command('oaml', module='oaml_callbacks')} view{where}"
