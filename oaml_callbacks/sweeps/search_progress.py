"""What is shown while a search goes on: which trial, its value so far, the best so far, the time left."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING

from ..durations import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

logger = logging.getLogger(__name__)


class SearchProgress:
    """A bar on a terminal's standard error; elsewhere a line for each trial that has ended.

    Args:
        trials: How many there will be.
        done: How many have ended already.
        console: Where; by default standard error.
    """

    def __init__(self, trials: int, done: int, console: Console | None = None) -> None:
        self._trials, self._done = trials, done
        self._took: list[float] = []
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> SearchProgress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = self._console or Console(stderr=True)
        if console.is_terminal:
            columns = [TextColumn("{task.fields[what]}", markup=False), BarColumn(bar_width=24)]
            self._bar = Progress(
                *columns, TextColumn("{task.fields[more]}", markup=False), console=console, transient=True
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self._trials, completed=self._done, what="", more="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def hide(self) -> None:
        """Take the bar away: what follows is to be read."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def at(self, number: int, *, share: float, seconds: float, value: float | None, best: str | None) -> None:
        """Show where it stands.

        Args:
            number: The trial that runs, from 1.
            share: How much of it is done, 0-1.
            seconds: How long it has run.
            value: Its value so far.
            best: The best trial's so far.
        """
        if self._bar is None or self._task is None:
            return
        parts = [f"{value:.3f} so far" if value is not None else "not yet evaluated"]
        if best is not None:
            parts.append(f"best {best}")
        if (left := self._left(share, seconds)) is not None:
            parts.append(f"{duration(left)} left")
        self._bar.update(
            self._task, completed=self._done + share, what=f"trial {number} of {self._trials}", more=", ".join(parts)
        )

    def _left(self, share: float, seconds: float) -> float | None:
        whole = seconds / share if share > 0.1 else None
        if self._took:
            mean = sum(self._took) / len(self._took)
            whole = mean if whole is None else (1 - share) * mean + share * whole
        return whole * (self._trials - self._done - share) if whole is not None else None

    def ended(self, seconds: float, text: str) -> None:
        """Note that a trial has ended, and tell how."""
        self._done += 1
        self._took.append(seconds)
        self.tell(text)

    def tell(self, text: str) -> None:
        """Write a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            logger.info("%s", text)


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """How many."""
        return time.monotonic() - self._begun
