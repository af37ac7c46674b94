"""Reading what others may have written: every value is checked, every size bounded, no link followed.

A run folder may come from anywhere. What can't be read is a [`Problem`], whose text the page shows.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..clean_text import clean_text

MAX_JSON = 64 * 2**20
"""Bytes of a file that is read whole."""
MAX_LINE = 64 * 2**20
"""Bytes of one line."""
MAX_TEXT = 20_000
"""Characters of a text that is shown."""
MAX_NAME = 200

Stamp = tuple[int, int, int]
"""What tells a file from what it was before: inode, size, time of its last change."""


class Problem(ValueError):
    """Something that can't be read; its text is for the page."""


def inside(folder: Path, relative: str) -> Path:
    """The regular file at `relative` in `folder`, where no part of the way is a link.

    Raises:
        Problem: There is none, or `relative` would lead elsewhere.
    """
    parts = relative.split("/")
    if not relative or any(part in ("", ".", "..") or "\\" in part or ":" in part or "\0" in part for part in parts):
        raise Problem(f"{short(relative)} is no path in a run folder")
    path, mode = folder, 0
    for part in parts:
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except (OSError, ValueError):
            raise Problem(f"{short(relative)} isn't there") from None
        if stat.S_ISLNK(mode):
            raise Problem(f"{short(relative)} is a link, which isn't followed")
    if not stat.S_ISREG(mode):
        raise Problem(f"{short(relative)} is no file")
    return path


def stamp(folder: Path, relative: str) -> Stamp | None:
    """The stamp of a file; `None` if there is none to read."""
    try:
        status = os.lstat(inside(folder, relative))
    except (Problem, OSError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_json(folder: Path, relative: str) -> dict[str, Any]:
    """An object in a file.

    Raises:
        Problem: There is no such file, it is too large, no JSON, or no object.
    """
    path = inside(folder, relative)
    try:
        size = path.stat().st_size
        if size > MAX_JSON:
            raise Problem(f"{relative} has {size / 2**20:.0f} MB, more than the {MAX_JSON // 2**20} that are read")
        data = path.read_bytes()
    except OSError as error:
        raise Problem(f"{relative} can't be read: {error.strerror or error}") from None
    return parse_object(data, relative)


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object that `data` is.

    Raises:
        Problem: It is none.
    """
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        end = ", or was cut off" if not data.rstrip().endswith((b"}", b"]")) else ""
        raise Problem(f"{name} is no JSON{end}") from None
    if not isinstance(value, dict):
        raise Problem(f"{name} holds {_kind(value)} where an object was expected")
    return value


def number(value: Any) -> float | int | None:
    """A finite number, or `None`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def whole(value: Any, default: int | None = None) -> int | None:
    """A number without its fraction."""
    found = number(value)
    return default if found is None else int(found)


def text(value: Any, length: int = MAX_TEXT) -> str | None:
    """A text in which nothing acts, cut to `length`; of another value its JSON; `None` for none."""
    if value is None:
        return None
    found = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(found) <= length:
        return clean_text(found)
    return f"{clean_text(found[:length])} …[cut: {len(found):,} characters]"


def short(value: Any) -> str:
    """A name on one line, cut."""
    return (text(value, MAX_NAME) or "").replace("\n", " ").replace("\t", " ")


def numbers(value: Any, count: int) -> list[float] | None:
    """A list of `count` finite numbers, or `None`."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        return None
    found = [number(item) for item in value]
    return None if None in found else found  # type: ignore[return-value]


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null", bool: "true or false"}.get(type(value), "a number")
