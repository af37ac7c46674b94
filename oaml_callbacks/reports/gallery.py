"""A few answers with their screenshots, target and click drawn upon them: what the accuracy looks like."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..clean_text import cut, error_text
from ..compared.runs import Answer, ReadRun, RunEvaluation, RunReferenceError
from ..viewer.pictures import smaller
from ..viewer.reading import Problem
from . import words
from .one_page import esc

logger = logging.getLogger(__name__)

MAX_SHOWN = 12
"""Answers of a gallery: as many misses as hits, where there are as many."""
MAX_BYTES = 3_000_000
"""Of all its pictures together, as they stand in the page."""
SIDE = 720
"""Pixels of a picture's longer side."""
MAX_ANSWER = 160
"""Characters of an instruction and of an answer."""

STYLE = """
.shots { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17.5rem), 1fr)); }
.shots figure { margin: 0; }
.screen { border: 1px solid var(--line); border-radius: 6px; overflow: hidden; position: relative; }
.screen img { display: block; height: auto; width: 100%; }
.screen > svg { height: 100%; inset: 0; overflow: hidden; position: absolute; width: 100%; }
.screen svg svg { overflow: visible; }
.screen rect, .screen path, .screen line { fill: none; stroke: #fff; stroke-opacity: 0.85; stroke-width: 4.5; }
.screen .t { stroke: #1269d3; stroke-opacity: 1; stroke-width: 2.5; }
.screen .k { stroke: #d6336c; stroke-opacity: 1; stroke-width: 2.5; }
.screen .w { stroke: #d6336c; stroke-dasharray: 4 3; stroke-opacity: 1; stroke-width: 1.5; }
.screen .off { fill: #d6336c; stroke: #fff; stroke-width: 1.5; }
.shots figcaption { font-size: 0.87rem; margin-top: 6px; overflow-wrap: anywhere; }
.shots figcaption code { color: var(--muted); display: block; font-size: 0.8rem; margin-top: 2px; }
.shots .chip { font-size: 0.78rem; margin-right: 4px; }
@media screen and (max-width: 600px) { .shots { gap: 12px 10px; grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media print { .shots { gap: 10px; grid-template-columns: repeat(4, minmax(0, 1fr)); }
               .shots figcaption { font-size: 0.78rem; } .shots figcaption code { font-size: 0.72rem; }
               .screen img { max-height: 80mm; object-fit: contain; } }
"""

_CROSS = "M -11 0 H -3 M 3 0 H 11 M 0 -11 V -3 M 0 3 V 11 M 6.5 0 A 6.5 6.5 0 1 1 -6.5 0 A 6.5 6.5 0 1 1 6.5 0"
_RING = "M 5 0 A 5 5 0 1 1 -5 0 A 5 5 0 1 1 5 0"
_PLACELESS = ("unreadable", "no_place")


@dataclass(frozen=True)
class Gallery:
    """Answers with their pictures.

    Args:
        shots: HTML of each.
        hits: How many of them are right.
        all_hits: How many of the evaluation's answers are.
        all_misses: How many aren't.
    """

    shots: Sequence[str]
    hits: int
    all_hits: int
    all_misses: int

    def html(self, whose: str) -> str:
        """All of them, and how many of how many they are."""
        chosen = (
            f"{whose}: {self.hits} of {words.times(self.all_hits, 'hit')} and {len(self.shots) - self.hits} of "
            f"{words.times(self.all_misses, 'miss', 'misses')}, chosen evenly. The frame is the target, the cross the "
            "model's click."
        )
        return f'<p class="muted small shown">{esc(chosen)}</p><div class="shots">{"".join(self.shots)}</div>'


def gallery(
    run: ReadRun, evaluation: RunEvaluation, *, most: int = MAX_SHOWN, max_bytes: int = MAX_BYTES
) -> Gallery | None:
    """Some answers of an evaluation, always the same ones; `None` where there are no pictures to show.

    Args:
        run: The run; pictures are in run folders alone.
        evaluation: One of its evaluations.
        most: Answers shown at most.
        max_bytes: Bytes that their pictures may have in the page.
    """
    if run.folder is None or most < 1:
        return None
    try:
        answers = run.answers(evaluation)
    except RunReferenceError as error:
        logger.info("No answers are shown: %s", error)
        return None
    hits = [one for one in answers if one.correct]
    misses = [one for one in answers if not one.correct]
    some_misses = min(len(misses), max(most // 2, most - len(hits)))
    chosen = [*_evenly(hits, most - some_misses), *_evenly(misses, some_misses)]
    shots, shown_hits, room = [], 0, max_bytes
    for one in chosen:
        picture = picture_address(run, one, SIDE)
        if picture is None or len(picture) > room:
            continue
        room -= len(picture)
        shots.append(_shot(one, picture))
        shown_hits += one.correct
    return Gallery(shots, shown_hits, len(hits), len(misses)) if shots else None


def _evenly(answers: Sequence[Answer], count: int) -> list[Answer]:
    count = min(count, len(answers))
    return [answers[len(answers) * place // count] for place in range(count)]


def picture_address(run: ReadRun, answer: Answer, side: int) -> str | None:
    """A screenshot as an address that is the picture; `None` where it can't be had.

    Args:
        run: The run; pictures are in run folders alone.
        answer: To the sample.
        side: Pixels of its longer side at most.
    """
    if run.folder is None or not answer.picture:
        return None
    try:
        data = smaller(run.folder, answer.picture, side)
    except (Problem, OSError) as error:
        logger.info("A picture isn't in the page: %s", error_text(error))
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _shot(answer: Answer, picture: str) -> str:
    word = answer.miss or "hit"
    kind = "right" if answer.correct else "unreadable" if answer.outcome in _PLACELESS else "wrong"
    asked = cut(answer.instruction, MAX_ANSWER) or answer.id
    if answer.distance and not answer.correct:
        word += f", {words.decimals(answer.distance)} away"
    return (
        f'<figure><div class="screen"><img src="{picture}" alt="{esc(f"Screenshot for: {asked}")}">'
        f'<svg aria-hidden="true">{_drawn(answer)}</svg></div>'
        f'<figcaption><span class="chip {kind}">{esc(word)}</span>{esc(asked)}'
        f"<code>{esc(cut(answer.answer, MAX_ANSWER))}</code></figcaption></figure>"
    )


def _drawn(answer: Answer) -> str:
    parts = []
    if answer.box is not None:
        left, right = sorted((answer.box[0], answer.box[2]))
        top, bottom = sorted((answer.box[1], answer.box[3]))
        place = f'x="{_at(left)}" y="{_at(top)}" width="{_at(right - left)}" height="{_at(bottom - top)}"'
        parts += [f"<rect {place} />", f'<rect class="t" {place} />']
    centre = answer.point
    if answer.click is not None and not answer.correct and centre is not None and _on_screen(answer.click):
        ends = f'x1="{_at(centre[0])}" y1="{_at(centre[1])}" x2="{_at(answer.click[0])}" y2="{_at(answer.click[1])}"'
        parts.append(f'<line class="w" {ends} />')
    if centre is not None and answer.box is None:
        parts.append(_mark(centre, _RING, "t"))
    if answer.click is not None:
        parts.append(_mark(answer.click, _CROSS, "k") if _on_screen(answer.click) else _arrow(answer.click))
    return "".join(parts)


def _mark(point: Sequence[float], path: str, kind: str) -> str:
    drawn = f'<path d="{path}" /><path class="{kind}" d="{path}" />'
    return f'<svg x="{_at(point[0])}" y="{_at(point[1])}">{drawn}</svg>'


def _arrow(point: Sequence[float]) -> str:
    """At the edge, the way to a click that is off the screen."""
    edge = [min(0.985, max(0.015, value)) for value in point]
    turn = math.degrees(math.atan2(point[1] - edge[1], point[0] - edge[0]))
    head = f'<path class="off" transform="rotate({turn:.0f})" d="M 4 0 L -12 -9 L -8 0 L -12 9 Z" />'
    return f'<svg x="{_at(edge[0])}" y="{_at(edge[1])}">{head}</svg>'


def _at(share: float) -> str:
    return f"{100 * min(10.0, max(-10.0, share)):.2f}%"


def _on_screen(point: Sequence[float]) -> bool:
    return all(0 <= value <= 1 for value in point)
