"""Two answers to each question: whether one side is right more often, and by how much.

Of the samples that both were asked, only those tell the two apart that one of them alone has right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..wilson import wilson_interval


def mcnemar_p(gained: int, lost: int) -> float:
    """The two-sided p value of McNemar's exact test (McNemar 1947, Psychometrika 12: 153-157).

    If both sides were equally good, each of the `gained + lost` samples that one side alone has right would go to
    either of them as a coin falls. The value is the chance of a split as uneven as this one, or more: twice the
    smaller tail of that binomial distribution, at most 1. It is computed in whole numbers, and exact for any count.

    Args:
        gained: Samples that the second side alone has right.
        lost: Samples that the first side alone has right.

    Returns:
        0-1; 1 where no sample tells them apart.

    Raises:
        ValueError: A count below 0.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"expected counts of 0 or more, found {gained} and {lost}")
    total, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    ways = term = 1
    for taken in range(fewer):
        term = term * (total - taken) // (taken + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << total))


def difference_interval(both: int, gained: int, lost: int, neither: int) -> tuple[float, float]:
    """The 95 % interval of a difference of two shares of the same samples, second minus first: low and high.

    Newcombe's square-and-add interval for paired shares (Newcombe 1998, Statistics in Medicine 17: 2635-2650, method
    10): the two shares' Wilson intervals, put together with the correlation that the table shows. It stays within -1
    and 1, and has a width where no sample tells the two apart.

    Args:
        both: Samples that both sides have right.
        gained: Samples that the second side alone has right.
        lost: Samples that the first side alone has right.
        neither: Samples that neither side has right.

    Raises:
        ValueError: A count below 0, or no sample at all.
    """
    total = both + gained + lost + neither
    if min(both, gained, lost, neither) < 0 or not total:
        raise ValueError(f"expected counts of 0 or more, not all 0, found {both}, {gained}, {lost} and {neither}")
    first, second = both + lost, both + gained
    first_low, first_high = wilson_interval(first, total)
    second_low, second_high = wilson_interval(second, total)
    correlation = _correlation(both, gained, lost, neither)
    share_first, share_second, difference = first / total, second / total, (second - first) / total
    below = _together(share_second - second_low, first_high - share_first, correlation)
    above = _together(second_high - share_second, share_first - first_low, correlation)
    return max(-1.0, difference - below), min(1.0, difference + above)


def _together(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))


def _correlation(both: int, gained: int, lost: int, neither: int) -> float:
    """Phi of the two-by-two table, its numerator brought half a table nearer to 0 where it is positive."""
    sides = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    if not sides:
        return 0.0
    product = float(both * neither - gained * lost)
    if product > 0:
        product = max(product - (both + gained + lost + neither) / 2, 0.0)
    return product / math.sqrt(sides)


def holm(values: Sequence[float]) -> list[float]:
    """P values of several comparisons, corrected by Holm's method (Holm 1979, Scand. J. Statist. 6: 65-70).

    The smallest is multiplied by their number, the next by one less, and so on; none is below one before it.

    Args:
        values: 0-1 each, in any order.

    Returns:
        The corrected ones, in the same order.
    """
    corrected = [1.0] * len(values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = highest
    return corrected
