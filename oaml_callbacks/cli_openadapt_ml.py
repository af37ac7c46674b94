"""`oaml openadapt-ml-train`: argument handling alone."""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from .cli_common import HELP_OPTIONS, AsJson, Debug, log_to_stderr, print_json, told_errors

OPENADAPT_ML_TRAIN_HELP = """Run openadapt-ml's training command, tracked in W&B.

This is `python -m openadapt_ml.scripts.train` of openadapt-ml 0.17, with all its options as they are: --config
(required), --jsonl, --capture, --goal, --demo-dir, --captures-dir, --mapping, --output-dir, --no-unsloth, --open. It
runs on today's transformers here, and without torchvision. What is added are the options below.

Without --eval-jsonl it has nothing to evaluate on, and the run has its losses alone.

Examples:

\b
  oaml openadapt-ml-train --config qwen3vl.yaml --jsonl train.jsonl --wandb --eval-jsonl eval.jsonl
  oaml openadapt-ml-train --config qwen3vl.yaml --capture recording --goal "Log in" --wandb-project clicks
  WANDB_MODE=offline oaml openadapt-ml-train --config synthetic.yaml --no-unsloth --wandb

It needs both packages, and --capture needs openadapt-capture:

\b
  pip install "openadapt-ml[training]==0.17.*" "oaml-callbacks[wandb,trl]"

Exit codes: 0 trained; 1 failed; 2 a mistake in the arguments, the configuration or the data; 130 interrupted.
"""
OPENADAPT_ML_TRAIN_SETTINGS = {**HELP_OPTIONS, "ignore_unknown_options": True}


def openadapt_ml_train(  # noqa: PLR0917  # called by typer alone
    arguments: Annotated[
        list[str], typer.Argument(metavar="OPENADAPT-ML-OPTIONS", help="Its own options, --config at least.")
    ],
    wandb: Annotated[bool, typer.Option("--wandb", help="Track the run in Weights & Biases.")] = False,
    wandb_project: Annotated[
        str | None, typer.Option("--wandb-project", metavar="P", help="The W&B project; switches --wandb on.")
    ] = None,
    eval_jsonl: Annotated[
        Path | None,
        typer.Option("--eval-jsonl", metavar="FILE", help="Rows in SFT form to evaluate on, boxes in `bbox`."),
    ] = None,
    eval_steps: Annotated[
        int | None, typer.Option("--eval-steps", min=1, metavar="N", help="Evaluate every N steps, not each epoch.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train; see `OPENADAPT_ML_TRAIN_HELP`."""
    with told_errors(debug, failed="the training failed"), ExitStack() as stack:
        log_to_stderr()
        from .openadapt_ml import OpenAdaptMLError
        from .openadapt_ml_command import run_train_script

        tracked = wandb or wandb_project is not None
        if not tracked and (eval_jsonl is not None or eval_steps is not None):
            raise OpenAdaptMLError("--eval-jsonl and --eval-steps are of use with --wandb alone: add it.")
        callback = None
        if tracked:
            from .callback import OpenAdaptWandbCallback

            callback = OpenAdaptWandbCallback(project=wandb_project)
        if as_json:  # it prints its progress there
            stack.enter_context(redirect_stdout(sys.stderr))
        try:
            trainings = run_train_script(arguments, callback, eval_dataset=eval_jsonl, eval_steps=eval_steps)
        except SystemExit as exit_:  # its own parser has said what is wrong
            raise typer.Exit(exit_.code if isinstance(exit_.code, int) else 2) from None
        finally:
            if callback is not None:
                callback.close()
        stack.close()
        adapter = Path(trainings.checkpoints[-1])
        if callback is None:
            if as_json:
                print_json({"adapter": str(adapter.absolute())})
            return
        from rich.console import Console

        from .train import training_result
        from .train_summary import print_summary, result_as_json

        result = training_result(trainings.states[-1], callback, adapter)
        if as_json:
            print_json(result_as_json(result))
        else:
            print_summary(result, Console())
