"""A sign that something is being done, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Show on stderr that `what` is being done, if that is a terminal; gone when it is done."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield
