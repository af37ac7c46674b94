"""`oaml adapter …`: argument handling alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .clean_text import one_line
from .cli_common import AsJson, Debug, busy, fail, print_json, sub_app, told_errors, wandb_quiet
from .interrupts import Interrupts

if TYPE_CHECKING:
    from .adapters.adapter_files import AdapterFacts
    from .adapters.pull import Figures, PulledAdapter
    from .adapters.stored import StoredAdapter

ADAPTER_HELP = "Fetch, check and link LoRA adapters."

PULL_HELP = """Fetch an adapter from W&B, check it, and say how it is loaded.

NAME is ENTITY/PROJECT/adapter-RUN:VERSION, as the run's page lists it under Artifacts; a registry's
ORGANISATION/wandb-registry-NAME/COLLECTION:VERSION; a run, ENTITY/PROJECT/RUN, by its id; or the address of one of
these in W&B's pages. Without the version it is `best`, and where there is none the newest.

Nothing is in the folder before all is checked: that each file lies inside it, its size, its digest, that it is a LoRA
adapter in safetensors (a pickle is refused, which runs what it says when it is read), that nothing names code of its
own, and which base model it is for. An interrupted pull leaves nothing behind.

Examples:

\b
  oaml adapter pull acme/clicks/adapter-woyr43ov:best
  oaml adapter pull acme/clicks/woyr43ov --to adapters/buttons
  oaml adapter pull acme/clicks/adapter-woyr43ov:step-300 --base Qwen/Qwen3-VL-2B-Instruct
  oaml adapter pull acme/clicks/woyr43ov --json

Exit codes: 0 pulled; 1 W&B or the way to it failed; 2 no such adapter, one that isn't safe or for another base model,
a folder that isn't free, or no access.
"""

CHECK_HELP = """Check that a folder's adapter is safe to load, and say what it is.

Read are adapter_config.json and the header of adapter_model.safetensors; no weight is loaded, and no code is run. Of a
folder that `oaml adapter pull` has written, the digests are checked too. What lies beside the adapter, such as a
checkpoint's optimizer, is listed and not read.

Examples:

\b
  oaml adapter check adapters/adapter-woyr43ov-v3
  oaml adapter check training_output/demo/checkpoint-300 --json

Exit codes: 0 an adapter; 2 none, a damaged one, or one that isn't safe.
"""

LINK_HELP = """Link an adapter's version to a W&B registry.

SOURCE is what `oaml adapter pull` takes. TARGET is a collection of a registry: ORGANISATION/COLLECTION in W&B's
registry of models, wandb-registry-NAME/COLLECTION, or all three. A training with `registry=` does it by itself at its
end; one that ran offline prints this command, to be typed after its sync.

Examples:

\b
  oaml adapter link acme/clicks/adapter-woyr43ov:best acme/qwen-lora-production
  oaml adapter link acme/clicks/woyr43ov wandb-registry-clicks/production --timeout 60

Exit codes: 0 linked; 1 W&B or the way to it failed; 2 no such version, no such registry, or no access.
"""

MAX_TOLD = 10
"""Files that were left out and are told by name."""

PULL_SECONDS = 600.0
LINK_SECONDS = 30.0

app = sub_app("adapter", ADAPTER_HELP)


@app.command(help=PULL_HELP, no_args_is_help=True)
def pull(  # noqa: PLR0917  # called by typer alone
    name: Annotated[str, typer.Argument(metavar="NAME", help="The adapter, or its run.", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Where to put it.  [default: adapters/NAME-vN]", show_default=False),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="Refuse an adapter for another base model.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier pull has put into DIR, and nothing else.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long all of it may take.")
    ] = PULL_SECONDS,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Fetch an adapter; see `PULL_HELP`."""
    with (
        _told_errors(debug),
        Interrupts() as interrupts,
        interrupts.here(),  # an interrupted pull deletes what it has written
        wandb_quiet(),
        _progress() as begun,
    ):
        from .adapters.pull import pull_adapter

        pulled = pull_adapter(name, to, base=base, overwrite=overwrite, timeout=timeout, begun=begun)
    if as_json:
        print_json(_pulled_values(pulled))
        return
    _tell(pulled)


@app.command(help=CHECK_HELP, no_args_is_help=True)
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The adapter's folder.", show_default=False)],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check an adapter's folder; see `CHECK_HELP`."""
    with told_errors(debug, mistakes=(OSError,)):  # a file that can't be read
        from .adapters.checked import checked_folder

        found = checked_folder(folder)
    if as_json:
        print_json(
            {
                "folder": str(folder),
                **_fact_values(found.facts),
                "files": found.files,
                "beside": list(found.beside),
                "digest": found.digest,
                "source": found.source,
            }
        )
        return
    typer.echo(f"{folder}: {_described(found.facts)}")
    typer.echo(f"{len(found.files)} files, {_size(sum(found.files.values()))}: {', '.join(found.files)}")
    if found.source is not None:
        typer.echo(f"as it was pulled from {found.source}")
    if found.beside:
        more = f" and {len(found.beside) - MAX_TOLD} more" if len(found.beside) > MAX_TOLD else ""
        typer.echo(f"beside it, and no part of it: {', '.join(found.beside[:MAX_TOLD])}{more}")


@app.command(help=LINK_HELP, no_args_is_help=True)
def link(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The version, or its run.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The registry's collection.", show_default=False)],
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long all of it may take.")
    ] = LINK_SECONDS,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Link a version to a registry; see `LINK_HELP`."""
    with _told_errors(debug), wandb_quiet():
        from .adapters.linking import link_adapter

        with busy("asking W&B"):
            linked = link_adapter(source, target, timeout=timeout)
    if as_json:
        print_json({"source": linked.source, "linked": linked.linked})
        return
    typer.echo(f"{linked.source} is linked as {one_line(linked.linked)}")


@contextmanager
def _told_errors(debug: bool) -> Iterator[None]:
    """As [`told_errors`], and a server's failure as a sentence with exit code 1."""
    from .adapters.stored import ServerError

    with told_errors(debug):
        try:
            yield
        except ServerError as error:
            if debug:
                raise
            fail(str(error), 1)


@contextmanager
def _progress() -> Iterator[Callable[[StoredAdapter], Callable[[int], None]]]:
    """A bar on stderr, on a terminal alone, from when the adapter is found."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: lambda _: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        asking = bar.add_task("asking W&B", total=None)

        def begun(stored: StoredAdapter) -> Callable[[int], None]:
            bar.update(asking, description=f"{stored.name}:{stored.version}", total=stored.size, completed=0)
            return lambda count: bar.advance(asking, count)

        yield begun


def _tell(pulled: PulledAdapter) -> None:
    aliases = f" ({', '.join(pulled.aliases)})" if pulled.aliases else ""
    typer.echo(f"{pulled.source}{aliases}: {_described(pulled.facts)}")
    if said := _figures(pulled.figures):
        typer.echo(said)
    if pulled.run_url:
        typer.echo(f"the run: {pulled.run_url}")
    for reason in pulled.left_out[:MAX_TOLD]:
        typer.echo(f"left out: {reason}", err=True)
    if len(pulled.left_out) > MAX_TOLD:
        typer.echo(f"and {len(pulled.left_out) - MAX_TOLD} more files left out", err=True)
    typer.echo(f"{len(pulled.files)} files, {_size(sum(pulled.files.values()))}, checked: {pulled.folder}")
    typer.echo("\nTo load it:\n")
    for line in (*pulled.imports, "", *pulled.load):
        typer.echo(f"    {line}" if line else "")


def _described(facts: AdapterFacts) -> str:
    base = f"for {one_line(facts.base_model)}" if facts.base_model else "for a base model that it doesn't name"
    revision = f" at {one_line(facts.revision)}" if facts.revision else ""
    kind = "LoRA" if facts.peft_type == "LORA" else "AdaLoRA"
    return (
        f"a {kind} adapter, r {facts.r}, alpha {facts.lora_alpha:g}, {facts.parameters:,} parameters in "
        f"{facts.tensors} tensors, {base}{revision}"
    )


def _figures(figures: Figures) -> str:
    said = []
    if figures.accuracy is not None:
        interval = (
            f" (95 % interval {figures.low:.1%} to {figures.high:.1%})"
            if figures.low is not None and figures.high is not None
            else ""
        )
        samples = f" of {figures.samples:,} clicks" if figures.samples is not None else ""
        said.append(f"accuracy {figures.accuracy:.1%}{samples}{interval}")
    if figures.baseline is not None:
        said.append(f"base model {figures.baseline:.1%}")
    if figures.step is not None:
        said.append(f"step {figures.step:,}")
    return ", ".join(said)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.1f} KB"


def _fact_values(facts: AdapterFacts) -> dict[str, Any]:
    target = facts.target_modules
    return {
        "base_model": facts.base_model,
        "revision": facts.revision,
        "peft_type": facts.peft_type,
        "r": facts.r,
        "lora_alpha": facts.lora_alpha,
        "target_modules": list(target) if isinstance(target, tuple) else target,
        "tensors": facts.tensors,
        "parameters": facts.parameters,
        "weights_bytes": facts.bytes,
    }


def _pulled_values(pulled: PulledAdapter) -> dict[str, Any]:
    figures = pulled.figures
    return {
        "folder": str(pulled.folder),
        "source": pulled.source,
        "aliases": list(pulled.aliases),
        **_fact_values(pulled.facts),
        "base_model": pulled.base_model,
        "revision": pulled.revision,
        "grounding_accuracy": figures.accuracy,
        "grounding_accuracy_low": figures.low,
        "grounding_accuracy_high": figures.high,
        "grounding_samples": figures.samples,
        "grounding_distance": figures.distance,
        "baseline_grounding_accuracy": figures.baseline,
        "step": figures.step,
        "run_url": pulled.run_url,
        "files": dict(pulled.files),
        "left_out": list(pulled.left_out),
        "digest": pulled.digest,
        "imports": pulled.imports,
        "load": pulled.load,
    }
