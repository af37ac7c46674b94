"""How a command of this environment is typed in the user's shell."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from .values import shown


def command(name: str, *, module: str | None = None) -> str:
    """The command: by its path, where the environment isn't the shell's.

    Where packages lie in a folder of their own (`pip install --target`), there is only the module.

    Args:
        name: `wandb`, `oaml`.
        module: What Python runs then; by default the package of the command's name.
    """
    if not sys.executable:  # an interpreter in another program
        return name
    python = Path(sys.executable)
    beside_python, on_path = python.with_name(name), shutil.which(name)
    if on_path is not None and (Path(on_path) == beside_python or not beside_python.exists()):
        return name
    return shown(beside_python) if beside_python.exists() else f"{shown(python)} -m {module or name}"
