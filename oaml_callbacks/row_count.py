"""[`RowCount`]: which rows of a W&B run are the Trainer's log history's."""

from __future__ import annotations

from .saved_run import SavedRun


class RowCount:
    """How many rows a run has, and how many of the last are the Trainer's log history's.

    Args:
        first: W&B's step of the first row that will be written.
        saved: The run that is gone on with.
    """

    def __init__(self, first: int, saved: SavedRun | None) -> None:
        self.step = first
        self.tail = saved.tail if saved is not None and saved.step == first else 0
        self._counted = self._others = 0

    def written(self, counted: bool) -> None:
        """Note a row."""
        if counted:
            self._counted += 1
        else:
            self._others += 1

    def count(self, step: int | None) -> None:
        """Take stock.

        Args:
            step: W&B's step of the next row, which others may have moved too; `None` if it can't be had.
        """
        expected = self.step + self._counted
        # A run that was gone on with tells 0 until its first row.
        now = expected + self._others if step is None else max(step, self.step)
        self.tail = self.tail + self._counted if now == expected else 0
        self.step, self._counted, self._others = now, 0, 0
