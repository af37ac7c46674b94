"""The study of a search: what was tried, in a SQLite file, and what is tried next."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ..clean_text import cut, error_text
from ..config import RunConfig
from ..values import plain, shown
from .guard import take_lock
from .search_space import SearchSpace
from .sweep_file import Sweep, SweepError

if TYPE_CHECKING:
    import optuna

STUDY = "study.db"
SEARCH_LOCK = "search.lock"

STARTUP_TRIALS = 5
"""Trials that are drawn at random before TPE has something to go by; Optuna's default, 10, is for longer searches."""
MAX_TOLD = 8
"""Differences that are told."""

_ATTRIBUTE = "oaml"
_MISSING = "nothing"


@contextmanager
def search_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a search; a process that dies lets go of it.

    Raises:
        SweepError: Another search is at work in it, or it can't be written to.
    """
    path = folder / SEARCH_LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(str(path))
    except OSError as error:
        raise SweepError(f"{folder} can't be written to: {error.strerror or error}") from None
    if lock is None:
        owner = cut(path.read_text(encoding="utf-8", errors="replace").strip(), 20)
        raise SweepError(
            f"another search is at work in {shown(folder)} (process {owner}). Wait for it, or give this one another "
            "folder (--output-dir)"
        )
    try:
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(lock)


def search_identity(sweep: Sweep, config: RunConfig, *, seed: int, pruner: str, wandb: bool) -> dict[str, Any]:
    """What must stay the same for trials to be comparable, and for a search to be gone on with."""
    given = config.as_given()
    given.pop("wandb", None)  # where a run is shown changes no number
    given["training"].pop("output_dir", None)
    content = {name: sweep.content.get(name) for name in ("method", "metric", "parameters", "early_terminate")}
    identity = {**content, "config": given, "seed": seed, "pruner": pruner, "wandb": wandb}
    plain_values: dict[str, Any] = json.loads(json.dumps(plain(identity)))
    return plain_values


def open_study(folder: Path, sweep: Sweep, identity: Mapping[str, Any], *, pruner: Any, resume: bool) -> optuna.Study:
    """The study in the search's folder; a new one where there is none.

    Raises:
        SweepError: It can't be read, it is of another search, it is there and isn't to be gone on with, or trials are
            there without it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = (folder / STUDY).absolute()
    exists = path.exists()
    if exists and not resume:
        raise SweepError(
            f"{shown(folder)} has a search already. Go on with it (resume=True), or give this one another folder "
            "(--output-dir)"
        )
    if not exists and (left := sorted(folder.glob("trial-*"))):
        raise SweepError(
            f"{shown(left[0])} is there from a search whose {STUDY} isn't. Remove the folder, or give this search "
            "another one (--output-dir)"
        )
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        names = optuna.get_all_study_names(storage)
        if names:
            study = optuna.load_study(study_name=names[0], storage=storage, pruner=pruner)
        else:
            study = optuna.create_study(
                study_name=sweep.name or sweep.path.stem, storage=storage, direction=sweep.goal, pruner=pruner
            )
    except Exception as error:
        raise SweepError(
            f"{shown(path)} can't be read as a search's study: {error_text(error)}. Give the search another folder "
            "(--output-dir)"
        ) from error
    before = study.user_attrs.get(_ATTRIBUTE)
    if before is None and study.get_trials(deepcopy=False):
        raise SweepError(f"{shown(path)} is a study of something else. Give the search another folder (--output-dir)")
    if before is None:
        study.set_user_attr(_ATTRIBUTE, dict(identity))
    elif changes := list(_changes(before, identity)):
        told = "\n".join(f"  {change}" for change in changes[:MAX_TOLD])
        more = f"\n  and {len(changes) - MAX_TOLD} more" if len(changes) > MAX_TOLD else ""
        raise SweepError(
            f"{shown(folder)} holds another search, whose trials can't be compared with this one's:\n{told}{more}\n"
            "Put these back, or give this search another folder (--output-dir)"
        )
    return study


def next_trial(
    study: optuna.Study, space: SearchSpace, *, method: str, seed: int, own: Mapping[str, Any]
) -> optuna.Trial:
    """The trial to train now: one that was interrupted, or else a new one.

    What is proposed depends on the seed, the trial's number and the trials before it alone: a search that was
    interrupted proposes what it would have proposed otherwise.

    Args:
        study: The search's.
        space: What is searched.
        method: `bayes`, `random` or `grid`.
        seed: The search's.
        own: The configuration's own values, in Optuna's terms, which `bayes` begins with; empty for not.
    """
    import optuna
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    begun = next((each for each in trials if each.state == TrialState.RUNNING), None)
    number = len(trials) if begun is None else begun.number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(
            seed=crc32(f"{seed} {number}".encode()), n_startup_trials=STARTUP_TRIALS, multivariate=True
        )
        if begun is not None:
            trial = optuna.Trial(study, begun._trial_id)
            for name, distribution in space.distributions().items():  # it may have been killed before the last
                _suggest(trial, name, distribution)
            return trial
        if not any(each.state == TrialState.WAITING for each in trials):
            if method == "random":
                study.enqueue_trial(space.draw(Random(f"{seed} {number}")))
            elif method == "grid":
                study.enqueue_trial(space.grid_point(number, seed))
            elif number == 0 and own:
                study.enqueue_trial(dict(own))
        return study.ask(space.distributions())


def _suggest(trial: optuna.Trial, name: str, distribution: Any) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    low, high, log = distribution.low, distribution.high, distribution.log
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, low, high, step=distribution.step, log=log)
    return trial.suggest_float(name, low, high, step=distribution.step, log=log)


def _changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*before, *now]):
            inner = f"{key}.{name}" if key else str(name)
            yield from _changes(before.get(name), now.get(name), inner)
    elif before != now:
        then, today = (_MISSING if value is None else cut(json.dumps(value), 60) for value in (before, now))
        yield f"{key}: {then} then, {today} now"
