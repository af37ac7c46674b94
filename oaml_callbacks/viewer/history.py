"""[`History`]: a run's curves, from a file that grows, thinned to what a chart can show."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..keys import STEP_KEY
from ..run_folder import layout
from ..run_folder.files import spelled
from .lines import Lines, TooLong, parse_line
from .reading import MAX_NAME, Problem, Stamp, number, short

MAX_POINTS = 1000
"""Of a curve, as it is sent: of each stretch of a longer one the lowest and the highest point."""
MAX_SERIES = 300
MAX_ODD = 100
"""Values that are no numbers (NaN, Infinity) and are told by name."""

_NOT_SERIES = frozenset((STEP_KEY, "at"))


class History:
    """The curves of one run. What is added to its file is read, and no line is read twice.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._lines = Lines(folder, layout.HISTORY)
        self._begun = 0
        self._forget()

    def _forget(self) -> None:
        self._read = 0
        self._series: dict[str, tuple[array[float], array[float]]] = {}
        self._odd: list[dict[str, Any]] = []
        self._broken: list[int] = []
        self._dropped = 0

    def refresh(self) -> Stamp | None:
        """Read what has been added; gives the file's stamp."""
        now = self._lines.refresh()
        if self._lines.begun != self._begun:
            self._begun = self._lines.begun
            self._forget()
        for line, data in self._lines.read(self._read):
            self._add(line, data)
        self._read = len(self._lines)
        return now

    def _add(self, line: int, data: bytes) -> None:
        try:
            row = parse_line(data, self._lines.name)
        except Problem:
            if data.strip() or isinstance(data, TooLong):
                self._broken.append(line + 1)
            return
        step = number(row.get(STEP_KEY))
        if step is None:
            return
        for name, value in row.items():
            if name in _NOT_SERIES:
                continue
            found = number(value)
            if found is not None:
                self._append(name, float(step), float(found))
            elif _is_odd(value) and len(self._odd) < MAX_ODD:
                self._odd.append({"key": short(name), "step": step, "value": str(spelled(value))})

    def _append(self, name: str, step: float, value: float) -> None:
        if name not in self._series:
            if len(self._series) >= MAX_SERIES or len(name) > MAX_NAME:
                self._dropped += 1
                return
            self._series[name] = (array("d"), array("d"))
        steps, values = self._series[name]
        steps.append(step)
        values.append(value)

    def piece(self) -> dict[str, Any]:
        """The curves as the pages read them."""
        problems = []
        if self._broken:
            lines = ", ".join(map(str, self._broken[:5])) + (", …" if len(self._broken) > 5 else "")
            problems.append(f"{self._lines.name}: {len(self._broken)} lines are no JSON objects ({lines})")
        if self._dropped:
            most = f"{MAX_SERIES} curves, with names of {MAX_NAME} characters"
            problems.append(f"{self._lines.name}: what goes beyond {most} is left out")
        return {
            "rows": self._read,
            "series": {short(name): thinned(*points) for name, points in sorted(self._series.items())},
            "odd": self._odd,
            "problems": problems,
        }


def thinned(steps: Sequence[float], values: Sequence[float]) -> dict[str, list[float]]:
    """The points of a curve that are sent."""
    kept = _kept(values)
    return {"step": [_plain(steps[index]) for index in kept], "value": [values[index] for index in kept]}


def _kept(values: Sequence[float]) -> list[int] | range:
    """The indices of the points that are sent: all, or of each stretch the lowest and the highest, and the last."""
    total = len(values)
    if total <= MAX_POINTS:
        return range(total)
    kept = {0, total - 1}
    stretches = MAX_POINTS // 2 - 1
    for stretch in range(stretches):
        inside = range(stretch * total // stretches, (stretch + 1) * total // stretches)
        kept.add(min(inside, key=values.__getitem__))
        kept.add(max(inside, key=values.__getitem__))
    return sorted(kept)


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity")


def _plain(step: float) -> float | int:
    return int(step) if float(step).is_integer() else step
