"""W&B's panels for grounding, as a report and a workspace have them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ..keys import STEP_KEY
from .curves import LOSS, RATE

MAX_RUNS = 100
"""Runs that W&B is asked to draw in one panel."""

TABLE = "eval/grounding_table"

MISSES = tuple(f"eval/grounding_misses/{name}" for name in ("near", "wrong_side", "elsewhere", "unreadable"))
CHANGES = ("eval/grounding_fixed", "eval/grounding_broken")
AGAINST_BASE = ("best/grounding_accuracy", "baseline/grounding_accuracy")


def accuracy(reports: ModuleType, *, prefix: str = "", alone: bool = False, **options: Any) -> Any:
    """The accuracy of an evaluation set; of a run alone its interval, too.

    Args:
        reports: `wandb_workspaces.reports.v2`.
        prefix: `web_` of a set named `web`.
        alone: Whether it is for one run.
        options: The panel's: `layout`, …
    """
    metric = f"eval/{prefix}grounding_accuracy"
    title = "Grounding accuracy" + (f" ({prefix.removesuffix('_')})" if prefix else "")
    keys = [metric, f"{metric}_low", f"{metric}_high"] if alone else [metric]
    return _line(reports, title, keys, "share of the samples", **options)


def distance(reports: ModuleType, *, prefix: str = "", **options: Any) -> Any:
    """The distance of an evaluation set; arguments as for [`accuracy`]."""
    title = "Distance from the target" + (f" ({prefix.removesuffix('_')})" if prefix else "")
    return _line(reports, title, [f"eval/{prefix}grounding_distance"], "share of the screen", **options)


def loss(reports: ModuleType, **options: Any) -> Any:
    """The training's loss."""
    return _line(reports, "Training loss", [LOSS], None, **options)


def rate(reports: ModuleType, **options: Any) -> Any:
    """The learning rate."""
    return _line(reports, "Learning rate", [RATE], None, **options)


def graded_samples(reports: ModuleType, **options: Any) -> Any:
    """The last evaluation's graded samples, with target and click drawn."""
    return reports.WeavePanelSummaryTable(table_name=TABLE, **options)


def against_base(reports: ModuleType, **options: Any) -> Any:
    """The best evaluation beside the base model's."""
    return reports.BarPlot(
        title="Best evaluation and base model", metrics=list(AGAINST_BASE), max_runs_to_show=MAX_RUNS, **options
    )


def others(reports: ModuleType) -> Sequence[Any]:
    """The panels that a workspace has beyond a report's: readable answers, how misses miss, what changed."""
    return (
        _line(reports, "Readable answers", ["eval/grounding_parsed"], "share of the samples"),
        _line(reports, "How the misses miss", MISSES, "samples"),
        _line(reports, "Fixed and broken", CHANGES, "samples"),
    )


def evaluation_loss(reports: ModuleType) -> Any:
    """The evaluations' loss."""
    return _line(reports, "Evaluation loss", ["eval/loss"], None)


def gradients(reports: ModuleType) -> Any:
    """The gradients' norm."""
    return _line(reports, "Gradient norm", ["train/grad_norm"], None)


def _line(reports: ModuleType, title: str, keys: Sequence[str], unit: str | None, **options: Any) -> Any:
    return reports.LinePlot(
        title=title,
        x=STEP_KEY,
        y=list(keys),
        title_x="optimizer step",
        title_y=unit,
        max_runs_to_show=MAX_RUNS,
        **options,
    )
