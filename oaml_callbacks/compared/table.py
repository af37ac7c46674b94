"""A comparison as it is printed: tables that fit on 80 columns, a sentence for each pair, the first flips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..clean_text import cut, one_line
from ..durations import duration
from . import wording
from .comparison import Comparison, Pair

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN_FLIPS = 5
"""Samples that are printed of each kind, if nobody says how many."""
SHOWN_SETTINGS = 15
"""Settings that are printed; `--json` has all."""
MIN_NAME = 8
OTHER_COLUMNS = 62
"""Columns that the table of accuracies takes beside the runs' names."""
MAX_TEXT = 300
"""Characters of an instruction or an answer."""


def print_comparison(found: Comparison, console: Console, *, flips: int = SHOWN_FLIPS, groups: bool = False) -> None:
    """Print a comparison.

    Args:
        found: The comparison.
        console: Where to.
        flips: How many samples of each kind are shown that one side alone has right.
        groups: Whether the groups are shown.
    """
    if not found.same_set:
        _print(console, found.notes[0], style="bold red")
        _print(console, "")
    _print(console, wording.title(found))
    _print(console, "")
    console.print(_accuracies(found, max(MIN_NAME, console.width - OTHER_COLUMNS)))
    for pair in found.pairs:
        _print_pair(found, pair, console, flips=flips)
    if groups:
        _print(console, "")
        console.print(_groups(found))
    _print(console, "")
    console.print(_costs(found))
    _print_settings(found, console)
    _print(console, "")
    for note in found.notes if found.same_set else found.notes[1:]:
        _print(console, note)
    _print(console, wording.METHODS + (f" {wording.HOLM}" if len(found.pairs) > 1 else ""), style="dim")


def _table(*columns: tuple[str, dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, options in columns:
        table.add_column(name, **options)
    return table


_NUMBER = {"justify": "right", "no_wrap": True}
_LABEL = {"no_wrap": True}


def _accuracies(found: Comparison, name_width: int) -> Table:
    table = _table(
        ("", _LABEL),
        ("run", {"overflow": "ellipsis", "no_wrap": True, "max_width": name_width}),
        ("step", _NUMBER),
        ("accuracy", _NUMBER),
        ("95 % interval", _NUMBER),
        ("distance", _NUMBER),
        ("readable", _NUMBER),
        ("base", _NUMBER),
    )
    for side in found.sides:
        table.add_row(
            side.label,
            _escaped(side.name),
            wording.step(side),
            wording.share(side.accuracy.value),
            wording.span(*side.accuracy.interval),
            wording.share(side.distance),
            wording.share(side.readable.value),
            wording.share(side.baseline),
        )
    return table


def _print_pair(found: Comparison, pair: Pair, console: Console, *, flips: int) -> None:
    first, second = found.sides[pair.first], found.sides[pair.second]
    _print(console, "")
    _print(console, pair.verdict, style="bold")
    table = _table(("", {**_LABEL}), ("", _NUMBER), ("", {}))
    table.show_header = False
    table.add_row(
        "  accuracy", wording.signed(pair.difference), f"95 % interval {wording.span(*pair.interval, signs=True)}"
    )
    change = f"mean over the {pair.distance_samples:,} samples with a click in both; negative is closer"
    table.add_row("  distance", wording.signed(pair.distance_change), change)
    if len(found.pairs) > 1:
        table.add_row("  p", "", wording.p_values(pair, corrected=True))
    console.print(table)
    for label, places in ((second.label, pair.gained), (first.label, pair.lost)):
        if places and flips:
            _print(console, f"  {label} alone has right:")
            _print_flips(found, pair, places[:flips], console)
            if len(places) > flips:
                _print(console, f"    … and {len(places) - flips} more (--flips, --json, --html)")


def _print_flips(found: Comparison, pair: Pair, places: Sequence[int], console: Console) -> None:
    sides = [found.sides[place] for place in (pair.first, pair.second)]
    for place in places:
        sample = sides[0].answers[place]
        _line(console, f"    {sample.id}: {cut(' '.join(sample.instruction.split()), MAX_TEXT)}")
        for side in sides:
            answer = side.answers[place]
            _line(console, f"      {side.label} {wording.verdict_on(answer)}: {wording.answered(answer, MAX_TEXT)}")


def _groups(found: Comparison) -> Table:
    table = _table(
        ("group", {"overflow": "fold"}), ("samples", _NUMBER), *((side.label, _NUMBER) for side in found.sides),
        *((f"{wording.heading(found, pair)}", _NUMBER) for pair in found.pairs),
    )  # fmt: skip
    names = list(dict.fromkeys(name for side in found.sides for name in side.groups))
    for name in names:
        shares = [side.groups.get(name) for side in found.sides]
        gains = [pair.groups.get(name) for pair in found.pairs]
        table.add_row(
            _escaped(name),
            str(next(share.total for share in shares if share is not None)),
            *(wording.share(share.value if share is not None else None) for share in shares),
            *(wording.flips(gain) for gain in gains),
        )
    if not names:
        table.add_row("(the samples have no groups)")
    return table


def _costs(found: Comparison) -> Table:
    table = _table(
        ("", _LABEL),
        ("id", {"overflow": "fold", "max_width": 20}),
        ("training", _NUMBER),
        ("steps", _NUMBER),
        ("samples seen", _NUMBER),
        ("FLOs", _NUMBER),
        ("GPU", {"overflow": "fold"}),
        ("outcome", {"overflow": "fold"}),
    )
    for side in found.sides:
        run = side.run
        table.add_row(
            side.label,
            _escaped(one_line(run.id)),
            duration(run.seconds),
            wording.count(run.steps),
            wording.count(run.samples_seen),
            wording.count(run.total_flos),
            _escaped(run.gpu or wording.NOTHING),
            _escaped(run.outcome or wording.NOTHING),
        )
    return table


def _print_settings(found: Comparison, console: Console) -> None:
    if not found.settings:
        return
    _print(console, "")
    table = _table(("differs", {"overflow": "fold"}), *((side.label, {"overflow": "fold"}) for side in found.sides))
    for name, values in list(found.settings.items())[:SHOWN_SETTINGS]:
        table.add_row(_escaped(name), *(_escaped(wording.setting(value)) for value in values))
    console.print(table)
    if len(found.settings) > SHOWN_SETTINGS:
        _print(console, f"… and {len(found.settings) - SHOWN_SETTINGS} more settings (--json, --html)")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _print(console: Console, text: str, *, style: str | None = None) -> None:
    console.print(text, highlight=False, markup=False, style=style)


def _line(console: Console, text: str) -> None:
    """A line that is cut at the terminal's edge; in a file it is whole."""
    console.print(
        text, highlight=False, markup=False, no_wrap=True, overflow="ellipsis", crop=console.is_terminal,
        soft_wrap=not console.is_terminal,
    )  # fmt: skip
