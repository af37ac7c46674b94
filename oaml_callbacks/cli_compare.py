"""`oaml compare`: argument handling alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_common import AsJson, Debug, busy, print_json, told_errors, wandb_quiet

COMPARE_HELP = """Say which of several runs clicks better, and how sure.

RUN is a run folder; the id, the name or the beginning of the id of a run below training_output; or a W&B run as
entity/project/run_id, or its address. Each run is held against the first. The difference of two accuracies has a 95 %
interval and McNemar's exact p, which ask of the samples that one run alone has right whether there are more of them
than chance would give.

Examples:

\b
  oaml compare 3f9a k2p7                         two runs, by the beginnings of their ids
  oaml compare lora-8 lora-32 lora-64 --groups   by name; three of them, also by group
  oaml compare runs/a team/clicks/x1y2z3 --at last
  oaml compare a b --html comparison.html        with the screenshots on which they differ
  oaml compare a b --json | jq '.pairs[0].p'

Runs that were evaluated on different samples, or by different rules, are refused, and what differs is told. --common
compares them on the samples that all have.

Exit codes: 0 compared, whatever came of it; 1 failed; 2 a mistake in the arguments, a run that isn't there or can't be
read, or evaluation sets that differ.
"""


def compare(  # noqa: PLR0917  # called by typer alone
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="The runs; the first is what they are held against.")
    ],
    at: Annotated[
        str, typer.Option("--at", metavar="WHICH", help="Which evaluation of each: best, last, base, or a step.")
    ] = "best",
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="NAME", help="The evaluation set, where there are several.", show_default=False
        ),
    ] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Where the sets differ, compare on the samples that all have.")
    ] = False,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Hold each run against each other.")] = False,
    groups: Annotated[bool, typer.Option("--groups", help="Show each group of samples.")] = False,
    flips: Annotated[
        int, typer.Option("--flips", min=0, metavar="N", help="Samples shown that one run alone has right.")
    ] = 5,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="OUT", help="Write a page with the flips and their pictures.")
    ] = None,
    runs_dir: Annotated[
        Path | None,
        typer.Option("--runs-dir", metavar="DIR", help="Where the run folders are.", show_default=False),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="S", help="Seconds that W&B may take for each answer.")
    ] = 20,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compare runs; see `COMPARE_HELP`."""
    with told_errors(debug), wandb_quiet():
        from .compared.comparison import compare_runs
        from .compared.runs import read_runs

        with busy("Reading the runs"):
            read = read_runs(runs, runs_dir=runs_dir, wandb_timeout=timeout)
            found = compare_runs(read, at=at, split=split, common=common, all_pairs=all_pairs)
        if html is not None:
            from .compared.page import write_page

            written = write_page(found, html)
            typer.echo(f"{html}: {written}", err=True)
        if as_json:
            from .compared.as_json import comparison_as_json

            print_json(comparison_as_json(found))
        else:
            from rich.console import Console

            from .compared.table import print_comparison

            print_comparison(found, Console(emoji=False), flips=flips, groups=groups)
