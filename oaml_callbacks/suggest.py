"""The nearest of the names that there are, for messages about one that there isn't."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """The one of the candidates that `word` is most like, if any is like it."""
    return get_close_matches(word, list(candidates), n=1, cutoff=0.6)


def did_you_mean(names: Iterable[str]) -> str:
    """`; did you mean …?` with these names, or nothing where there are none."""
    names = list(dict.fromkeys(names))
    return f"; did you mean {' or '.join(names)}?" if names else ""
