"""`oaml sweep`: argument handling alone. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import shlex
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_common import AsJson, Debug, busy, fail, log_to_stderr, print_json, sub_app, told_errors

if TYPE_CHECKING:
    from .sweeps.check import Checked
    from .sweeps.server import ServerSweep

app = sub_app("sweep", "Search for a better configuration.")

_MAKE_HELP = """Write a W&B sweep file around a training configuration.

Searched are the learning rate, the adapter's rank, alpha and dropout, the batch and the length of the training, each
around the configuration's own value; --param adds a parameter or replaces one, --drop leaves one out. Bad trials are
stopped early by Hyperband. The file's comments say why; change it as you like, and check it.

KEY=VALUE becomes part of the command that each trial runs, as in `oaml train`.

Examples:

\b
  oaml sweep make configs/demo.yaml                    writes sweep.yaml
  oaml sweep make run.yaml -o rank.yaml --method grid --param lora.r=4,8,16 --param training.learning_rate=1e-4,3e-4
  oaml sweep make run.yaml --param training.weight_decay=0..0.1 --drop lora.lora_dropout --run-cap 50
  oaml sweep make run.yaml data.train=train.jsonl data.eval=eval.jsonl

Exit codes: 0 written; 2 a mistake in the arguments or the configuration, or the file is there already.
"""
_CHECK_HELP = """Find what is wrong with a sweep file, all at once, with the lines.

It is held against W&B's own schema; against what that lets through, such as a range upside down, a grid without end or
a metric that nobody logs; and against the training configuration that its command names.

Examples:

\b
  oaml sweep check sweep.yaml
  oaml sweep check sweep.yaml --json

Exit codes: 0 nothing wrong; 1 faults found; 2 the file can't be read.
"""
_START_HELP = """Hand a sweep file to W&B. Trials run where agents are started: `oaml sweep agent ID`.

Examples:

\b
  oaml sweep start sweep.yaml
  oaml sweep start sweep.yaml --project clicks --entity my-team

Exit codes: 0 started; 2 a mistake in the arguments or the file, or W&B doesn't take it; 130 interrupted.
"""
_AGENT_HELP = """Run a sweep's trials on this machine: one agent a GPU.

To be started in the folder that the sweep's configuration is relative to. Each trial has a folder of its own,
<training.output_dir>/<sweep id>/<run id>. Ctrl-C or SIGTERM ends the running trial after its step, with a checkpoint,
and says how to go on with it; a second one ends it at once.

Examples:

\b
  oaml sweep agent my-team/clicks/abc12345
  CUDA_VISIBLE_DEVICES=1 oaml sweep agent my-team/clicks/abc12345 --count 4
  sbatch --array=1-8 --gpus=1 --wrap "exec oaml sweep agent my-team/clicks/abc12345"

Exit codes: 0 the sweep or --count is done; 1 W&B's agent gave up; 2 a mistake, the sweep can't be had, or the GPU is
taken; 130 interrupted.
"""
_LOCAL_HELP = """Search without a server and without an account.

Trials are proposed by Optuna and run one after another on this machine, each tracked by W&B offline. Killed, the same
command goes on.

Examples:

\b
  oaml sweep local sweep.yaml --trials 12
  oaml sweep local sweep.yaml --trials 20 --pruner median --no-wandb

Exit codes: 0 done; 1 no trial succeeded; 2 a mistake in the arguments or the file; 130 interrupted.
"""


class Method(str, Enum):
    """How trials are proposed."""

    bayes = "bayes"
    random = "random"
    grid = "grid"


class Goal(str, Enum):
    """Whether more or less of the metric is better."""

    maximize = "maximize"
    minimize = "minimize"


class Pruner(str, Enum):
    """How trials are stopped early."""

    hyperband = "hyperband"
    median = "median"
    none = "none"


_File = Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Start a grid of more than 1000 trials, too.")]
_Project = Annotated[str | None, typer.Option("--project", "-p", metavar="P", help="The W&B project.")]
_Entity = Annotated[str | None, typer.Option("--entity", "-e", metavar="E", help="The W&B account or team.")]


@app.command(help=_MAKE_HELP, no_args_is_help=True)
def make(  # noqa: PLR0917  # called by typer alone
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The training configuration.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="What each trial changes of it; such a key isn't searched."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - for the terminal.")
    ] = Path("sweep.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    method: Annotated[Method, typer.Option("--method", help="How trials are proposed.")] = Method.bayes,
    metric: Annotated[str, typer.Option("--metric", metavar="KEY", help="What decides.")] = "eval/grounding_accuracy",
    goal: Annotated[Goal | None, typer.Option("--goal", help="Default: what suits the metric.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY=VALUES", help="Search this: values 4,8,16 or a range 1e-5..1e-3."),
    ] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", metavar="KEY", help="Don't search this.")] = None,
    early_stop: Annotated[
        bool, typer.Option("--early-stop/--no-early-stop", help="Stop bad trials early, by Hyperband.")
    ] = True,
    run_cap: Annotated[int | None, typer.Option("--run-cap", metavar="N", min=1, help="Trials at most.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What W&B shows. Default: <configuration>-sweep.")] = None,
    debug: Debug = False,
) -> None:
    """Write a sweep file; see `_MAKE_HELP`."""
    with told_errors(debug):
        from .sweeps.make import SweepOptions, make_sweep, write_sweep

        parameters = {}
        for given in param or []:
            key, has_values, values = given.partition("=")
            if not has_values or not key.strip() or not values.strip():
                fail(
                    f"--param {given}: expected KEY=VALUES, such as lora.r=4,8,16 or training.learning_rate=1e-5..1e-3"
                )
            parameters[key.strip()] = values
        options = SweepOptions(
            method=method.value,
            metric=metric,
            goal=goal.value if goal is not None else None,
            parameters=parameters,
            dropped=drop or [],
            early_stop=early_stop,
            run_cap=run_cap,
            name=name,
        )
        text = make_sweep(config, overrides or [], options)
        if str(output) == "-":
            typer.echo(text, nl=False)
            return
        write_sweep(output, text, overwrite=overwrite)
        typer.echo(f"{output} is written. What is searched, and why, stands in it. Then:\n")
        for command in ("check", "start"):
            typer.echo(f"  oaml sweep {command} {shlex.quote(str(output))}")
        typer.echo(f"  oaml sweep local {shlex.quote(str(output))} --trials 12      without a server")


@app.command(help=_CHECK_HELP, no_args_is_help=True)
def check(file: _File, as_json: AsJson = False, debug: Debug = False) -> None:
    """Check a sweep file; see `_CHECK_HELP`."""
    with told_errors(debug):
        checked = _looked_at(file)
        many = checked.many
        if as_json:
            print_json(_as_json(checked))
        elif checked.faults:
            typer.echo(checked.told())
        elif many is None:
            typer.echo(f"{file}: nothing wrong. {_described(checked)}")
        if many is not None and not as_json:
            typer.echo(f"{file}: {many}")
        if checked.faults or many:
            raise typer.Exit(1)


@app.command(help=_START_HELP, no_args_is_help=True)
def start(  # noqa: PLR0917  # called by typer alone
    file: _File,
    project: _Project = None,
    entity: _Entity = None,
    yes: _Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Start a sweep; see `_START_HELP`."""
    with told_errors(debug):
        checked = _checked(file, yes=yes)
        from .sweeps.server import create_sweep

        with busy("W&B takes the sweep"):
            made = create_sweep(checked.sweep, project=project, entity=entity)
        if as_json:
            print_json({**_shown(made), "trials": checked.trials})
        else:
            _print_started(made, checked)


@app.command(help=_AGENT_HELP, no_args_is_help=True)
def agent(  # noqa: PLR0917  # called by typer alone
    sweep: Annotated[str, typer.Argument(metavar="ID", help="The sweep: its id, its path or its page's address.")],
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="Trials at most.")] = None,
    share_gpu: Annotated[bool, typer.Option("--share-gpu", help="Run beside another agent on the same GPU.")] = False,
    project: _Project = None,
    entity: _Entity = None,
    debug: Debug = False,
) -> None:
    """Run a sweep's trials; see `_AGENT_HELP`."""
    with told_errors(debug):
        from .sweeps.agent import check_here, run_agent, state_after
        from .sweeps.server import find_sweep

        with busy("W&B is asked for the sweep"):
            found = find_sweep(sweep, project=project, entity=entity)
        check_here(found)
        if found.state == "PAUSED":
            typer.echo("The sweep is paused at W&B: the agent waits until it goes on.", err=True)
        result = run_agent(
            found, count=count, share_gpu=share_gpu, tell=lambda text: typer.echo(f"\n{text}", err=True)
        )
        go_on = f"To run more of its trials:\n\n  {_agent_command(found)}\n"
        if result.interrupted:
            fail(f"The agent has ended; how its trial is gone on with stands above. {go_on}", 130)
        if result.exit_code:
            fail(f"W&B's agent ended with {result.exit_code}; why, stands above. Checkpoints are kept. {go_on}", 1)
        state = state_after(found)
        if count is None and state in ("RUNNING", "PENDING"):
            fail(f"W&B's agent gave up, though the sweep goes on; why, stands above. {go_on}", 1)
        typer.echo(f"Done: the sweep {found.path} is {(state or 'not to be asked now').lower()}. {found.url or ''}")


@app.command(help=_LOCAL_HELP, no_args_is_help=True)
def local(  # noqa: PLR0917  # called by typer alone
    file: _File,
    trials: Annotated[
        int | None, typer.Option("--trials", "-n", metavar="N", min=1, help="Trials. Default: the file's run_cap.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="What the proposals are drawn by.")] = 0,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", metavar="DIR", help="Where the trials and the result go.")
    ] = None,
    pruner: Annotated[
        Pruner | None, typer.Option("--pruner", help="How trials are stopped early. Default: as the file says.")
    ] = None,
    wandb: Annotated[bool, typer.Option("--wandb/--no-wandb", help="Track each trial with W&B, offline.")] = True,
    yes: _Yes = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Search without a server; see `_LOCAL_HELP`."""
    with told_errors(debug, failed="the search failed"):
        log_to_stderr()
        checked = _checked(file, yes=yes or trials is not None)
        import sys

        from .sweeps.local import run_local
        from .sweeps.search import SearchFailed, SearchInterrupted
        from .sweeps.summary import print_search, search_as_json

        try:
            with redirect_stdout(sys.stderr if as_json else sys.stdout):
                result = run_local(
                    checked.sweep,
                    trials=trials,
                    output_dir=output_dir,
                    seed=seed,
                    wandb=wandb,
                    pruner=pruner.value if pruner is not None else None,
                    yes=yes,
                )
        except SearchInterrupted as interrupt:
            fail(str(interrupt), 130)
        except SearchFailed as error:
            fail(str(error), 1)
        if as_json:
            print_json(search_as_json(result))
        else:
            from rich.console import Console

            print_search(result, Console())
        if result.best is None:
            raise typer.Exit(1)


def _checked(file: Path, *, yes: bool) -> Checked:
    """A sweep file that is ready to be started.

    Raises:
        SweepError: It isn't: all that is wrong.
    """
    from .sweeps.sweep_file import SweepError

    checked = _looked_at(file)
    if checked.faults:
        raise SweepError(checked.told(), checked.faults)
    if checked.many and not yes:
        raise SweepError(f"{file}: {checked.many}")
    return checked


def _looked_at(file: Path) -> Checked:
    with busy(f"checking {file}"):
        from .sweeps.check import check_sweep

        return check_sweep(file)


def _described(checked: Checked) -> str:
    sweep = checked.sweep
    count = len(sweep.parameters)
    ends = f"{checked.trials:,} trials" if checked.trials is not None else "no end by itself"
    over = f"{count} parameter{'s' if count != 1 else ''}"
    return f"{sweep.method} search over {over} that {sweep.goal}s {sweep.metric}; {ends}."


def _as_json(checked: Checked) -> dict[str, Any]:
    return {
        "file": str(checked.sweep.path),
        "faults": [{"line": fault.line or None, "key": fault.key, "what": fault.what} for fault in checked.faults],
        "trials": checked.trials,
        "needs_yes": checked.many is not None,
        "method": checked.sweep.method or None,
        "metric": checked.sweep.metric,
        "parameters": [parameter.name for parameter in checked.sweep.parameters],
    }


def _shown(made: ServerSweep) -> dict[str, Any]:
    return {
        "id": made.id,
        "sweep": made.path,
        "url": made.url,
        "agent_command": _agent_command(made),
        "slurm_command": _slurm(made),
    }


def _agent_command(sweep: ServerSweep) -> str:
    return shlex.join(["oaml", "sweep", "agent", sweep.path])


def _slurm(made: ServerSweep) -> str:
    # TERM goes to the shell alone, which the agent has replaced, two minutes before the time is over.
    return f'sbatch --array=1-8 --gpus=1 --signal=B:TERM@120 --wrap "exec {_agent_command(made)}"'


def _print_started(made: ServerSweep, checked: Checked) -> None:
    shown = _shown(made)
    typer.echo(f"Sweep {made.path}: {_described(checked)}")
    if made.url is not None:
        typer.echo(f"  {made.url}")
    typer.echo("\nOn each machine, once for each GPU, in this folder's place there:\n")
    typer.echo(f"  {shown['agent_command']}")
    typer.echo("\nEight agents with Slurm, each with a GPU of its own:\n")
    typer.echo(f"  {shown['slurm_command']}")
