"""Values as W&B can take them: numbers out of their wrappings, names of a length that it accepts, plain config."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from .clean_text import one_line

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 128
"""W&B's servers refuse longer names."""


MAX_TAG_LENGTH = 64
"""wandb raises for longer tags."""

MAX_FILE_NAME = 100
"""Characters of a file's name; file systems allow 255 bytes, and others add to it."""

# Devices, to Windows, whatever follows behind a dot.
_RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))]
)


def as_number(value: Any) -> Any:
    """`value` as W&B can chart or show it, or `None`. numpy's and torch's scalars are taken out of their wrapping."""
    if isinstance(value, Real):
        return value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return as_number(value.item())
    # A table, image or histogram that somebody put among the metrics.
    return value if type(value).__module__.startswith("wandb.") else None


def finite_numbers(numbers: Sequence[float] | None) -> list[float] | None:
    """`numbers` as a list, as JSON has it; `None` if there are none, or one of them is not finite."""
    return list(numbers) if numbers is not None and all(map(math.isfinite, numbers)) else None


def fit_file_name(text: str) -> str:
    """`text` as the name of a file, on any system, or of an artifact: letters, digits, `_`, `.` and `-`, 100 at most.

    Anything else becomes `_`; a name that means something else to a system (`..`, `con.txt`) gets one before it. Where
    more than a `/` was changed, a digest of `text` is added, so that two names don't become one.
    """
    name = re.sub(r"[^0-9A-Za-z_.-]", "_", text[:MAX_FILE_NAME]).rstrip(".")
    if not name or name.partition(".")[0].upper() in _RESERVED:
        name = f"_{name}"
    if name == text.replace("/", "_"):
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: MAX_FILE_NAME - 9]}-{digest}"


def plain(value: Any) -> Any:
    """`value` in dicts, lists, text and numbers alone; anything else as its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def fit_name(name: str | None) -> str | None:
    """`name` on one line, without secrets, cut to what W&B takes, with a warning then."""
    if name is None:
        return None
    # What is far too long isn't gone through.
    fitted = one_line(name[: 10 * MAX_NAME_LENGTH], 10 * MAX_NAME_LENGTH)
    if len(fitted) <= MAX_NAME_LENGTH:
        return fitted
    short = fitted[:MAX_NAME_LENGTH]
    logger.warning("The name has %d characters; W&B takes %d. It is cut to %r.", len(name), MAX_NAME_LENGTH, short)
    return short


def fit_tags(tags: Iterable[str]) -> list[str]:
    """`tags` on one line each, without secrets, cut to what W&B takes; empty ones are left out."""
    return [one_line(tag, MAX_TAG_LENGTH)[:MAX_TAG_LENGTH] for tag in tags if tag]


def shown(path: Path) -> str:
    """`path` as one would type it: relative below the working directory, else from `~` on; quoted where needed."""
    home = Path(os.path.expanduser("~"))
    try:
        working: Path | None = Path.cwd()
    except OSError:  # deleted
        working = None
    if working is not None and path.is_relative_to(working):
        return shlex.quote(str(path.relative_to(working)))
    if path.is_relative_to(home) and os.name != "nt" and home != Path(home.anchor):  # Windows' shells don't know `~`
        return f"~/{shlex.quote(str(path.relative_to(home)))}"
    return shlex.quote(str(path))
