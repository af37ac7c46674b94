"""What `oaml train` prints at the end: a row per evaluation, and where everything lies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .values import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from .train import EvaluationRow, TrainingResult


def print_summary(result: TrainingResult, console: Console) -> None:
    """Print the evaluations as a table; below it the run, the adapter, and the commands to go on with."""
    if result.evaluations:
        console.print(_table(result.evaluations))
        if all(row.accuracy is None for row in result.evaluations):
            _print_line(console, "Clicks were not measured.")
    lines = {
        "adapter": shown(result.adapter),
        "best checkpoint": shown(result.best_checkpoint) if result.best_checkpoint else None,
        "W&B run": result.run_url or result.run_id,
        "W&B folder": shown(result.run_folder) if result.run_folder else None,
        "W&B adapter": result.adapter_artifact,
        "registry": result.registry_link,
        "look at it with": result.look_command,
        "send it with": result.sync_command,
        "link it with": result.registry_command,
        "see its clicks": result.view_command,
        **result.links,
    }
    width = max(len(name) for name, value in lines.items() if value)
    for name, value in lines.items():
        if value:
            _print_line(console, f"{name:<{width}}  {value}")


def result_as_json(result: TrainingResult) -> dict[str, Any]:
    """A run's result in plain values, for a program; paths are absolute."""
    plain = dataclasses.asdict(result)
    return {
        **{name: str(value.absolute()) if isinstance(value, Path) else value for name, value in plain.items()},
        "links": dict(result.links),
    }


def _table(rows: Sequence[EvaluationRow]) -> Table:
    from rich.table import Table

    table = Table("step", "loss", "accuracy", "distance", "readable", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for row in rows:
        step = f"{row.step} (base model)" if row.step == 0 else str(row.step)
        table.add_row(step, *(_figure(value) for value in (row.loss, row.accuracy, row.distance, row.parsed)))
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001  # an en dash marks an empty cell


def _print_line(console: Console, text: str) -> None:
    # Paths and commands are to be copied: no line breaks in them, no colours, no markup.
    console.print(text, soft_wrap=True, highlight=False, markup=False)
