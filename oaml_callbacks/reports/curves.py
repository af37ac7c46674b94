"""The curves of a report: of each run one line in each chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..compared.runs import ACCURACY, DISTANCE, RunEvaluation, RunReferenceError
from ..keys import STEP_KEY
from . import words
from .chart import DISTINCT, LARGEST, MAX_POINTS, Curve, chart, legend, thinned
from .content import HIGH, LOW, Content, RunShown
from .one_page import esc

MOST_BANDS = 3
"""Runs whose intervals are drawn: of more, the bands hide each other."""

LOSS, RATE = "train/loss", "train/learning_rate"


def charts(content: Content) -> str:
    """All charts of a report, with one legend; empty where there is nothing to draw.

    At most as many runs are drawn as can be told apart: those with the best evaluations.
    """
    drawn = _drawn(content)
    histories = {shown.number: _history(shown) for shown in drawn}
    last = max((step for shown in drawn for step in _steps(shown, histories[shown.number])), default=0.0)
    rows: list[tuple[str, list[str]]] = []
    for split in content.sets:
        name = "" if len(content.sets) == 1 else f" ({split})"
        distance = chart(
            _curves_of(drawn, split, DISTANCE),
            label=f"Distance of the clicks from their targets{name}, by optimizer step",
            words=words.figure,
            last_step=last,
        )
        panels = [
            *_accuracy(content, drawn, split, f"Grounding accuracy{name}", last),
            *_panel(f"Distance from the target{name}", "Mean, in shares of the screen; lower is better.", distance),
        ]
        rows.append(("tall", panels))
    panels = []
    for title, key in (("Training loss", LOSS), ("Learning rate", RATE)):
        lines = [
            Curve(shown.name, shown.number, thinned(points))
            for shown in drawn
            if (points := _logged(histories[shown.number], key))
        ]
        drawing = chart(lines, label=f"{title} by optimizer step", words=words.figure, last_step=last)
        panels += _panel(title, "", drawing)
    rows.append(("", panels))
    filled = "".join(f'<div class="{height} keep">{"".join(panels)}</div>' for height, panels in rows if panels)
    if not filled:
        return ""
    keys = legend([(shown.name, shown.number) for shown in drawn]) if len(drawn) > 1 else ""
    return f'{keys}<div class="charts">{filled}</div>{_left_out(content, drawn)}'


def _drawn(content: Content) -> list[RunShown]:
    if len(content.runs) <= DISTINCT:
        return list(content.runs)

    def accuracy(shown: RunShown) -> float:
        one = shown.sets.get(content.main)
        return one.best.metrics[ACCURACY] if one is not None and one.best is not None else -1.0

    kept = sorted(content.runs, key=lambda shown: (-accuracy(shown), shown.number))[:DISTINCT]
    return sorted(kept, key=lambda shown: shown.number)


def _left_out(content: Content, drawn: Sequence[RunShown]) -> str:
    if len(drawn) == len(content.runs):
        return ""
    return f'<p class="muted small">Drawn are the {len(drawn)} best of the {len(content.runs)} runs.</p>'


def _accuracy(content: Content, drawn: Sequence[RunShown], split: str, title: str, last: float) -> list[str]:
    curves = _curves_of(drawn, split, ACCURACY, ranges=len(drawn) <= MOST_BANDS)
    best = content.best if split == content.main else None
    marked = [
        Curve(
            curve.name,
            curve.number,
            curve.points,
            curve.ranges,
            curve.base,
            _point(best.sets[split].best, ACCURACY),
            f"best {words.percent(_value(best.sets[split].best, ACCURACY))}",
        )
        if best is not None and curve.number == best.number
        else curve
        for curve in sorted(curves, key=lambda curve: best is not None and curve.number == best.number)  # on top
    ]
    bases = {curve.base[1] for curve in curves if curve.base is not None}
    level = None
    if len(bases) == 1 and (base := next(curve for curve in curves if curve.base)).base is not None:
        level = (base.base[1], f"base model {words.percent(base.base[1])}", base.number)
    note = "Share of the samples in whose target the model clicks"
    note += "; the band is the 95 % interval." if any(curve.ranges for curve in curves) else "."
    drawing = chart(
        marked,
        label=f"{title} by optimizer step; the table has the figures",
        words=lambda share: words.percent(share, 0 if abs(share * 100 - round(share * 100)) < 1e-6 else 1),
        level=level,
        last_step=last,
        most=1.0,
    )
    return _panel(title, note, drawing, wide=True)


def _curves_of(drawn: Sequence[RunShown], split: str, metric: str, *, ranges: bool = False) -> list[Curve]:
    found = []
    for shown in drawn:
        trained = [one for one in shown.run.evaluations if one.split == split and not one.baseline]
        points = [point for one in trained if (point := _point(one, metric)) is not None]
        known = [
            (float(one.step), one.metrics[LOW], one.metrics[HIGH])
            for one in trained
            if ranges and LOW in one.metrics and HIGH in one.metrics
        ]
        base = _point(shown.run.baseline(split), metric)
        if points or base:
            found.append(
                Curve(shown.name, shown.number, thinned(points), known[:: len(known) // MAX_POINTS + 1], base)
            )
    return found


def _panel(title: str, note: str, drawing: str, *, wide: bool = False) -> list[str]:
    if not drawing:
        return []
    said = f'<p class="muted small">{esc(note)}</p>' if note else ""
    look = "panel wide" if wide else "panel"
    return [f'<section class="{look}"><h3>{esc(title)}</h3>{said}{drawing}</section>']


def _value(evaluation: RunEvaluation | None, metric: str) -> float | None:
    value = evaluation.metrics.get(metric) if evaluation is not None else None
    return value if value is not None and abs(value) <= LARGEST else None


def _point(evaluation: RunEvaluation | None, metric: str) -> tuple[float, float] | None:
    value = _value(evaluation, metric)
    return (float(evaluation.step), value) if evaluation is not None and value is not None else None


def _history(shown: RunShown) -> Sequence[Mapping[str, float]]:
    try:
        return shown.run.history
    except RunReferenceError:
        return []


def _logged(rows: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    return [(row[STEP_KEY], row[key]) for row in rows if key in row and abs(row[key]) <= LARGEST and STEP_KEY in row]


def _steps(shown: RunShown, history: Sequence[Mapping[str, float]]) -> list[float]:
    return [float(one.step) for one in shown.run.evaluations] + [row[STEP_KEY] for row in history[-1:]]
