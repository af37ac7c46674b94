"""Numbers, times and addresses as readers of a report see them. What isn't known is a dash."""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import urlsplit

NONE = "–"  # noqa: RUF001  # an en dash marks an empty cell
LIVE = ("training", "evaluating")


def percent(share: float | None, digits: int = 1) -> str:
    """A share as `93.0 %`."""
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def interval(low: float | None, high: float | None) -> str:
    """Two shares as `87.2-96.3 %`, with an en dash."""
    return NONE if low is None or high is None else f"{100 * low:.1f}{NONE}{100 * high:.1f} %"


def figure(value: float | None) -> str:
    """A number with three figures: `0.244`, `3.1e-4`, `5e-4`."""
    if value is None:
        return NONE
    if not value or 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def decimals(value: float | None) -> str:
    """A distance: `0.021`."""
    return NONE if value is None else f"{value:.3f}"


def whole(value: float | None) -> str:
    """A count: `1,280`."""
    return NONE if value is None else f"{value:,.0f}"


def day(seconds: float | None) -> str:
    """A time as its day, in UTC: `26 Nov 2026`."""
    if seconds is None or not 0 <= seconds < 1e11:
        return NONE
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{at.day} {at:%b %Y}"


def is_local(url: str) -> bool:
    """Whether an address opens on one machine alone."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in ("localhost", "::1") or host.startswith("127.")


def times(count: int, one: str, several: str | None = None) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
