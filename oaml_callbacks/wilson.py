"""How far chance alone could have moved a share."""

from __future__ import annotations

import math


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22: 209-212), low and high, 0-1.

    Raises:
        ValueError: `total` is not positive, or `correct` is not within 0 and `total`.
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"expected 0 ≤ correct ≤ total and a positive total, found {correct} of {total}")
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    # At the ends the formula gives 0 and 1 exactly, and floats nearly.
    return 0.0 if correct == 0 else centre - half, 1.0 if correct == total else centre + half
