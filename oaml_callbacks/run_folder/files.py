"""Files of lines and files that are replaced whole: how a run folder is written."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def as_line(value: Mapping[str, Any]) -> str:
    """`value` as one line of JSON. Numbers that JSON doesn't have are written as text: `"NaN"`, `"Infinity"`."""
    try:
        return f"{json.dumps(value, separators=(',', ':'), allow_nan=False)}\n"
    except ValueError:
        return f"{json.dumps(spelled(value), separators=(',', ':'), allow_nan=False)}\n"


def spelled(value: Any) -> Any:
    """A copy with `"NaN"`, `"Infinity"` and `"-Infinity"` for the numbers that JSON doesn't have."""
    if isinstance(value, Mapping):
        return {name: spelled(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Add lines to a file. What a process that was killed has left of a line is ended first."""
    text = "".join(lines)
    with open(path, "ab+") as file:
        if file.tell() and _last_byte(file.fileno(), file.tell()) != b"\n":
            text = f"\n{text}"
        file.write(text.encode("utf-8"))


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)


def replace_file(path: Path, text: str) -> None:
    """Write a file so that it is there whole, or as it was before."""
    new = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a file, the last one also if it isn't ended; none if there is no file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
    except FileNotFoundError:
        return


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Take the lines away that can't be read or aren't wanted."""
    lines = list(read_lines(path))
    kept = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and wanted(record):
            kept.append(f"{line}\n")
    if len(kept) != len(lines):
        replace_file(path, "".join(kept))
