"""Numbers and names of a comparison in words: what the table and the page both say."""

from __future__ import annotations

from typing import Any

from ..clean_text import cut, one_line
from .comparison import Comparison, Pair, Side, spelled_p
from .runs import Answer

METHODS = (
    "Intervals of one accuracy: Wilson (1927), 95 %. Of a difference: Newcombe (1998, method 10), paired, 95 %. "
    "p: McNemar's exact test, two-sided."
)
HOLM = "With several comparisons p values are corrected by Holm's method (1979); intervals are not."
NOTHING = "\N{EN DASH}"


def share(value: float | None) -> str:
    """`0.930`."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """`+0.078`."""
    return NOTHING if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def flips(counts: tuple[int, int] | None) -> str:
    """A group's flips: how many were gained, how many lost."""
    return NOTHING if counts is None else f"+{counts[0]} \N{MINUS SIGN}{counts[1]}"


def span(low: float, high: float, *, signs: bool = False) -> str:
    """`0.872 to 0.963`."""
    return f"{signed(low)} to {signed(high)}" if signs else f"{low:.3f} to {high:.3f}"


def count(value: float | None) -> str:
    """`1,200`; of large ones `1.2e+15`."""
    return NOTHING if value is None else f"{value:,.0f}" if value < 1e9 else f"{value:.2g}"


def title(found: Comparison) -> str:
    """What is compared."""
    which = {
        "best": "the best evaluation of each run",
        "last": "the last evaluation of each run",
        "base": "the base model of each run",
    }.get(found.at, f"step {found.sides[0].evaluation.step}")
    return f"{one_line(found.split)}: {which}, {found.samples:,} samples"


def step(side: Side) -> str:
    """Of which step its evaluation is."""
    return "base" if side.evaluation.baseline else str(side.evaluation.step)


def heading(found: Comparison, pair: Pair) -> str:
    """`B against A`."""
    return f"{found.sides[pair.second].label} against {found.sides[pair.first].label}"


def p_values(pair: Pair, *, corrected: bool) -> str:
    """The pair's p, and what is left of it among several."""
    return spelled_p(pair.p) + (f", corrected {spelled_p(pair.corrected_p)}" if corrected else "")


def answered(answer: Answer, length: int) -> str:
    """An answer's text on one line."""
    text = cut(" ".join(answer.answer.split()), length)
    return text or "no answer"


def verdict_on(answer: Answer) -> str:
    """How an answer ended, and how far off it is."""
    if answer.correct:
        return "right"
    return answer.miss if answer.distance is None else f"{answer.miss}, {answer.distance:.3f} off"


def setting(value: Any) -> str:
    """A setting's value, cut."""
    if isinstance(value, float):
        return f"{value:g}"
    return cut(" ".join(str(value).split()), 60)
