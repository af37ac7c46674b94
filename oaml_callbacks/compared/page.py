"""A comparison as one page that holds all it needs: intervals as bars, the tables, and every flip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..clean_text import one_line
from ..durations import duration
from ..reports.one_page import esc, link, one_page, write_one_page
from . import wording
from .comparison import SIGNIFICANT, Comparison, Pair, Side
from .page_flips import FLIPS_STYLE, Pictures, flips

STYLE = """
.verdict { font-size: 1.15rem; font-weight: 600; }
.track { background: var(--panel-2); border-radius: 4px; height: 18px; min-width: 9rem; position: relative; }
.track i { display: block; position: absolute; }
.track .range { background: var(--accent); border-radius: 4px; bottom: 5px; opacity: 0.45; top: 5px; }
.track .at { background: var(--accent); border-radius: 2px; bottom: 1px; margin-left: -2px; top: 1px; width: 4px; }
.track .base { background: var(--muted); bottom: 3px; margin-left: -1px; top: 3px; width: 2px; }
.track .zero { background: var(--text); bottom: -3px; left: 50%; margin-left: -0.5px; top: -3px; width: 1px; }
.track.better .range, .track.better .at { background: var(--right); }
.track.worse .range, .track.worse .at { background: var(--wrong); }
.ends { color: var(--muted); display: flex; font-size: 0.78rem; justify-content: space-between; }
.difference { display: grid; gap: 4px 16px; grid-template-columns: max-content 1fr; margin-top: 12px; }
.difference > dt { color: var(--muted); }
.difference > dd { margin: 0; }
.label { font-weight: 700; }
tbody th .small { font-weight: 400; }
.tables > * + * { margin-top: 14px; }
@media (max-width: 600px) { .difference { grid-template-columns: 1fr; } .difference > dd { margin-bottom: 6px; } }
@media print { .track, .track i { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def write_page(found: Comparison, path: Path) -> str:
    """Write the page.

    Args:
        found: The comparison.
        path: Where to; its folder is made.

    Returns:
        What of it is in the page, in words.

    Raises:
        PageError: It can't be written there.
    """
    pictures = Pictures()
    size = write_one_page(page(found, pictures), path)
    return f"{size / 1e6:.1f} MB, {pictures.count} picture{'' if pictures.count == 1 else 's'}"


def page(found: Comparison, pictures: Pictures | None = None) -> str:
    """The page as HTML, with as many pictures of the flips as [`Pictures`] allows."""
    pictures = pictures or Pictures()
    names = [f"{side.label} {side.name}" for side in found.sides]
    title = " · ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    notes = list(found.notes)
    body = [f"<h1>{esc(title)}</h1>", f'<p class="muted">{esc(wording.title(found))}</p>']
    if not found.same_set:
        body.append(f'<p class="message error"><strong>{esc(notes.pop(0))}</strong></p>')
    body += [_verdict(found, pair) for pair in found.pairs]
    body.append(_section("Accuracy", _accuracies(found)))
    if any(side.groups for side in found.sides):
        body.append(_section("By group", _groups(found)))
    body.append(_section("What the training cost", _costs(found)))
    if found.settings:
        body.append(_section("What differs in the settings", _settings(found)))
    for place, pair in enumerate(found.pairs):
        body.append(flips(found, pair, pictures, pairs_left=len(found.pairs) - place))
    said = [*notes, wording.METHODS, *([wording.HOLM] if len(found.pairs) > 1 else [])]
    body.append(f'<section class="muted small">{"".join(f"<p>{esc(one)}</p>" for one in said)}</section>')
    return one_page(title, "\n".join(body), style=STYLE + FLIPS_STYLE)


def _section(title: str, inside: str) -> str:
    return f'<section class="panel"><h2>{esc(title)}</h2>{inside}</section>'


# Verdicts ----------------------------------------------------------------------------------------------------------


def _verdict(found: Comparison, pair: Pair) -> str:
    low, high = pair.interval
    reach = 1.1 * max(0.05, abs(low), abs(high))
    change = (
        f"{wording.signed(pair.distance_change)}, mean over the {pair.distance_samples:,} samples with a click in "
        "both; negative is closer"
    )
    rows = [
        (
            "accuracy",
            f"{esc(wording.signed(pair.difference))}, 95 % interval {esc(wording.span(low, high, signs=True))}"
            + _difference_bar(found, pair, reach),
        ),
        ("distance", esc(change)),
        ("p", esc(wording.p_values(pair, corrected=len(found.pairs) > 1))),
    ]
    told = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return (
        f'<section class="panel keep"><p class="verdict">{esc(pair.verdict)}</p><dl class="difference">{told}</dl>'
        "</section>"
    )


def _difference_bar(found: Comparison, pair: Pair, reach: float) -> str:
    """The difference's interval upon a line whose middle is no difference."""
    low, high, at = (0.5 + value / (2 * reach) for value in (*pair.interval, pair.difference))
    sure = pair.corrected_p < SIGNIFICANT
    kind = "" if not sure else " better" if pair.difference > 0 else " worse"
    first, second = found.sides[pair.first].label, found.sides[pair.second].label
    return (
        f'<div class="track{kind}" aria-hidden="true">{_range(low, high)}'
        f'<i class="at" style="left:{_percent(at)}"></i><i class="zero"></i></div>'
        f'<div class="ends"><span>{first} better {esc(wording.signed(-reach))}</span>'
        f"<span>0</span><span>{second} better {esc(wording.signed(reach))}</span></div>"
    )


def _range(low: float, high: float) -> str:
    return f'<i class="range" style="left:{_percent(low)};width:{_percent(high - low)}"></i>'


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


# Tables ------------------------------------------------------------------------------------------------------------


def _accuracies(found: Comparison) -> str:
    rows = []
    for side in found.sides:
        base = "" if side.baseline is None else f'<i class="base" style="left:{_percent(side.baseline)}"></i>'
        bar = (
            f'<div class="track" aria-hidden="true">{_range(*side.accuracy.interval)}{base}'
            f'<i class="at" style="left:{_percent(side.accuracy.value)}"></i></div>'
        )
        rows.append(
            [
                _run(side),
                _number(wording.step(side)),
                _number(wording.share(side.accuracy.value)),
                f'<td>{bar}<div class="ends"><span>0</span><span>{wording.span(*side.accuracy.interval)}</span>'
                "<span>1</span></div></td>",
                _number(f"{side.accuracy.correct:,} of {side.accuracy.total:,}"),
                _number(wording.share(side.distance)),
                _number(wording.share(side.readable.value)),
                _number(wording.share(side.baseline)),
            ]
        )
    heads = ["run", "step", "accuracy", "95 % interval", "right", "distance", "readable", "base model"]
    note = "The grey mark is the base model. Distances are means over clicks, in shares of the screen."
    return _table(heads, rows, text=(0, 3)) + f'<p class="muted small">{note}</p>'


def _run(side: Side) -> str:
    run = side.run
    links = [
        link(url, text)
        for url, text in ((run.url, "W&B"), (run.viewer_url, "viewer"), (run.dashboard_url, "dashboard"))
        if url
    ]
    beside = f'<br><span class="small muted">{esc(one_line(run.id))}{"".join(f" · {one}" for one in links)}</span>'
    return f'<th scope="row"><span class="label">{side.label}</span> {esc(side.name)}{beside}</th>'


def _groups(found: Comparison) -> str:
    names = list(dict.fromkeys(name for side in found.sides for name in side.groups))
    rows = []
    for name in names:
        shares = [side.groups.get(name) for side in found.sides]
        total = next(share.total for share in shares if share is not None)
        changes = [pair.groups.get(name) for pair in found.pairs]
        rows.append(
            [
                _head(name),
                _number(f"{total:,}"),
                *(_number(wording.share(share.value if share is not None else None)) for share in shares),
                *(_number(wording.flips(one)) for one in changes),
            ]
        )
    heads = ["group", "samples", *(side.label for side in found.sides)]
    return _table([*heads, *(wording.heading(found, pair) for pair in found.pairs)], rows, text=(0,))


def _costs(found: Comparison) -> str:
    rows = [
        [
            _head(side.label),
            _number(duration(side.run.seconds)),
            _number(wording.count(side.run.steps)),
            _number(wording.count(side.run.samples_seen)),
            _number(wording.count(side.run.total_flos)),
            f"<td>{esc(side.run.gpu or wording.NOTHING)}</td>",
            f"<td>{esc(side.run.outcome or wording.NOTHING)}</td>",
        ]
        for side in found.sides
    ]
    heads = ["", "training", "steps", "samples seen", "operations", "GPU", "outcome"]
    return _table(heads, rows, text=(0, 5, 6))


def _settings(found: Comparison) -> str:
    rows = [
        [
            f'<th scope="row"><code>{esc(name)}</code></th>',
            *(f"<td>{esc(wording.setting(value))}</td>" for value in values),
        ]
        for name, values in found.settings.items()
    ]
    return _table(["setting", *(side.label for side in found.sides)], rows, text=range(1 + len(found.sides)))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, text: Iterable[int]) -> str:
    left = set(text)
    first = "".join(
        f'<th scope="col"{"" if place in left else " class=number"}>{esc(head)}</th>'
        for place, head in enumerate(heads)
    )
    inside = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{first}</tr></thead><tbody>{inside}</tbody></table></div>'


def _head(text: str) -> str:
    return f'<th scope="row">{esc(text)}</th>'


def _number(text: str) -> str:
    return f'<td class="number">{esc(text)}</td>'
