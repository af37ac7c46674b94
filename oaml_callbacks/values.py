"""Values as W&B can take them: numbers out of their wrappings, names of a length that it accepts, plain config."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 128
"""W&B's servers refuse longer names."""


def as_number(value: Any) -> Any:
    """`value` as W&B can chart or show it, or `None`. numpy's and torch's scalars are taken out of their wrapping."""
    if isinstance(value, Real):
        return value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return as_number(value.item())
    # A table, image or histogram that somebody put among the metrics.
    return value if type(value).__module__.startswith("wandb.") else None


def fit_file_name(text: str) -> str:
    """`text` as a file's or an artifact's name: letters, digits, `_`, `.` and `-`; anything else becomes `_`."""
    return re.sub(r"[^0-9A-Za-z_.-]", "_", text)


def plain(value: Any) -> Any:
    """`value` in dicts, lists, text and numbers alone; anything else as its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def fit_name(name: str | None) -> str | None:
    """`name`, cut to what W&B takes, with a warning."""
    if name is None or len(name) <= MAX_NAME_LENGTH:
        return name
    short = name[:MAX_NAME_LENGTH]
    logger.warning("The name has %d characters; W&B takes %d. It is cut to %r.", len(name), MAX_NAME_LENGTH, short)
    return short


def shown(path: Path) -> str:
    """`path` as one would type it: relative where it lies below the working directory, quoted where needed."""
    working = Path.cwd()
    return shlex.quote(str(path.relative_to(working) if path.is_relative_to(working) else path))
