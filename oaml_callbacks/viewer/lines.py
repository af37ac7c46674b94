"""[`Lines`]: a file of lines, any of which can be read without the others; it may grow meanwhile."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .reading import Missing, Problem, Stamp, open_inside, parse_object, stamp_of

MAX_FILE = 2**30
"""Bytes of a file that is looked through."""
MAX_LINES = 2_000_000
MAX_LINE = 8 * 2**20
"""Bytes of one line; the callback's have 50,000 at most."""

_CHUNK = 2**20
_TAIL = 64
"""Bytes before the end that tell whether a file has grown, or is another one in its place."""
_NEWLINE = re.compile(b"\n")
_PLACE = re.compile(rb'\{"sample": ?(\d{1,9})[,}]')


class Changed(Problem):
    """The file was replaced between two looks: to be looked at again."""


class TooLong(bytes):
    """What stands for a line that is too long to be read.

    Attributes:
        size: How many bytes it has.
    """

    size: int

    @classmethod
    def of(cls, size: int) -> TooLong:
        """Of a line of that size."""
        made = cls()
        made.size = size
        return made


class Lines:
    """Where the lines of a file begin.

    Args:
        folder: The run folder.
        name: The file in it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.name = name
        self.begun = 0
        """How often it was begun anew: what was read of it before is of another file then."""
        self._stamp: Stamp | None = None
        self._starts = array("Q", [0])
        self._tail = b""
        self._places: dict[int, int] | None = None

    def refresh(self) -> Stamp | None:
        """Look at what has been added; begin anew if the file is another one.

        Returns:
            The file's stamp; `None` if there is none.

        Raises:
            Problem: It is too large, or may not be read.
        """
        try:
            file = open_inside(self._folder, self.name)
        except Missing:
            self._forget()
            return None
        with file:
            now = stamp_of(file)
            if now == self._stamp:
                return now
            if now[1] > MAX_FILE:
                raise Problem(
                    f"{self.name} has {now[1] / 2**30:.1f} GB, more than the {MAX_FILE >> 30} looked through"
                )
            if not self._has_grown(file, now):
                self._forget()
            self._places = None
            self._scan(file)
            self._stamp = now
        return now

    def _forget(self) -> None:
        if self._stamp is not None or len(self):
            self.begun += 1
        self._starts, self._tail, self._places, self._stamp = array("Q", [0]), b"", None, None

    def _has_grown(self, file: BinaryIO, now: Stamp) -> bool:
        """Whether it is what it was, with more at its end. A new file may have been given an old one's inode."""
        if self._stamp is None or now[0] != self._stamp[0] or now[1] <= self._stamp[1]:
            return False
        file.seek(self._starts[-1] - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _scan(self, file: BinaryIO) -> None:
        at = self._starts[-1]
        file.seek(at)
        while len(self._starts) <= MAX_LINES and (chunk := file.read(_CHUNK)):
            self._starts.extend(at + found.end() for found in _NEWLINE.finditer(chunk))
            at += len(chunk)
        size = min(_TAIL, self._starts[-1])
        file.seek(self._starts[-1] - size)
        self._tail = file.read(size)

    def __len__(self) -> int:
        """How many whole lines there are: what is not ended by a newline is not there yet."""
        return len(self._starts) - 1

    def read(self, first: int = 0, count: int | None = None) -> Iterator[tuple[int, bytes]]:
        """`count` lines from `first` on, those that are there, each with its number.

        For one that is longer than [`MAX_LINE`] there is a [`TooLong`].

        Raises:
            Changed: The file was replaced since the last look.
        """
        last = len(self) if count is None else min(first + count, len(self))
        first = max(0, first)
        if last <= first:
            return
        with open_inside(self._folder, self.name) as file:
            if self._stamp is None or stamp_of(file)[0] != self._stamp[0]:
                raise Changed(f"{self.name} is being written; look again")
            file.seek(self._starts[first])
            for line in range(first, last):
                size = self._starts[line + 1] - self._starts[line]
                if size <= MAX_LINE:
                    yield line, file.read(size)[:-1]
                else:
                    yield line, TooLong.of(size)
                    file.seek(self._starts[line + 1])

    def line(self, number: int) -> bytes | None:
        """One line; `None` if it isn't there."""
        return next((data for _, data in self.read(number, 1)), None)

    def line_of(self, place: int) -> int | None:
        """The line whose object begins with `"sample": place`; `None` if there is none.

        A line that doesn't begin so stands for the sample of its own number.
        """
        if self._places is None:
            found = self.line(place)  # as a rule they are in the samples' order
            if found is not None and (match := _PLACE.match(found)) and int(match.group(1)) == place:
                return place
            self._places = {}
            for line, data in self.read():
                match = _PLACE.match(data)
                self._places[int(match.group(1)) if match else line] = line
        return self._places.get(place)


def parse_line(data: bytes, where: str) -> dict[str, Any]:
    """The object on a line.

    Raises:
        Problem: There is none.
    """
    if isinstance(data, TooLong):
        raise Problem(f"{where} has {data.size / 2**20:.0f} MB, more than the {MAX_LINE >> 20} that are read")
    return parse_object(data, where)
