"""The picture of a search: how it went, what mattered, and which values led where."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .importance import FEWEST, tendency
from .rulers import Ruler, fit
from .search_result import SearchedTrial, rank
from .search_space import Dimension, SearchSpace, short_names
from .sweep_file import Goal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 160
MAX_AXES = 10
"""Parameters in the parallel coordinates; of more, those that mattered most."""
MAX_ROOMY = 6
"""Of more, what mattered is written smaller."""
MAX_NAME = 28
"""Characters of a name; longer ones end in dots."""
MAX_ACROSS = 150
"""Characters that fit side by side above the axes."""

_INK, _FAINT, _LINE, _BEST, _FAILED = "#222222", "#6b6b6b", "#d0d0d0", "#0b6e4f", "#c1121f"
_STOPPED = "#9a9a9a"
_BESIDE = 0.05  # of an axis' height: how far apart lines through the same choice may lie
_COLOURS = "viridis_r"  # the best are dark, and stand out on white


@dataclass(frozen=True)
class Objective:
    """What decides.

    Args:
        metric: The key, as the history has it.
        goal: Whether more of it is better.
    """

    metric: str
    goal: Goal

    @property
    def name(self) -> str:
        """What an axis is called."""
        return fit(self.metric.rpartition("/")[2].replace("_", " "), 40)

    def rank(self, trial: SearchedTrial) -> tuple[float, float, float, int]:
        """Smaller is better."""
        return rank(trial, self.metric, self.goal)

    def best(self, trials: Sequence[SearchedTrial]) -> SearchedTrial | None:
        """The best of those that ran to their end."""
        done = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
        return min(done, key=self.rank, default=None)

    def window(self, trials: Sequence[SearchedTrial]) -> tuple[float, float]:
        """What of the values is shown: a hopeless trial doesn't press the others into one line."""
        sign = 1.0 if self.goal == "maximize" else -1.0
        ordered = sorted(sign * trial.value for trial in trials if trial.value is not None)
        best, quarter = ordered[-1], ordered[len(ordered) // 4]
        worst = max(ordered[0], quarter - 1.5 * (best - quarter))
        margin = 0.08 * (best - worst) or 0.02 * (abs(best) or 1)
        low, high = sorted((sign * (worst - margin), sign * (best + margin)))
        return low, high


def draw_search(
    path: Path,
    trials: Sequence[SearchedTrial],
    space: SearchSpace,
    objective: Objective,
    importance: Mapping[str, float],
    *,
    title: str,
) -> None:
    """Draw a search as a PNG: values over trials, importance, parallel coordinates.

    Args:
        path: The file to write.
        trials: All of them; one at least has a value.
        space: What was searched.
        objective: What decided.
        importance: As [`importances`] has it; empty for too few trials.
        title: The search's name.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(11, 8.4), dpi=DPI, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12)
    )
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.15))  # type: ignore[misc]  # matplotlib says one
    left, right = upper.subplots(1, 2, width_ratios=(1.75, 1))
    shades = _Shades([trial.value for trial in trials if trial.value is not None], objective.goal)
    finished = sum(trial.state == "finished" for trial in trials)
    count = f"{len(trials)} trial{'s' if len(trials) != 1 else ''}"
    heading = f"{fit(title, 60)}: {count}, {finished} to the end"
    figure.suptitle(heading, x=0.012, ha="left", fontsize=14, fontweight="bold", color=_INK, parse_math=False)
    _draw_course(left, trials, objective, shades)
    _draw_importance(right, trials, space, importance, objective.goal)
    if space.dimensions:
        _draw_parallel(lower.subplots(), trials, _shown(space, importance), objective, shades)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    new = path.with_name(f".{path.stem}.{os.getpid()}.png")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font hasn't
        figure.savefig(new)
    os.replace(new, path)


class _Shades:
    """A trial's colour by its value."""

    def __init__(self, values: Sequence[float], goal: Goal) -> None:
        from matplotlib import colormaps

        # Half of the trials may be hopeless; the others are to be told apart.
        ordered = sorted(values, reverse=goal == "minimize")
        self.worst, self.best = ordered[len(ordered) // 4], ordered[-1]
        self._colours = colormaps[_COLOURS]

    def __call__(self, value: float) -> Any:
        span = self.best - self.worst
        share = (value - self.worst) / span if span else 1.0
        return self._colours(0.12 + 0.88 * min(max(share, 0.0), 1.0))


def _draw_course(axes: Axes, trials: Sequence[SearchedTrial], objective: Objective, shades: _Shades) -> None:
    """Each trial's value, and the best so far."""
    metric, pick = objective.metric, max if objective.goal == "maximize" else min
    best: float | None = None
    steps: list[float | None] = []
    for trial in trials:
        if trial.state == "finished" and trial.value is not None:
            best = trial.value if best is None else pick(best, trial.value)
        steps.append(best)
    low, high = objective.window(trials)
    there = [(trial.number, step) for trial, step in zip(trials, steps, strict=True) if step is not None]
    if there:
        axes.step(*zip(*there, strict=True), where="post", color=_BEST, linewidth=1.6, alpha=0.55, label="best so far")
    for trial in trials:
        if trial.value is None:
            continue
        ends = [trial.figure(metric, f"grounding_accuracy_{end}") for end in ("low", "high")]
        if metric.endswith("grounding_accuracy") and None not in ends and low <= trial.value <= high:
            axes.plot([trial.number] * 2, ends, color=_LINE, linewidth=1.6, zorder=1, solid_capstyle="round")  # type: ignore[arg-type]
        if not low <= trial.value <= high:
            continue
        if trial.state == "finished":
            marker: dict[str, Any] = (
                {"marker": "D", "markersize": 8} if trial.own else {"marker": "o", "markersize": 9}
            )
            axes.plot(trial.number, trial.value, color=shades(trial.value), zorder=3, **marker)
        else:
            axes.plot(trial.number, trial.value, "o", color="white", markeredgecolor=_STOPPED, markersize=7, zorder=3)
    low, high = _with_intervals(trials, metric, low, high)
    axes.set_ylim(low, high)
    for trial in trials:
        if trial.value is None:
            axes.plot(trial.number, low, "x", color=_FAILED, markersize=8, clip_on=False, zorder=4)
        elif not low <= trial.value <= high:
            _note_outside(axes, trial, low if trial.value < low else high)
    _note_best(axes, trials, objective)
    axes.set_xlim(0.4, max(trial.number for trial in trials) + 0.6)
    _whole_ticks(axes, max(trial.number for trial in trials))
    axes.set_xlabel("trial", color=_FAINT)
    axes.set_ylabel(objective.name, color=_FAINT, parse_math=False)
    _legend(axes, trials)
    _clean(axes, "How the search went", pad=24)
    axes.grid(axis="y", color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)


def _with_intervals(trials: Sequence[SearchedTrial], metric: str, low: float, high: float) -> tuple[float, float]:
    """The same, with room for the intervals of what lies within, and for the best one's number."""
    if metric.endswith("grounding_accuracy"):
        there = [trial for trial in trials if trial.value is not None and low <= trial.value <= high]
        ends = [trial.figure(metric, f"grounding_accuracy_{end}") for trial in there for end in ("low", "high")]
        inside = [end for end in ends if end is not None]
        low, high = min([low, *inside]), max([high, *inside])
    return low - 0.04 * (high - low), high + 0.06 * (high - low)


def _note_best(axes: Axes, trials: Sequence[SearchedTrial], objective: Objective) -> None:
    best = objective.best(trials)
    up = 11 if objective.goal == "maximize" else -18
    if best is not None and best.value is not None:
        axes.plot(best.number, best.value, "o", markersize=14, markerfacecolor="none", markeredgecolor=_BEST)
        axes.annotate(
            f"{best.value:.3f}", (best.number, best.value), (0, up), textcoords="offset points", ha="center",
            color=_BEST, fontweight="bold", fontsize=10, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            zorder=4,
        )  # fmt: skip


def _note_outside(axes: Axes, trial: SearchedTrial, edge: float) -> None:
    """Write a value that lies beyond what is shown at the edge."""
    assert trial.value is not None
    below = trial.value < edge
    axes.annotate(
        f"{'↓' if below else '↑'} {trial.value:.3f}", (trial.number, edge), (0, 8 if below else -8),
        textcoords="offset points", ha="center", va="center", color=_FAINT, fontsize=8.5, zorder=3,
    )  # fmt: skip


def _legend(axes: Axes, trials: Sequence[SearchedTrial]) -> None:
    from matplotlib.lines import Line2D

    states = {trial.state for trial in trials}
    kinds: list[tuple[str, dict[str, Any]]] = [("best so far", {"color": _BEST, "alpha": 0.55})]
    point = {"linestyle": "none", "marker": "o"}
    if any(trial.figures for trial in trials if any("accuracy_low" in key for key in trial.figures)):
        kinds.append(("95 % interval", {"color": _LINE, "linewidth": 2}))
    if any(trial.own for trial in trials):
        kinds.append(("the configuration's own", {**point, "marker": "D", "color": "#3e4989", "markersize": 5}))
    if "pruned" in states:
        kinds.append(("stopped early", {**point, "color": "white", "markeredgecolor": _STOPPED}))
    if "failed" in states:
        kinds.append(("failed", {"linestyle": "none", "marker": "x", "color": _FAILED}))
    handles = [Line2D([], [], label=label, **style) for label, style in kinds]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.01), ncols=len(handles), frameon=False, fontsize=8.5,
        labelcolor=_FAINT, handletextpad=0.5, columnspacing=1.4, handlelength=1.3, borderaxespad=0, borderpad=0,
    )  # fmt: skip


def _draw_importance(
    axes: Axes, trials: Sequence[SearchedTrial], space: SearchSpace, importance: Mapping[str, float], goal: Goal
) -> None:
    """A bar for each parameter."""
    _clean(axes, "What mattered", pad=24)
    if not importance:
        axes.axis("off")
        why = f"Fewer than {FEWEST} trials say nothing of it." if space.dimensions else "Nothing was varied."
        axes.text(0.0, 0.9, why, color=_FAINT, transform=axes.transAxes)
        return
    names = list(importance)[:MAX_AXES]
    short = short_names([each.name for each in space.dimensions])
    which = {each.name: each for each in space.dimensions}
    many = len(names) > MAX_ROOMY
    above, size = (0.2, 8.0) if many else (0.3, 9.5)
    for place, name in enumerate(names):
        share = importance[name]
        axes.barh(place, share, color=_BEST, alpha=0.85, height=0.3 if many else 0.42)
        found = tendency(trials, which[name], goal)
        # Above its bar: names are long.
        axes.text(
            0.008, place - above, fit(short[name], MAX_NAME), color=_INK, fontsize=size, va="bottom", parse_math=False
        )
        if found is not None:
            axes.text(1, place - above, f"{found} is better", color=_FAINT, fontsize=size - 1, va="bottom", ha="right")
        axes.text(share + 0.015, place, f"{share:.2f}", color=_FAINT, fontsize=size - 1, va="center")
    axes.set_xlim(0, 1.06)
    axes.set_ylim(max(len(names), 3) - 0.5, -0.75)
    axes.set_yticks([])
    axes.set_xticks([0, 0.5, 1])
    axes.spines["left"].set_color(_LINE)
    axes.set_xlabel("share of the trials' ranking explained by it alone", color=_FAINT, fontsize=9)


def _draw_parallel(
    axes: Axes,
    trials: Sequence[SearchedTrial],
    dimensions: Sequence[Dimension],
    objective: Objective,
    shades: _Shades,
) -> None:
    """A line for each trial, through its values to what came of it."""
    from matplotlib.patheffects import withStroke

    told = [trial for trial in trials if trial.value is not None and trial.values]
    ruler = Ruler.of_numbers(*objective.window(told), log=False)
    rulers = [*(Ruler.of(dimension, told) for dimension in dimensions), ruler]
    short = short_names([each.name for each in dimensions])
    room = MAX_ACROSS // len(rulers)
    labels = [*(short[each.name] for each in dimensions), objective.name]
    # Long names take turns in two rows; then each has the room of two axes.
    rows = 1 if all(len(label) < room for label in labels) else 2
    labels = [fit(label, min(rows * room - rows, MAX_NAME)) for label in labels]
    best = objective.best(told)
    # The worst first, so that the better ones lie above them.
    for trial in sorted(told, key=objective.rank, reverse=True):
        assert trial.value is not None
        points = [each.place(trial.values.get(dim.name)) for each, dim in zip(rulers[:-1], dimensions, strict=True)]
        beside = _BESIDE * ((told.index(trial) + 0.5) / len(told) - 0.5)
        chosen = [dim.parameter.values is not None for dim in dimensions]
        points = [point + beside * is_choice for point, is_choice in zip(points, chosen, strict=True)]
        heights = [*points, ruler.place(trial.value)]
        pruned = trial.state != "finished"
        style: dict[str, Any] = {"color": shades(trial.value), "linewidth": 1.8, "alpha": 0.9}
        if pruned:
            style = {"color": "#b5b5b5", "linewidth": 1.0, "alpha": 0.8, "linestyle": (0, (4, 2))}
        if trial is best:
            style |= {"linewidth": 3.4, "alpha": 1.0, "path_effects": [withStroke(linewidth=6, foreground="white")]}
        axes.plot(*_curve(heights), solid_capstyle="round", zorder=4 if trial is best else 2, **style)
    for place, (each, label) in enumerate(zip(rulers, labels, strict=True)):
        is_last = place == len(rulers) - 1
        axes.plot([place, place], [0, 1], color="#8a8a8a", linewidth=1.1, zorder=5)
        for at, text in each.ticks:
            axes.plot([place - 0.012, place + 0.012], [at, at], color="#8a8a8a", linewidth=1.1, zorder=5)
            axes.text(
                place + (0.025 if is_last else -0.025), at, fit(text, room), ha="left" if is_last else "right",
                va="center", fontsize=8.5, color=_INK, zorder=6, parse_math=False,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )  # fmt: skip
        weight = "bold" if is_last else "normal"
        axes.text(
            place,
            1.06 + 0.07 * (place % rows),
            label,
            ha="center",
            va="bottom",
            fontsize=9.5,
            color=_INK,
            weight=weight,
            parse_math=False,
        )
    axes.set_xlim(-0.32, len(rulers) - 1 + 0.25)
    axes.set_ylim(-0.05, 1.05 + 0.07 * rows)
    axes.axis("off")
    more = "; dashed: stopped early" if any(trial.state != "finished" for trial in told) else ""
    which = f"the bold line is trial {best.number}, the best{more}" if best is not None else more.removeprefix("; ")
    axes.set_title("Which values led where", loc="left", fontsize=11.5, color=_INK, pad=14, fontweight="bold")
    axes.set_title(which, loc="right", fontsize=9, color=_FAINT, pad=14)


def _curve(heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """A line that leaves each axis level, so that crossing lines can be followed."""
    xs, ys = [], []
    for place, (here, there) in enumerate(pairwise(heights)):
        for step in range(25):
            share = step / 24
            ease = share * share * (3 - 2 * share)
            xs.append(place + share)
            ys.append(here + (there - here) * (0.35 * share + 0.65 * ease))
    return (xs, ys) if xs else ([0.0], [heights[0]])


def _shown(space: SearchSpace, importance: Mapping[str, float]) -> list[Dimension]:
    """The parameters that get an axis, in the file's order."""
    wanted = list(importance)[:MAX_AXES] if importance else [each.name for each in space.dimensions][:MAX_AXES]
    return [each for each in space.dimensions if each.name in wanted]


def _whole_ticks(axes: Axes, last: int) -> None:
    step = max(1, math.ceil(last / 15))
    axes.set_xticks(range(1, last + 1, step))


def _clean(axes: Axes, title: str, pad: float) -> None:
    axes.set_title(title, loc="left", fontsize=11.5, color=_INK, pad=pad, fontweight="bold")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_LINE)
    axes.tick_params(colors=_FAINT, labelsize=9, length=3)
