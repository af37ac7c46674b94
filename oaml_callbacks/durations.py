"""How long something took, for readers."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """`8.2 s`, `86 s`, `12 min`, `3 h 05 min`; a dash where that isn't known."""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60:02d} min"
