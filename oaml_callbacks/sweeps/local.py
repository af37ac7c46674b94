"""`oaml sweep local`: a W&B sweep file searched on this machine, with no server and no account."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import RunConfig, load_config
from ..values import fit_file_name
from .check import MANY_TRIALS
from .metrics import is_in_history
from .pruning import choose_pruner, pruner_name
from .search import Search
from .search_result import SearchResult
from .search_space import SearchSpace, as_override, search_space
from .study import open_study, search_identity, search_lock
from .sweep_file import Sweep, SweepError, grid_size
from .trial import Runner, TrialSettings, oaml_train
from .trial_values import full_name

if TYPE_CHECKING:
    from rich.console import Console


def default_output_dir(sweep: Sweep) -> Path:
    """Where a search is kept unless told otherwise: `training_output/<the sweep's name>`, where `oaml view` looks."""
    return Path("training_output") / fit_file_name(sweep.name or sweep.path.stem)


def run_local(
    sweep: Sweep,
    *,
    trials: int | None = None,
    output_dir: Path | None = None,
    seed: int = 0,
    resume: bool = True,
    wandb: bool = True,
    pruner: str | None = None,
    own: bool = True,
    yes: bool = False,
    runner: Runner = oaml_train,
    console: Console | None = None,
) -> SearchResult:
    """Search: propose with Optuna, and train each proposal in a process of its own, one after another.

    `bayes` is Optuna's TPE, and begins with the training configuration's own values, so that the search knows what
    there was before; `random` draws by W&B's own distributions; `grid` tries all combinations.

    A trial's value is the best of its evaluations, as W&B's own Bayesian search takes it: it is the value of the
    checkpoint that one would keep. A trial that fails doesn't end the search, [`MAX_FAILURES`] in a row do. The search
    can be killed at any moment: called again, it goes on, the interrupted trial from its checkpoint.

    Args:
        sweep: From [`oaml_callbacks.sweeps.sweep_file.read_sweep`]; one that [`check_sweep`] finds nothing wrong with.
        trials: How many there are to be, those that are there already included. Default: the file's `run_cap`, or all
            of a grid.
        output_dir: Where everything goes. Default: [`default_output_dir`].
        seed: What the proposals are drawn by, 0 or more.
        resume: Go on with a search that is there.
        wandb: Track each trial in W&B: offline, unless `WANDB_MODE` says else.
        pruner: `hyperband`, `median` or `none`. Default: as the file says.
        own: Let `bayes` begin with the configuration's own values.
        yes: Start more than [`MANY_TRIALS`] trials, too.
        runner: Which command trains a trial.
        console: Where progress is shown; by default standard error, on a terminal.

    Raises:
        SweepError: The sweep can't be searched here, or the folder has another search.
        ConfigError: The training configuration isn't right.
        SearchFailed: Too many trials failed one after another.
        SearchInterrupted: Ctrl-C or SIGTERM. The running trial was ended gently, and is gone on with next time.
    """
    missing = [name for name in ("optuna", "matplotlib") if find_spec(name) is None]
    if missing:
        raise SweepError('searching without a server needs the package\'s extra: pip install "oaml-callbacks[sweep]"')
    metric = _metric(sweep)
    space = search_space(sweep)
    config = load_config(sweep.config, [*sweep.overrides, *_overrides(space.constants)])
    if not wandb:
        _check_measured(metric, config)
    count = _how_many(sweep, trials, yes=yes)
    chosen = choose_pruner(sweep, pruner)
    folder = output_dir or default_output_dir(sweep)
    with search_lock(folder):
        identity = search_identity(sweep, config, seed=seed, pruner=pruner_name(sweep, pruner), wandb=wandb)
        study = open_study(folder, sweep, identity, pruner=chosen, resume=resume)
        settings = TrialSettings(
            sweep.config, config, tuple(sweep.overrides), sweep.name or sweep.path.stem, wandb, folder
        )
        own_values = space.suggestions(_own_values(space, config)) if own and sweep.method == "bayes" else {}
        search = Search(sweep, metric, space, study, settings, runner=runner, seed=seed, own=own_values)
        search.run(count, console)
        return search.result()


def _metric(sweep: Sweep) -> str:
    """The metric as the history has it; `best/…` is what is taken of `eval/…` anyway.

    Raises:
        SweepError: There is none, or it is known at the end alone.
    """
    if sweep.metric is None:
        raise SweepError(
            f"{sweep.path}: a search needs to know what to improve; add "
            "metric: {name: eval/grounding_accuracy, goal: maximize}"
        )
    metric = f"eval/{sweep.metric.removeprefix('best/')}" if sweep.metric.startswith("best/") else sweep.metric
    if not is_in_history(metric):
        raise SweepError(
            f"{sweep.path}: {metric} isn't logged while a trial trains, and can't be searched by without a server; "
            "use a metric under eval/"
        )
    return metric


def _check_measured(metric: str, config: RunConfig) -> None:
    chosen = config.training.get("metric_for_best_model")
    if "grounding" in metric and chosen is not None and "grounding" not in str(chosen):
        raise SweepError(
            f"without W&B clicks are measured only where training.metric_for_best_model is one of theirs, and it is "
            f"{chosen}. Leave it out, or track the trials (WANDB_MODE=offline needs no account)"
        )


def _how_many(sweep: Sweep, trials: int | None, *, yes: bool) -> int:
    size = grid_size(sweep) if sweep.method == "grid" else None
    given = [count for count in (trials, sweep.run_cap if trials is None else None, size) if count is not None]
    if not given:
        raise SweepError(f"{sweep.path} has no run_cap, so say how many trials there are to be: --trials 12")
    count = min(given)
    if count < 1:
        raise SweepError(f"expected 1 trial or more, found {count}")
    if count > MANY_TRIALS and not yes:
        points = f"the grid of {sweep.path} has {size:,} points, a training each; " if size is not None else ""
        raise SweepError(
            f"{points}{count:,} trials are many. --trials says how many, and --yes starts {count:,} all the same"
        )
    return count


def _overrides(values: Mapping[str, Any]) -> list[str]:
    return [as_override(name, value) for name, value in values.items()]


def _own_values(space: SearchSpace, config: RunConfig) -> dict[str, Any]:
    """What the configuration itself says of what is searched, defaults included."""
    from ..train_setup import DEFAULTS

    found: dict[str, Any] = {}
    given = config.as_given()
    for dimension in space.dimensions:
        section, _, key = full_name(dimension.name).partition(".")
        values = given.get(section)
        if isinstance(values, Mapping) and key in values:
            found[dimension.name] = values[key]
        elif section == "training" and key in DEFAULTS:
            found[dimension.name] = DEFAULTS[key]
        elif section == "training" and (default := _trainers_default(key)) is not None:
            found[dimension.name] = default
    return found


def _trainers_default(key: str) -> Any:
    import dataclasses

    from transformers import TrainingArguments

    defaults = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    value = defaults.get(key)
    return value if isinstance(value, (bool, int, float, str)) else None
