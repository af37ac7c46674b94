"""Curves as HTML and SVG that needs no script: sharp on paper, words as large on a telephone as on a desk.

Lines are drawn in a box that is stretched to the place there is; marks and words stand at percentages of it and keep
their size. What Plotly would add for 4.8 MB, zooming and hovering, a page for readers does without: each mark has its
words as a tooltip, and the table beside the charts has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .one_page import esc

COLOURS, DASHES = 6, 4
DISTINCT = COLOURS * DASHES
"""Curves that can be told apart in one chart."""
MAX_POINTS = 400
"""Of a curve as it is drawn; of each stretch of a longer one the lowest and the highest."""
LARGEST = 1e300
"""Values beyond are not drawn: an axis over them would be longer than a float can say."""
MAX_MARKED = 40
"""Points of a curve that get marks of their own; a line of more is seen without."""

STYLE = """
:root { --series-1: #1557c0; --series-2: #b3530a; --series-3: #0f766e;
        --series-4: #8a3ab9; --series-5: #a8275f; --series-6: #5b6b13; }
@media screen and (prefers-color-scheme: dark) {
  :root { --series-1: #82b1ff; --series-2: #ffb26b; --series-3: #5fd3c4;
          --series-4: #d6a5f7; --series-5: #ff8fb8; --series-6: #c6d66b; }
}
.c1 { --c: var(--series-1); } .c2 { --c: var(--series-2); } .c3 { --c: var(--series-3); }
.c4 { --c: var(--series-4); } .c5 { --c: var(--series-5); } .c6 { --c: var(--series-6); }
.d2 { --d: 7 4; } .d3 { --d: 2 3; } .d4 { --d: 9 3 2 3; }
.charts { display: grid; gap: 12px; }
.charts > div { display: flex; gap: 12px; }
.charts section { flex: 1 1 0; min-width: 0; }
.charts .wide { flex-grow: 1.9; }
.chart { display: grid; font-size: 12px; grid-template-columns: auto minmax(0, 1fr); margin: 0; }
.chart .high { color: var(--muted); font-variant-numeric: tabular-nums; margin-top: 10px; position: relative; }
.chart .high span { line-height: 1; position: absolute; right: 0; transform: translateY(-50%); white-space: nowrap; }
.chart .high b { display: block; font-weight: inherit; height: 0; overflow: hidden; visibility: hidden; }
.chart .plot { height: 190px; margin: 10px 10px 0 8px; position: relative; }
.tall .chart .plot { height: 240px; }
.chart svg { height: 100%; overflow: visible; width: 100%; display: block; }
.chart .along { color: var(--muted); font-variant-numeric: tabular-nums; grid-column: 2; height: 34px;
                margin: 5px 10px 0 8px; position: relative; }
.chart .along span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.chart .along span:last-of-type { transform: translateX(-100%); }
.chart .along i { bottom: 0; font-style: normal; left: 0; position: absolute; right: 0; text-align: center; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart polyline, .chart polygon { vector-effect: non-scaling-stroke; }
.chart polyline { fill: none; stroke: var(--c); stroke-dasharray: var(--d, none); stroke-linejoin: round;
                  stroke-width: 2; }
.chart polygon { fill: var(--c); fill-opacity: 0.16; stroke: none; }
.chart circle { fill: var(--c); stroke: var(--panel); stroke-width: 1; }
.chart circle.base { fill: var(--panel); stroke: var(--c); stroke-width: 2; }
.chart circle.best { stroke: var(--c); fill: var(--panel); stroke-width: 3; }
.chart .range { stroke: var(--c); stroke-width: 2; }
.chart .level { stroke: var(--c); stroke-dasharray: 5 4; stroke-opacity: 0.8; stroke-width: 1.5; }
.chart .said { fill: var(--text); paint-order: stroke; stroke: var(--panel); stroke-linejoin: round;
               stroke-width: 4px; }
.keys { display: flex; flex-wrap: wrap; font-size: 0.87rem; gap: 4px 16px; list-style: none; padding: 0; }
.keys li { align-items: center; display: flex; gap: 7px; min-width: 0; overflow-wrap: anywhere; }
.key { flex: none; height: 12px; width: 26px; }
.key line { stroke: var(--c); stroke-dasharray: var(--d, none); stroke-width: 2.5; }
@media screen and (max-width: 700px) { .charts > div { flex-direction: column; }
                                       .tall .chart .plot { height: 200px; } }
@media print { .chart .plot { height: 140px; } .tall .chart .plot { height: 180px; } }
"""


@dataclass(frozen=True)
class Curve:
    """A line of a chart.

    Args:
        name: Whose it is; in the marks' tooltips.
        number: Which colour and dash it has, in every chart, from 0.
        points: (step, value), rising in step; values are within `LARGEST`.
        ranges: (step, low, high): a band, where there are at least two of them, else a bar.
        base: The base model's point, before training.
        best: The point that is marked as best.
        said: Words at `best`.
    """

    name: str
    number: int
    points: Sequence[tuple[float, float]]
    ranges: Sequence[tuple[float, float, float]] = ()
    base: tuple[float, float] | None = None
    best: tuple[float, float] | None = None
    said: str = ""


@dataclass(frozen=True)
class Scale:
    """The ticks of an axis; its ends are the first and the last of `ends`."""

    ends: tuple[float, float]
    ticks: list[float] = field(default_factory=list)

    def at(self, value: float) -> float:
        """Where a value is, 0-1."""
        low, high = self.ends
        return (value - low) / (high - low)


def chart(
    curves: Sequence[Curve],
    *,
    label: str,
    words: Callable[[float], str],
    level: tuple[float, str, int] | None = None,
    last_step: float | None = None,
    most: float | None = None,
) -> str:
    """One chart over optimizer steps, its height from 0; empty where no curve has a point.

    Args:
        curves: Its lines.
        label: What it shows, for who can't see it.
        words: A value as text, for the ticks and the tooltips.
        level: A height to hold the curves against, what is said of it, and the number of its colour.
        last_step: The last step of all charts beside it.
        most: The highest that values can be: the axis ends there.
    """
    drawn = [curve for curve in curves if curve.points or curve.base]
    if not drawn:
        return ""
    steps = [step for curve in drawn for step, _ in (*curve.points, *filter(None, [curve.base]))]
    heights = [height for curve in drawn for _, height in (*curve.points, *filter(None, [curve.base]))]
    heights += [high for curve in drawn for _, _, high in curve.ranges] + ([level[0]] if level else [])
    x, y = _steps(max([*steps, last_step or 0])), _heights(max(heights), most, lowest=min(heights))
    inside = [_grid(y)]
    if level is not None:
        inside.append(_level(*level, y))
    inside += [_stretched([_band(curve, x, y) for curve in drawn] + [_line(curve, x, y) for curve in drawn])]
    inside += [_marks(curve, x, y, words) for curve in drawn]
    inside += [_said(curve, x, y) for curve in drawn]
    high = "".join(f'<span style="top:{_percent(1 - y.at(tick))}">{esc(words(tick))}</span>' for tick in y.ticks)
    widest = max((words(tick) for tick in y.ticks), key=len)
    along = "".join(f'<span style="left:{_percent(x.at(tick))}">{tick:,.0f}</span>' for tick in x.ticks)
    return (
        f'<div class="chart" role="img" aria-label="{esc(label)}">'
        f'<div class="high">{high}<b>{esc(widest)}</b></div>'
        f'<div class="plot"><svg>{"".join(inside)}</svg></div>'
        f'<div class="along">{along}<i>optimizer step</i></div></div>'
    )


def legend(curves: Sequence[tuple[str, int]]) -> str:
    """Which line is whose: names and numbers of curves, for all the charts of a page."""
    return '<ul class="keys">' + "".join(f"<li>{key(number)}{esc(name)}</li>" for name, number in curves) + "</ul>"


def key(number: int) -> str:
    """A piece of the line that the curves of this number have."""
    return f'<svg class="key {_look(number)}" aria-hidden="true"><line x1="0" x2="26" y1="6" y2="6" /></svg>'


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_POINTS` points: of each stretch of a longer curve the lowest and the highest, in their order."""
    if len(points) <= MAX_POINTS:
        return list(points)
    kept: list[tuple[float, float]] = []
    stretches = MAX_POINTS // 2
    for number in range(stretches):
        stretch = points[len(points) * number // stretches : len(points) * (number + 1) // stretches]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


# Scales -----------------------------------------------------------------------------------------------------------


def _steps(last: float) -> Scale:
    last = max(last, 10.0)  # a first point alone is no scale
    step = _round_step(last / 5)
    ticks = [tick * step for tick in range(int(last / step) + 1)]
    # The last step itself ends the axis, and pushes away a tick that would lie in its figures.
    return Scale((0.0, last), [*(tick for tick in ticks if last - tick > step * 0.45), last])


def _heights(highest: float, most: float | None, *, lowest: float) -> Scale:
    if max(highest, -lowest) < 1 / LARGEST:
        highest, lowest = most or 1.0, 0.0
    step = _round_step(max(highest, -lowest) / 5)
    top = math.ceil(highest / step - 1e-9) * step
    if most is not None and top > most:
        top = most
    bottom = math.floor(min(lowest, 0.0) / step + 1e-9) * step
    count = int((top - bottom) / step + 1e-9)
    return Scale((bottom, top), [bottom + tick * step for tick in range(count + 1)])


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


# Parts ------------------------------------------------------------------------------------------------------------


def _look(number: int) -> str:
    return f"c{number % COLOURS + 1} d{number // COLOURS % DASHES + 1}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _grid(y: Scale) -> str:
    return "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{_percent(1 - y.at(tick))}" y2="{_percent(1 - y.at(tick))}" />'
        for tick in y.ticks
    )


def _stretched(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">{"".join(parts)}</svg>'


def _points(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    return " ".join(f"{1000 * x.at(step):.1f},{1000 * (1 - y.at(height)):.1f}" for step, height in points)


def _line(curve: Curve, x: Scale, y: Scale) -> str:
    points = [*([curve.base] if curve.base else []), *curve.points]
    if len(points) < 2:
        return ""
    return f'<polyline class="{_look(curve.number)}" points="{_points(points, x, y)}" />'


def _band(curve: Curve, x: Scale, y: Scale) -> str:
    if len(curve.ranges) < 2:
        return ""
    around = [(step, high) for step, _, high in curve.ranges] + [(step, low) for step, low, _ in curve.ranges[::-1]]
    return f'<polygon class="{_look(curve.number)}" points="{_points(around, x, y)}" />'


def _marks(curve: Curve, x: Scale, y: Scale, words: Callable[[float], str]) -> str:
    look = _look(curve.number)

    def mark(point: tuple[float, float], kind: str, radius: float, told: str) -> str:
        step, height = point
        title = f"{curve.name}: {words(height)}, {told}"
        return (
            f'<circle class="{look} {kind}" cx="{_percent(x.at(step))}" cy="{_percent(1 - y.at(height))}" '
            f'r="{radius:g}"><title>{esc(title)}</title></circle>'
        )

    found = []
    if len(curve.ranges) == 1:
        step, low, high = curve.ranges[0]
        at, top, bottom = _percent(x.at(step)), _percent(1 - y.at(high)), _percent(1 - y.at(low))
        found.append(f'<line class="range {look}" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}" />')
    if len(curve.points) <= MAX_MARKED:
        found += [mark(point, "", 3.5, f"step {point[0]:,.0f}") for point in curve.points if point != curve.best]
    if curve.base is not None:
        found.append(mark(curve.base, "base", 4, "base model"))
    if curve.best is not None:
        found.append(mark(curve.best, "best", 5.5, f"step {curve.best[0]:,.0f}, the best"))
    return "".join(found)


def _said(curve: Curve, x: Scale, y: Scale) -> str:
    if curve.best is None or not curve.said:
        return ""
    across, up = x.at(curve.best[0]), y.at(curve.best[1])
    anchor = "start" if across < 0.15 else "end" if across > 0.85 else "middle"
    shift = 22 if up > 0.92 else -12  # below, where there is no room above
    return (
        f'<text class="said" x="{_percent(across)}" y="{_percent(1 - up)}" dy="{shift}" text-anchor="{anchor}">'
        f"{esc(curve.said)}</text>"
    )


def _level(height: float, said: str, number: int, y: Scale) -> str:
    at = _percent(1 - y.at(height))
    shift = -6 if y.at(height) < 0.9 else 15
    return (
        f'<line class="level {_look(number)}" x1="0" x2="100%" y1="{at}" y2="{at}" />'
        f'<text class="said" x="100%" y="{at}" dy="{shift}" text-anchor="end">{esc(said)}</text>'
    )
