"""[`Lines`]: a file of lines, any of which can be read without the others; it may grow meanwhile."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .reading import MAX_LINE, Problem, Stamp, inside, parse_object, stamp

MAX_LINES = 2_000_000
_CHUNK = 2**20
_BLOCK = 1000
_NEWLINE = re.compile(b"\n")
_PLACE = re.compile(rb'\{"sample": ?(\d{1,9})[,}]')


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
        self._places: dict[int, int] | None = None

    def refresh(self) -> Stamp | None:
        """Look at what has been added; begin anew if the file is another one.

        Returns:
            The file's stamp; `None` if there is none.
        """
        now = stamp(self._folder, self.name)
        if now == self._stamp:
            return now
        # A file that grows is one that is only added to; any other change makes it another file.
        if self._stamp is None or now is None or now[0] != self._stamp[0] or now[1] <= self._stamp[1]:
            self._starts = array("Q", [0])
            self.begun += 1
        self._stamp, self._places = None, None  # if it can't be read, the next look tries again
        if now is not None:
            self._scan()
        self._stamp = now
        return now

    def __len__(self) -> int:
        """How many whole lines there are: what is not ended by a newline is not there yet."""
        return len(self._starts) - 1

    @property
    def ends(self) -> int:
        """Bytes of the whole lines."""
        return self._starts[-1]

    def _scan(self) -> None:
        with open(inside(self._folder, self.name), "rb") as file:
            at = self._starts[-1]
            file.seek(at)
            while len(self._starts) <= MAX_LINES and (chunk := file.read(_CHUNK)):
                self._starts.extend(at + found.end() for found in _NEWLINE.finditer(chunk))
                at += len(chunk)

    def raw(self, first: int, count: int = 1) -> list[bytes]:
        """`count` lines from `first` on, those that are there; one that is too long is empty."""
        first, last = max(0, first), min(first + count, len(self))
        if last <= first:
            return []
        with open(inside(self._folder, self.name), "rb") as file:
            if self._starts[last] - self._starts[first] <= MAX_LINE:
                file.seek(self._starts[first])
                return file.read(self._starts[last] - self._starts[first]).split(b"\n")[: last - first]
            found = []
            for line in range(first, last):
                file.seek(self._starts[line])
                size = self._starts[line + 1] - self._starts[line]
                found.append(file.read(size).rstrip(b"\n") if size <= MAX_LINE else b"")
            return found

    def blocks(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """All lines from `first` on, each with its number, without having all of them in memory."""
        for start in range(first, len(self), _BLOCK):
            yield from enumerate(self.raw(start, _BLOCK), start=start)

    def object(self, line: int) -> dict[str, Any]:
        """The object on a line.

        Raises:
            Problem: There is none.
        """
        found = self.raw(line)
        if not found:
            raise Problem(f"{self.name} has no line {line + 1}")
        return parse_object(found[0], f"{self.name}, line {line + 1},")

    def line_of(self, place: int) -> int | None:
        """The line whose object begins with `"sample": place`; `None` if there is none.

        A line that doesn't begin so stands for the sample of its own number.
        """
        if self._places is None:
            found = self.raw(place)  # as a rule they are in the samples' order
            if found and (match := _PLACE.match(found[0])) and int(match.group(1)) == place:
                return place
            self._places = {}
            for line, data in self.blocks():
                match = _PLACE.match(data)
                self._places[int(match.group(1)) if match else line] = line
        return self._places.get(place)
