"""Reading what others may have written: every value is checked, every size bounded, no link followed.

A run folder may come from anywhere. What can't be read is a [`Problem`], whose text the page shows.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..clean_text import clean_text

MAX_JSON = 16 * 2**20
"""Bytes of a file that is read whole, as a rule; parsed, it takes many times as much memory."""
MAX_TEXT = 20_000
"""Characters of a text that is shown."""
MAX_NAME = 200

Stamp = tuple[int, int, int]
"""What tells a file from what it was before: inode, size, time of its last change."""


class Problem(ValueError):
    """Something that can't be read; its text is for the page."""


class Missing(Problem):
    """There is no such file, or none that is looked for: a link, a folder."""


def open_inside(folder: Path, relative: str) -> BinaryIO:
    """Open the regular file at `relative` in `folder`, where no part of the way is a link.

    Raises:
        Problem: There is none, `relative` would lead elsewhere, or it may not be read.
    """
    parts = relative.split("/")
    if not relative or any(part in ("", ".", "..") or "\\" in part or ":" in part or "\0" in part for part in parts):
        raise Missing(f"{short(relative)} is no path in a run folder")
    try:
        file = _opened(folder, parts)
    except (OSError, ValueError) as error:
        raise _why_not(error, relative) from None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return os.fdopen(file, "rb")
    os.close(file)
    raise Missing(f"{short(relative)} is no file")


def _opened(folder: Path, parts: Sequence[str]) -> int:
    """A file's descriptor. No link is followed on the way, also if one is put there at this very moment."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if os.open not in os.supports_dir_fd:  # Windows, where to make links is a privilege
        for end in range(1, len(parts) + 1):
            if folder.joinpath(*parts[:end]).is_symlink():
                raise OSError(errno.ELOOP, "")
        return os.open(folder.joinpath(*parts), flags)
    at = os.open(folder, flags | os.O_DIRECTORY)
    for part in parts:
        try:
            # A pipe that nobody writes to would be waited for.
            inner = os.open(part, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        finally:
            os.close(at)
        at = inner
    return at


def _why_not(error: Exception, relative: str) -> Problem:
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return Missing(f"{short(relative)} is a link, which isn't followed")
    if number in (errno.EACCES, errno.EPERM):
        return Problem(f"{short(relative)} may not be read")
    return Missing(f"{short(relative)} isn't there")


def stamp(folder: Path, relative: str) -> Stamp | None:
    """The stamp of a file; `None` if there is none to read."""
    try:
        with open_inside(folder, relative) as file:
            return stamp_of(file)
    except (Problem, OSError):
        return None


def stamp_of(file: BinaryIO) -> Stamp:
    """The stamp of an open file."""
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_bytes(folder: Path, relative: str, most: int) -> bytes:
    """What a file holds.

    Raises:
        Problem: There is no such file, or it has more than `most` bytes.
    """
    with open_inside(folder, relative) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise Problem(f"{short(relative)} has {size / 2**20:.0f} MB, more than the {most >> 20} that are read")
        try:
            return file.read(most)
        except OSError as error:
            raise Problem(f"{short(relative)} can't be read: {error.strerror or error}") from None


def read_json(folder: Path, relative: str, most: int = MAX_JSON) -> dict[str, Any]:
    """An object in a file of at most `most` bytes.

    Raises:
        Problem: There is no such file, it is too large, no JSON, or no object.
    """
    return parse_object(read_bytes(folder, relative, most), relative)


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
    try:
        found = value if isinstance(value, str) else json.dumps(value, default=str)
    except (RecursionError, ValueError):
        return None
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
