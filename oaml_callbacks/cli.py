"""The `oaml` command: which commands there are. Nothing heavy is imported before one runs."""

from __future__ import annotations

from typing import Annotated

import typer

from . import __version__
from .cli_adapter import app as adapter
from .cli_common import HELP_OPTIONS
from .cli_compare import COMPARE_HELP, compare
from .cli_grounding import app as grounding
from .cli_openadapt_ml import OPENADAPT_ML_TRAIN_HELP, OPENADAPT_ML_TRAIN_SETTINGS, openadapt_ml_train
from .cli_report import REPORT_HELP, WORKSPACE_HELP, report, workspace
from .cli_sweep import app as sweep
from .cli_train import TRAIN_HELP, train
from .cli_view import VIEW_HELP, view

app = typer.Typer(
    name="oaml",
    help="Fine-tune a Qwen-VL LoRA to click on screens, and see in Weights & Biases how well it clicks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the help has [square brackets] that are no markup
    context_settings=HELP_OPTIONS,
)
# In the order in which they are listed, which has groups of commands last.
app.command(help=TRAIN_HELP, no_args_is_help=True, context_settings={"ignore_unknown_options": True})(train)
app.command(help=VIEW_HELP)(view)
app.command(help=COMPARE_HELP, no_args_is_help=True)(compare)
app.command(help=REPORT_HELP, no_args_is_help=True)(report)
app.command(help=WORKSPACE_HELP)(workspace)
app.command(
    "openadapt-ml-train",
    help=OPENADAPT_ML_TRAIN_HELP,
    no_args_is_help=True,
    context_settings=OPENADAPT_ML_TRAIN_SETTINGS,
)(openadapt_ml_train)
app.add_typer(sweep)
app.add_typer(adapter)
app.add_typer(grounding)


@app.callback(invoke_without_command=True)
def oaml(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Take the options that stand before a command."""
    if version:
        typer.echo(f"oaml-callbacks {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command."""
    app()
