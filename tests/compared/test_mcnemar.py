"""McNemar's exact test, the paired interval and Holm's correction, against figures of those who published them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from oaml_callbacks.compared.mcnemar import difference_interval, holm, mcnemar_p


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [
        (12, 2, 0.0129),  # Armitage and Berry 1994, p. 127: two media for a culture; P of Liddell's exact test
        (7, 1, 0.0703),  # Bentur et al. 2009, in Fagerland, Lydersen and Laake 2013 (BMC Med. Res. Methodol. 13: 91)
        (16, 6, 0.0525),  # Cavo et al. 2012, in the same
        (9, 2, 0.06543),  # R's exact2x2: mcnemar.exact(matrix(c(21, 9, 2, 12), 2, 2))
    ],
)
def test_it_gives_published_p_values(gained: int, lost: int, expected: float) -> None:
    assert mcnemar_p(gained, lost) == pytest.approx(expected, abs=5e-5 if expected < 0.02 else 6e-5)
    assert mcnemar_p(lost, gained) == mcnemar_p(gained, lost)


@pytest.mark.parametrize(("gained", "lost"), [(1, 0), (5, 0), (3, 2), (30, 12), (700, 650)])
def test_it_is_the_binomial_tail_summed_in_fractions(gained: int, lost: int) -> None:
    total = gained + lost
    tail = sum(Fraction(math.comb(total, taken), 2**total) for taken in range(min(gained, lost) + 1))
    assert mcnemar_p(gained, lost) == float(min(Fraction(1), 2 * tail))


def test_it_is_exact_for_thousands_of_flips() -> None:
    # Beyond what floats can hold: 2 ** 9800 is infinite to them. The normal distribution comes near it.
    p = mcnemar_p(5000, 4800)
    z = (5000 - 4800 - 1) / math.sqrt(9800)
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)
    assert 0 < mcnemar_p(3000, 1000) < 1e-200


def test_nothing_that_tells_them_apart_is_no_difference() -> None:
    assert mcnemar_p(0, 0) == mcnemar_p(7, 7) == 1
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar_p(-1, 3)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ((36, 12, 2, 0), (0.0569, 0.3404)),  # Newcombe 1998, table II, method 10
        ((14, 5, 0, 22), (0.011, 0.226)),  # Altman et al. 2000, Statistics with confidence, chapter 6
        ((1, 7, 1, 12), (0.026, 0.507)),  # Bentur et al. 2009, in Fagerland, Lydersen and Laake 2014
    ],
)
def test_the_interval_is_newcombes(table: tuple[int, int, int, int], expected: tuple[float, float]) -> None:
    both, gained, lost, neither = table
    low, high = difference_interval(both, gained, lost, neither)
    assert (low, high) == pytest.approx(expected, abs=6e-4)
    mirrored = difference_interval(both, lost, gained, neither)
    assert mirrored == pytest.approx((-high, -low))


def test_the_interval_has_a_width_and_stays_within_its_ends() -> None:
    for table in ((10, 0, 0, 0), (0, 0, 0, 10), (5, 0, 0, 5)):
        low, high = difference_interval(*table)
        assert -1 <= low < 0 < high <= 1
    assert difference_interval(0, 3, 0, 0)[1] == 1
    with pytest.raises(ValueError, match="not all 0"):
        difference_interval(0, 0, 0, 0)


def test_several_p_values_are_corrected_by_holms_method() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
