"""`oaml report` and `oaml workspace`: argument handling alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_common import AsJson, Debug, busy, fail, print_json, told_errors, wandb_quiet

if TYPE_CHECKING:
    from .reports.content import Content

REPORT_HELP = """Show runs to others: a W&B report, or a page (--html).

A RUN is a run folder (training_output/RUN_ID), the id, the name or the beginning of the id of a run below
training_output, entity/project/run_id, or the address of a run at W&B. The report has what came out, in a sentence;
the curves of accuracy, distance, loss and learning rate; the table of latest evaluations; the best adapters; and links
to the viewers. Runs that were evaluated on other samples are marked, and not ranked with the rest.

With --html OUT it is one HTML file: no account, no network; it opens from a disk, prints, and can be embedded.
Without, it is a W&B report of these runs (needs an account, and `pip install "oaml-callbacks[report]"`). The line that
embeds it in a page is printed, too.

Examples:

\b
  oaml report woyr43ov --title "The demo" --html report.html
  oaml report lora-8 lora-32 lora-64 --title "LoRA ranks" --html report.html --samples 6
  oaml report acme/clicks/woyr43ov acme/clicks/a1b2c3d4 --title "LoRA ranks"
  oaml report woyr43ov --title "The demo" --entity acme --project clicks

Exit codes: 0 written; 1 failed; 2 a mistake in the arguments, a run that isn't there, or W&B can't be asked.
"""

WORKSPACE_HELP = """Save a W&B workspace laid out for grounding.

Accuracy, distance, best evaluation against the base model, readable answers, how the misses miss, what was fixed and
broken, the graded samples, loss and learning rate; all over optimizer steps. In the list of runs the best accuracy,
the base model's, and the links that open a run stand first. Each call saves a new view; nothing that is there is
changed.

Examples:

\b
  oaml workspace --project clicks --entity acme
  oaml workspace --project clicks --name "Clicks on phones"
  oaml workspace --project clicks --dry-run          print what would be saved; no account, no network

Exit codes: 0 saved; 1 failed; 2 a mistake in the arguments, no such project, or W&B can't be asked.
"""

IFRAME = '<iframe src="{address}" style="border:none;height:1024px;width:100%"></iframe>'
"""W&B's own way to embed a report."""

Entity = Annotated[
    str | None,
    typer.Option("--entity", metavar="E", help="The W&B entity: a user or a team.", show_default=False),
]


def report(  # noqa: PLR0917  # called by typer alone
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="The runs.", show_default=False)],
    title: Annotated[str, typer.Option("--title", metavar="T", help="The report's title.", show_default=False)],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="OUT", help="Write one HTML page to OUT instead.")
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=0, max=60, help="With --html: answers of the best run shown.")
    ] = 12,
    runs_dir: Annotated[
        Path | None,
        typer.Option("--runs-dir", metavar="DIR", help="Where runs are looked for by id or name.", show_default=False),
    ] = None,
    entity: Entity = None,
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="P", help="The report's W&B project.  [default: the first run's]"),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a report; see `REPORT_HELP`."""
    with told_errors(debug):
        from .compared.runs import read_runs
        from .reports.content import content

        if html is None and samples != 12:
            fail("--samples goes with --html: a W&B report shows the runs' own tables.")
        with wandb_quiet():
            with busy("Reading the runs"):
                found = content(read_runs(runs, runs_dir=runs_dir), title=title, now=time.time())
            with busy("Writing the report"):
                written = _page(found, html, samples) if html is not None else _saved(found, entity, project)
        if as_json:
            print_json({**written, **_told(found)})
            return
        typer.echo(f"{found.outcome()} {found.doubt()}".rstrip())
        typer.echo(f"\n{written.get('html') or written['url']}\n\nTo embed it in a page:\n{written['iframe']}")


def _page(found: Content, out: Path, samples: int) -> dict[str, Any]:
    from .reports.html_report import html_report
    from .reports.one_page import esc, write_one_page

    size = write_one_page(html_report(found, samples=samples), out)
    return {"html": str(out), "bytes": size, "iframe": IFRAME.format(address=esc(out.name))}


def _saved(found: Content, entity: str | None, project: str | None) -> dict[str, Any]:
    from .reports.wandb_report import save_report

    url = save_report(found, entity=entity, project=project)
    return {"url": url, "iframe": IFRAME.format(address=url)}


def _told(found: Content) -> dict[str, Any]:
    best = found.best_evaluation
    return {
        "outcome": found.outcome(),
        "doubt": found.doubt(),
        "runs": [shown.run.id for shown in found.runs],
        "best": None
        if found.best is None or best is None
        else {"run": found.best.run.id, "step": best.step, **best.metrics},
        "notes": list(found.notes),
    }


def workspace(  # noqa: PLR0917  # called by typer alone
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="P", envvar="WANDB_PROJECT", help="The W&B project.", show_default=False),
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(
            "--entity",
            metavar="E",
            envvar="WANDB_ENTITY",
            help="The W&B entity: a user or a team.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="N", help="What the workspace is called.")] = "Grounding",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be saved, as JSON, and save nothing.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Save a workspace; see `WORKSPACE_HELP`."""
    with told_errors(debug):
        from .reports.workspace import Where, save_workspace, workspace_spec

        if not project:
            fail("which project? --project P, or WANDB_PROJECT, names one.")
        where = Where(entity or "", project)
        with wandb_quiet():
            if dry_run:
                print_json(workspace_spec(where, name=name))
                return
            with busy("Saving the workspace"):
                url = save_workspace(where, name=name)
        if as_json:
            print_json({"url": url, "name": name})
        else:
            typer.echo(url)
