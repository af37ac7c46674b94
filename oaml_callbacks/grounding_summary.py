"""What `oaml grounding` prints: findings of a check, and the metrics of a file of answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from .grounding.check import Finding
    from .grounding.metrics import GradedSample
    from .grounding.score import Scored

SHOWN_MISSES = 5
"""Wrong answers that are printed; `--rows` writes all of them."""
SHOWN_IDS = 5
"""Ids that are printed of samples without an answer, or of answers without a sample."""
ANSWER_LENGTH = 100
"""Characters that are printed of an answer."""


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print what each check found, the samples it names, and last a table of all checks."""
    from rich.table import Table

    for finding in findings:
        if finding.verdict in ("problem", "note") and finding.named:
            _print(console, f"{finding.what}:")
            for place in finding.named:
                _print(console, f"  {place}")
            _print(console, "")
    table = Table("checked", "", "found", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row(finding.what, _VERDICTS[finding.verdict], _escaped(finding.said))
    console.print(table)


_VERDICTS = {
    "fine": "[green]fine[/]",
    "note": "[yellow]note[/]",
    "problem": "[bold red]problem[/]",
    "not checked": "[dim]not checked[/]",
}


def print_score(scored: Scored, explanation: str | None, console: Console) -> None:
    """Print the metrics with their interval, the groups, how answers fail, the first wrong ones, and what explains."""
    from rich.table import Table

    metrics = scored.report.metrics
    total = int(metrics[keys.GROUNDING_SAMPLES])
    misses = [row for row in scored.report.rows if not row.correct]
    for row in misses[:SHOWN_MISSES]:
        _print(console, _miss(row))
    if len(misses) > SHOWN_MISSES:
        _print(console, f"… and {len(misses) - SHOWN_MISSES} more misses")
    if misses:
        _print(console, "")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    low, high = metrics[keys.GROUNDING_ACCURACY_LOW], metrics[keys.GROUNDING_ACCURACY_HIGH]
    table.add_row(
        "accuracy",
        f"{metrics[keys.GROUNDING_ACCURACY]:.4f}",
        f"{int(metrics[keys.GROUNDING_CORRECT])} of {total}; 95 % interval {low:.4f} to {high:.4f}",
    )
    if keys.GROUNDING_ACCURACY_MACRO in metrics:
        cells = " x ".join(scored.report.macro)
        table.add_row("macro average", f"{metrics[keys.GROUNDING_ACCURACY_MACRO]:.4f}", f"over the cells of {cells}")
    distance = metrics[keys.GROUNDING_DISTANCE]
    if math.isfinite(distance):
        table.add_row("distance", f"{distance:.4f}", "mean over readable clicks, in shares of the screen")
    table.add_row("readable", f"{metrics[keys.GROUNDING_PARSED]:.4f}", "")
    group = f"{keys.GROUNDING_ACCURACY}/"
    for name, value in metrics.items():
        if name.startswith(group):
            table.add_row(f"  {_escaped(name.removeprefix(group))}", f"{value:.4f}", "")
    for outcome, count in scored.report.outcomes.items():
        if count and outcome != "correct":
            table.add_row(outcome.replace("_", " "), str(count), _OUTCOMES[outcome])
    console.print(table)
    if explanation is not None:
        _print(console, f"\n{explanation}\n")
    _print_ids(console, "samples without an answer, which count as unreadable", scored.missing)
    _print_ids(console, "answers to no sample, which count for nothing", scored.unknown)
    if scored.report.skipped:
        _print(console, f"broken rows among the samples, which were left out: {scored.report.skipped}")


_OUTCOMES = {
    "unreadable": "no action could be read",
    "near": "within one size of the target beside it",
    "wrong_side": "on another half of the screen",
    "elsewhere": "farther than that, on the same half",
    "no_place": "no place where one was asked for, or a click where refusing was right",
}


def _miss(row: GradedSample) -> str:
    answer = " ".join(row.answer.split())
    if len(answer) > ANSWER_LENGTH:
        answer = answer[:ANSWER_LENGTH] + "…"
    where = f" at ({row.action.point[0]:.3f}, {row.action.point[1]:.3f})" if row.action.point else ""
    return f"{row.sample.id}: {row.outcome.replace('_', ' ')}{where}: {answer or 'no answer'}"


def _print_ids(console: Console, what: str, ids: Sequence[str]) -> None:
    if ids:
        more = ", …" if len(ids) > SHOWN_IDS else ""
        _print(console, f"{what}: {len(ids)} ({', '.join(ids[:SHOWN_IDS])}{more})")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _print(console: Console, text: str) -> None:
    # Ids and paths are to be copied: no line breaks in them, no colours, no markup.
    console.print(text, soft_wrap=True, highlight=False, markup=False)
