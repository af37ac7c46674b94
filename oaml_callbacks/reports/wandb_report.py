"""A report as a W&B report: its runs' own charts, which go on with them, and what was known when it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import quote, urlsplit

from ..compared.runs import ACCURACY, DISTANCE
from ..durations import duration
from . import markdown, panels, words
from .content import HIGH, LOW, PARSED, SAMPLES, Content, ReportError, RunShown, place_of
from .wandb_access import TIMEOUT, asked, modules, require_account

MAX_TITLE = 128
"""Characters of a title that W&B takes."""
COLOURS = ("#1557c0", "#b3530a", "#0f766e", "#8a3ab9", "#a8275f", "#5b6b13")
"""The runs' colours, as in the page's charts in the light."""

OTHERWISE = "--html OUT writes the same as one page, without W&B."


@dataclass(frozen=True)
class Place:
    """Where a run is at W&B."""

    entity: str
    project: str
    run_id: str


def save_report(content: Content, *, entity: str | None, project: str | None, seconds: float = TIMEOUT) -> str:
    """Make a W&B report, and save it.

    Args:
        content: What it says.
        entity: Whose report it is, and where runs without an address are; the default is the first run's.
        project: Its project; the default is the first run's.
        seconds: How long W&B may take.

    Returns:
        The report's address.

    Raises:
        ReportError: A run isn't at W&B, W&B can't be asked, or doesn't save it.
    """
    if len(content.title) > MAX_TITLE:
        raise ReportError(f"the title has {len(content.title)} characters; W&B takes {MAX_TITLE} at most.")
    require_account(OTHERWISE)
    reports, _, expr = modules()
    places = places_of(content, entity, project)
    first = places[content.runs[0].number]
    own = Place(entity or first.entity, project or first.project, "")

    def save() -> str:
        _check_there(content, places)
        made = make_report(content, places, reports, expr, own)
        made.save()
        return address(made)

    return asked(save, "the report", otherwise=OTHERWISE, seconds=seconds)


def places_of(content: Content, entity: str | None, project: str | None) -> dict[int, Place]:
    """Where each run is, by its number.

    Raises:
        ReportError: Nobody knows of one.
    """
    found = {}
    for shown in content.runs:
        place = place_of(shown.run.url)
        if place is not None:
            found[shown.number] = Place(*place)
        elif entity and project:
            found[shown.number] = Place(entity, project, shown.run.id)
        else:
            raise ReportError(
                f"{shown.name} has no address at W&B: it was trained without it, or offline. Send it with `wandb "
                f"sync` and name where it went (--entity E --project P). {OTHERWISE}"
            )
    return found


def _check_there(content: Content, places: Mapping[int, Place]) -> None:
    """Runs from folders may not have been sent; a chart without them would say nothing of it."""
    import wandb

    api = wandb.Api()
    for shown in content.runs:
        if shown.run.source == "wandb":
            continue
        place = places[shown.number]
        try:
            api.run(f"{place.entity}/{place.project}/{place.run_id}")
        except Exception as error:  # W&B's own of several kinds, or a ValueError
            if "ould not find" not in str(error):
                raise
            raise ReportError(
                f"{shown.name} isn't at W&B ({place.entity}/{place.project}/{place.run_id}). Send it with `wandb "
                f"sync`, or name where it is with --entity and --project. {OTHERWISE}"
            ) from None


def make_report(
    content: Content, places: Mapping[int, Place], reports: ModuleType, expr: ModuleType, own: Place
) -> Any:
    """The report, not saved yet.

    Args:
        content: What it says.
        places: Where its runs are, by their numbers.
        reports: `wandb_workspaces.reports.v2`.
        expr: `wandb_workspaces.expr`.
        own: Its entity and project.
    """
    blocks = [reports.P(content.outcome())]
    if doubt := content.doubt():
        blocks.append(reports.P(doubt))
    if content.notes:
        blocks.append(reports.MarkdownBlock("\n".join(f"- {markdown.plain(note, 500)}" for note in content.notes)))
    blocks += [
        reports.H2("Over the training"),
        reports.PanelGrid(
            runsets=_run_sets(content, places, reports, expr), panels=_panels(content, reports), hide_run_sets=False
        ),
    ]
    for split in content.sets or [content.main]:
        title = "Latest evaluations" if len(content.sets) < 2 else f"Latest evaluations: {split}"
        blocks += [reports.H2(title), reports.MarkdownBlock(_table(content, split))]
    if adapters := _adapters(content):
        blocks += [reports.H2("Best adapters"), reports.MarkdownBlock(adapters)]
    if links := _links(content):
        blocks += [reports.H2("Look closer"), reports.MarkdownBlock(links)]
    blocks.append(reports.MarkdownBlock(f"*The table and the sentences are of {words.day(content.made_at)}.*"))
    return reports.Report(
        entity=own.entity,
        project=own.project,
        title=content.title,
        description=content.outcome(),
        blocks=blocks,
        width="fluid",
    )


def address(report: Any) -> str:
    """A saved report's address. W&B finds it by what follows `--`; in the title nothing may end the path."""
    parts = urlsplit(report.url)
    title = re.sub(r"[^\w-]+", "-", report.title).strip("-") or "report"
    path = "/".join(quote(part, safe="") for part in (report.entity, report.project, "reports"))
    return f"{parts.scheme}://{parts.netloc}/{path}/{quote(title)}--{report.id}"


def _run_sets(content: Content, places: Mapping[int, Place], reports: ModuleType, expr: ModuleType) -> list[Any]:
    """Exactly these runs: a set for each project that has some of them."""
    projects: dict[tuple[str, str], list[RunShown]] = {}
    for shown in content.runs:
        place = places[shown.number]
        projects.setdefault((place.entity, place.project), []).append(shown)
    return [
        reports.Runset(
            entity=entity,
            project=project,
            name="Runs" if len(projects) == 1 else f"{entity}/{project}",
            filters=expr.And(expr.Metric("ID").isin([places[shown.number].run_id for shown in of_project])),
            run_settings={
                places[shown.number].run_id: reports.RunSettings(color=COLOURS[shown.number % len(COLOURS)])
                for shown in of_project
            },
        )
        for (entity, project), of_project in projects.items()
    ]


def _panels(content: Content, reports: ModuleType) -> list[Any]:
    """Two in a row, the accuracy the largest; the grid is 24 wide."""
    alone = len(content.runs) == 1
    made, top = [], 0

    def at(x: int, w: int, h: int = 8) -> Any:
        return reports.Layout(x=x, y=top, w=w, h=h)

    for split in content.sets or ["eval"]:
        prefix = f"{split.removeprefix('eval_')}_" if split != "eval" else ""
        made.append(panels.accuracy(reports, prefix=prefix, alone=alone, layout=at(0, 14)))
        made.append(panels.distance(reports, prefix=prefix, layout=at(14, 10)))
        top += 8
    made += [
        panels.loss(reports, layout=at(0, 8)),
        panels.rate(reports, layout=at(8, 8)),
        panels.against_base(reports, layout=at(16, 8)),
    ]
    top += 8
    made.append(panels.graded_samples(reports, layout=at(0, 24, 12)))
    return made


def _table(content: Content, split: str) -> str:
    head = ["run", "accuracy", "95 % interval", "distance", "readable", "samples", "base model", "best", "training"]
    rows: list[Sequence[str]] = []
    for shown in content.runs:
        one = shown.sets.get(split)
        last, best, base = (one.last, one.best, one.baseline) if one is not None else (None, None, None)
        metrics = last.metrics if last is not None else {}
        other = " (other evaluation set)" if one is not None and one.comparable is False else ""
        rows.append(
            [
                markdown.link(shown.name, shown.run.url) + other,
                words.percent(metrics.get(ACCURACY)) + (f" at {words.whole(last.step)}" if last else ""),
                words.interval(metrics.get(LOW), metrics.get(HIGH)),
                words.decimals(metrics.get(DISTANCE)),
                words.percent(metrics.get(PARSED)),
                words.whole(metrics.get(SAMPLES)),
                words.percent(base.metrics.get(ACCURACY) if base else None),
                f"{words.percent(best.metrics.get(ACCURACY))} at {words.whole(best.step)}" if best else words.NONE,
                f"{markdown.plain(shown.state[0])}, {duration(shown.run.seconds)}",
            ]
        )
    return markdown.table(head, rows)


def _adapters(content: Content) -> str:
    return "\n".join(
        f"- {markdown.plain(shown.name)}: {markdown.code(f'oaml adapter pull {shown.adapter}')}"
        for shown in content.runs
        if shown.adapter
    )


def _links(content: Content) -> str:
    lines, local = [], False
    for shown in content.runs:
        named = [("viewer", shown.run.viewer_url), ("dashboard", shown.run.dashboard_url)]
        there = [markdown.link(name, url) for name, url in named if url]
        local = local or any(url and words.is_local(url) for _, url in named)
        if there:
            lines.append(f"- {markdown.plain(shown.name)}: {' · '.join(there)}")
    if lines and local:
        lines.append("\nLinks to localhost open on the machine where `oaml view` runs.")
    return "\n".join(lines)
