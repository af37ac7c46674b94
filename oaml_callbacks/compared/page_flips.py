"""The samples on which two runs differ, with both answers, and both clicks drawn upon the screenshot."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..clean_text import cut
from ..reports.gallery import picture_address
from ..reports.one_page import esc
from . import wording
from .comparison import Comparison, Pair, Side
from .runs import Answer

logger = logging.getLogger(__name__)

MAX_PICTURES = 80
"""Screenshots in a page."""
MAX_BYTES = 8_000_000
"""Bytes of all of them together, as they stand in the page."""
MAX_FLIPS = 4000
"""Samples that a page lists, of all pairs and of both kinds."""
SIDE = 720
"""Pixels of a picture's longer side."""
MAX_TEXT = 400
"""Characters of an instruction and of an answer."""

FLIPS_STYLE = """
.flips { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
         list-style: none; margin: 0; padding: 0; }
.differ h3 { margin: 16px 0 8px; }
.flips > li { border: 1px solid var(--line); border-radius: 6px; min-width: 0; overflow: hidden; }
.flips .told { overflow-wrap: anywhere; padding: 8px 10px 10px; }
.flips .told > p + p { margin-top: 4px; }
.flips code { font-size: 0.82rem; white-space: pre-wrap; }
.shot { background: var(--panel-2); position: relative; }
.shot img { display: block; height: auto; width: 100%; }
.shot .target { border: 2px solid #1269d3; box-shadow: 0 0 0 1.5px #ffffffcc; position: absolute; }
.shot .point { border: 2px solid #1269d3; border-radius: 50%; box-shadow: 0 0 0 1.5px #ffffffcc; height: 14px;
               margin: -7px 0 0 -7px; position: absolute; width: 14px; }
.shot .click { background: #b3261e; border: 1.5px solid #fff; border-radius: 50%; color: #fff; font-size: 11px;
               font-weight: 700; height: 20px; line-height: 17px; margin: -10px 0 0 -10px; position: absolute;
               text-align: center; width: 20px; }
.shot .click.hit { background: #17723b; }
@media print { .flips { grid-template-columns: repeat(3, minmax(0, 1fr)); } .flips > li { break-inside: avoid; }
               .shot * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


class Pictures:
    """The screenshots that go into one page, each as an address that is the picture; bounded in number and bytes.

    Attributes:
        count: How many there are.
        bytes: What they take.
    """

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0

    def of(self, sides: Sequence[Side], places: Sequence[int], *, pairs_left: int) -> dict[int, str]:
        """The screenshots of some samples, by their places: as many as this pair's part of the room that is left.

        Args:
            sides: The two runs. A screenshot is of the first whose folder has it.
            places: The samples, those that matter most first.
            pairs_left: How many pairs share the room, this one included.
        """
        most = self.count + -(-(MAX_PICTURES - self.count) // pairs_left)
        most_bytes = self.bytes + (MAX_BYTES - self.bytes) // pairs_left
        found: dict[int, str] = {}
        for place in places[: 2 * MAX_PICTURES]:  # where one can't be shown the next one may
            if self.count >= most:
                break
            address = self._address(sides, place)
            if address is None:
                continue
            if self.bytes + len(address) > most_bytes:
                break
            self.count += 1
            self.bytes += len(address)
            found[place] = address
        return found

    @staticmethod
    def _address(sides: Sequence[Side], place: int) -> str | None:
        return next(
            (
                address
                for side in sides
                if (address := picture_address(side.run, side.answers[place], SIDE)) is not None
            ),
            None,
        )


def flips(found: Comparison, pair: Pair, pictures: Pictures, *, pairs_left: int = 1) -> str:
    """A section with the samples that one side of a pair alone has right; empty where there are none.

    Args:
        found: The comparison.
        pair: One of its pairs.
        pictures: The page's.
        pairs_left: How many pairs share what room for pictures is left, this one included.
    """
    first, second = found.sides[pair.first], found.sides[pair.second]
    # Both kinds get pictures, also where one of them would take all that there is room for.
    shots = pictures.of((first, second), _in_turn(pair.gained, pair.lost), pairs_left=pairs_left)
    listed = max(1, MAX_FLIPS // (2 * len(found.pairs)))
    parts = []
    for side, kind in ((second, pair.gained), (first, pair.lost)):
        if kind:
            items = "".join(_flip(first, second, place, shots.get(place)) for place in kind[:listed])
            more = f"<p>and {len(kind) - listed:,} more; --json has all</p>" if len(kind) > listed else ""
            parts.append(f"<h3>{side.label} alone is right: {len(kind):,}</h3><ul class='flips'>{items}</ul>{more}")
    if not parts:
        return ""
    legend = (
        "The blue frame is the target, the letters are where each run clicked: green where that is right, red where "
        "it isn't."
    )
    return (
        f'<section class="panel differ"><h2>{esc(wording.heading(found, pair))}: where they differ</h2>'
        f'<p class="muted small">{legend}</p>{"".join(parts)}</section>'
    )


def _in_turn(some: Sequence[int], others: Sequence[int]) -> list[int]:
    found = []
    for place in range(max(len(some), len(others))):
        found += [kind[place] for kind in (some, others) if place < len(kind)]
    return found


def _flip(first: Side, second: Side, place: int, picture: str | None) -> str:
    answers = [(side.label, side.answers[place]) for side in (first, second)]
    sample = answers[0][1]
    told = "".join(
        f'<p><span class="chip {"right" if answer.correct else "wrong"}">{label} '
        f"{esc(wording.verdict_on(answer))}</span> <code>{esc(wording.answered(answer, MAX_TEXT))}</code></p>"
        for label, answer in answers
    )
    asked = cut(" ".join(sample.instruction.split()), MAX_TEXT)
    shot = _shot(picture, answers, asked) if picture is not None else ""
    return (
        f'<li>{shot}<div class="told"><p><strong>{esc(asked)}</strong> '
        f'<span class="muted small">{esc(sample.id)}</span></p>{told}</div></li>'
    )


def _shot(picture: str, answers: Sequence[tuple[str, Answer]], asked: str) -> str:
    sample = answers[0][1]
    marks = []
    if sample.box is not None:
        left, right = sorted((sample.box[0], sample.box[2]))
        top, bottom = sorted((sample.box[1], sample.box[3]))
        size = f"width:{_percent(right - left)};height:{_percent(bottom - top)}"
        marks.append(f'<span class="target" style="left:{_percent(left)};top:{_percent(top)};{size}"></span>')
    elif sample.point is not None:
        marks.append(f'<span class="point" style="{_at(sample.point)}"></span>')
    for label, answer in answers:
        if answer.click is not None:
            kind = "click hit" if answer.correct else "click"
            marks.append(f'<span class="{kind}" style="{_at(answer.click)}">{label}</span>')
    image = f'<img src="{picture}" alt="{esc(f"Screenshot for: {asked}")}" loading="lazy">'
    return f'<div class="shot">{image}<div aria-hidden="true">{"".join(marks)}</div></div>'


def _at(point: Sequence[float]) -> str:
    """Where a mark goes; what is off the screen goes to its edge."""
    return f"left:{_percent(point[0])};top:{_percent(point[1])}"


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"
