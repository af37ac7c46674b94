"""The end of a search: its trials as a table, the best configuration as a file, and where everything lies."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clean_text import cut, error_text
from ..durations import duration
from ..run_folder.runs_dir import view_command
from ..typed_command import command
from ..values import shown
from .importance import importances
from .search_result import SearchedTrial, SearchResult, rank
from .search_space import SearchSpace, short_names, value_text
from .sweep_file import Sweep
from .trial import TrialSettings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

logger = logging.getLogger(__name__)

BEST = "best.yaml"
PICTURE = "search.png"
MAX_WIDTH = 1000
"""Characters of a row of the table."""

_NOTHING = "–"  # noqa: RUF001  # an en dash marks an empty cell


def write_result(
    sweep: Sweep, metric: str, space: SearchSpace, settings: TrialSettings, trials: Sequence[SearchedTrial]
) -> SearchResult:
    """Write the best configuration and the picture, and put together what came of a search.

    Args:
        sweep: The sweep.
        metric: The key that decided, as the history has it.
        space: What was searched.
        settings: What the trials had in common.
        trials: All of them.
    """
    from .pictures import Objective, draw_search

    folder = settings.output_dir
    done = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    best = min(done, key=lambda trial: rank(trial, metric, sweep.goal), default=None)
    importance = importances(trials, space.dimensions, sweep.goal)
    best_config = folder / BEST if best is not None else None
    train = None
    if best is not None and best_config is not None:
        _write_best(best_config, best, metric, sweep=sweep, settings=settings, count=len(trials))
        train = f"{command('oaml', module='oaml_callbacks')} train {shown(best_config)}"
        train += " --wandb" if settings.wandb else ""
    picture = folder / PICTURE if any(trial.value is not None for trial in trials) else None
    if picture is not None:
        objective, title = Objective(metric, sweep.goal), sweep.name or sweep.path.stem
        try:
            draw_search(picture, trials, space, objective, importance, title=title)
        except Exception as error:  # noqa: BLE001  # hours of trials are told of all the same
            logger.warning("The search's picture couldn't be drawn: %s", error_text(error))
            picture = None
    return SearchResult(
        metric=metric,
        goal=sweep.goal,
        trials=tuple(trials),
        best=best,
        importance=importance,
        output_dir=folder,
        best_config=best_config,
        picture=picture,
        train_command=train,
        view_command=view_command(folder) if settings.wandb else None,
        sync_command=_sync_command(folder) if settings.wandb else None,
        seconds=sum(trial.seconds or 0.0 for trial in trials),
        searched=tuple(each.name for each in space.dimensions),
    )


def print_search(result: SearchResult, console: Console) -> None:
    """Print the trials as a table, best first; below it what was found, and the commands to go on with."""
    table = _table(result)
    # Rows stay rows, also where they are piped to: then a console has 80 columns.
    narrow = console.width
    console.width = max(narrow, console.measure(table, options=console.options.update(max_width=MAX_WIDTH)).maximum)
    console.print(table)
    console.width = narrow
    best = result.best
    lines = {
        "best": None if best is None else f"trial {best.number}: {_value(best, result.metric)}",
        "what mattered": _mattered(result),
        "best adapter": shown(best.adapter) if best is not None and best.adapter is not None else None,
        "best configuration": shown(result.best_config) if result.best_config is not None else None,
        "train with it": result.train_command,
        "picture": shown(result.picture) if result.picture is not None else None,
        "see the clicks": result.view_command,
        "send to W&B": result.sync_command,
        "took": duration(result.seconds),
    }
    width = max(len(name) for name, value in lines.items() if value)
    for name, value in lines.items():
        if value:
            # Paths and commands are to be copied: no line breaks in them, no colours, no markup.
            console.print(f"{name:<{width}}  {value}", soft_wrap=True, highlight=False, markup=False)
    if best is None:
        console.print("No trial finished.", markup=False)


def search_as_json(result: SearchResult) -> dict[str, Any]:
    """A search's result in plain values, for a program; paths are absolute."""
    return {
        "metric": result.metric,
        "goal": result.goal,
        "best": _as_json(result.best, result.metric) if result.best is not None else None,
        "trials": [_as_json(trial, result.metric) for trial in result.trials],
        "importance": dict(result.importance),
        "output_dir": str(result.output_dir.absolute()),
        "best_config": _absolute(result.best_config),
        "picture": _absolute(result.picture),
        "train_command": result.train_command,
        "view_command": result.view_command,
        "sync_command": result.sync_command,
        "seconds": round(result.seconds, 1),
    }


def _as_json(trial: SearchedTrial, metric: str) -> dict[str, Any]:
    named = {name: trial.figure(metric, f"grounding_{name}") for name in ("accuracy_low", "accuracy_high", "distance")}
    return {
        "number": trial.number,
        "state": trial.state,
        "values": dict(trial.values),
        "value": trial.value,
        **named,
        "step": trial.step,
        "evaluations": trial.evaluations,
        "seconds": trial.seconds,
        "own": trial.own,
        "why": trial.why,
        "folder": str(trial.folder.absolute()),
        "adapter": _absolute(trial.adapter),
        "run_id": trial.run_id,
    }


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path is not None else None


def _table(result: SearchResult) -> Table:
    from rich.table import Table

    names = short_names(result.searched)
    is_accuracy = result.metric.endswith("grounding_accuracy")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("trial", justify="right")
    for name in names.values():
        table.add_column(cut(name, 40), justify="right")
    table.add_column(result.metric.rpartition("/")[2].removeprefix("grounding_"), justify="right")
    if is_accuracy:
        table.add_column("95 % interval")
    table.add_column("distance", justify="right")
    table.add_column("time", justify="right")
    table.add_column("state")
    for trial in result.ranked():
        values = [value_text(trial.values[name]) if name in trial.values else _NOTHING for name in names]
        cells = [str(trial.number), *values, _figure(trial.value)]
        if is_accuracy:
            cells.append(_interval(trial, result.metric) or _NOTHING)
        cells.append(_figure(trial.figure(result.metric, "grounding_distance")))
        cells.append(duration(trial.seconds))
        cells.append(_state(trial))
        table.add_row(*cells)
    return table


def _state(trial: SearchedTrial) -> str:
    if trial.state == "pruned":
        return f"stopped after {trial.evaluations} evaluation{'s' if trial.evaluations != 1 else ''}"
    return f"{trial.state} (the configuration's own)" if trial.own else trial.state


def _figure(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3f}"


def _interval(trial: SearchedTrial, metric: str) -> str | None:
    low, high = (trial.figure(metric, f"grounding_accuracy_{end}") for end in ("low", "high"))
    return None if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _value(trial: SearchedTrial, metric: str) -> str:
    text = f"{metric} {_figure(trial.value)}"
    if metric.endswith("grounding_accuracy") and (interval := _interval(trial, metric)):
        text += f" ({interval})"
    distance = trial.figure(metric, "grounding_distance")
    text += f", distance {distance:.3f}" if distance is not None else ""
    return f"{text}, at step {trial.step}"


def _mattered(result: SearchResult) -> str | None:
    if not result.importance:
        return None
    names = short_names(result.searched)
    return ", ".join(f"{names[name]} {value:.2f}" for name, value in result.importance.items())


def _write_best(
    path: Path, best: SearchedTrial, metric: str, *, sweep: Sweep, settings: TrialSettings, count: int
) -> None:
    from .best_config import write_best

    heading = [
        f"The best of {count} trials of {cut(str(sweep.path), 200)}, a search over {cut(str(settings.config), 200)}.",
        f"Trial {best.number}: {_value(best, metric)}. The best of so many looks better than it is:",
        "train it again with another seed (training.seed=1) before you believe the last digit.",
        "",
        f"  oaml train {shown(path)}{' --wandb' if settings.wandb else ''}",
    ]
    write_best(
        path,
        settings.config,
        settings.overrides,
        best.values,
        heading=heading,
        output_dir=settings.output_dir / "best",
    )


def _sync_command(folder: Path) -> str | None:
    """What sends the trials' offline runs; `None` where they went to W&B as they ran."""
    where = Path(os.environ.get("WANDB_DIR", folder)) / "wandb"
    if os.environ.get("WANDB_MODE", "offline") != "offline" or not any(where.glob("offline-run-*")):
        return None
    parent = shlex.quote(str(where)) if where.is_absolute() else shown(where)
    return f"{command('wandb')} sync {parent}/offline-run-*"
