"""Whether `oaml train` takes what a sweep's trials will give it: names, types and ranges, by the configuration."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..config import ConfigError, RunConfig, load_config, training_fields
from ..config_sections import SECTIONS
from .evaluations import evaluation_strategy, evaluations, has_evaluation_set
from .sweep_file import EXPONENT_RANGES, Fault, Parameter, Sweep, is_finite

MAX_TRIED = 200
"""Values of one parameter that are tried on the configuration; each takes some milliseconds."""


_ALSO_CALLED = {
    "rank": "lora.r", "lora_r": "lora.r", "alpha": "lora.lora_alpha", "dropout": "lora.lora_dropout",
    "lr": "training.learning_rate", "epochs": "training.num_train_epochs", "steps": "training.max_steps",
    "batch_size": "training.per_device_train_batch_size", "train_batch_size": "training.per_device_train_batch_size",
}  # fmt: skip
"""What others call them, that no likeness of letters leads to."""


def as_argument(name: str, value: Any) -> str:
    """A trial's value, as W&B's agent writes it behind the command."""
    return f"{name}={value}"


def full_name(name: str) -> str:
    """`r` as `lora.r`: the name with its section, where one section alone has the key."""
    if "." in name:
        return name
    holders = [section for section, model in SECTIONS.items() if name in model.model_fields]
    holders += ["training"] if name in training_fields() else []
    return f"{holders[0]}.{name}" if len(holders) == 1 else name


def configuration_faults(sweep: Sweep) -> list[Fault]:
    """What is wrong between the sweep and the training configuration that its command names."""
    command = sweep.line_of.get(("command",), 0)
    faults = list(_name_faults(sweep, command))
    if not sweep.config.is_file():
        beside = sweep.path.parent / sweep.config
        hint = f". It is relative to where the command is started: cd {sweep.path.parent}" if beside.is_file() else ""
        faults.append(Fault(command, "command", f"there is no training configuration {sweep.config}{hint}"))
        if not beside.is_file():
            return faults + _value_faults_alone(sweep)
        path = beside
    else:
        path = sweep.config
    try:
        config = load_config(path, sweep.overrides)
    except ConfigError as error:
        told = str(error).splitlines()
        faults.append(Fault(command, "command", f"the training configuration isn't right: {'; '.join(told[:5])}"))
        return faults + _value_faults_alone(sweep)
    faults += _value_faults(sweep, path, sweep.overrides)
    faults += _evaluation_faults(sweep, path, config, command)
    return faults


def _name_faults(sweep: Sweep, command: int) -> Iterator[Fault]:
    first: dict[str, int] = {}
    fixed = {full_name(override.partition("=")[0].strip()) for override in sweep.overrides}
    for parameter in sweep.parameters:
        name, key = full_name(parameter.name), f"parameters.{parameter.name}"
        if name in first:
            yield Fault(parameter.line, key, f"this is the parameter of line {first[name]}; keep one of them")
        elif name in fixed:
            yield Fault(parameter.line, key, f"the command (line {command}) sets it for all trials; keep one of them")
        first.setdefault(name, parameter.line)


def _value_faults_alone(sweep: Sweep) -> list[Fault]:
    """As far as it can be said without the configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text("model: {name: any}\n", encoding="utf-8")
        return _value_faults(sweep, path, ())


def _value_faults(sweep: Sweep, path: Path, overrides: Sequence[str]) -> list[Fault]:
    faults = []
    for parameter in sweep.parameters:
        told = set()
        for where, value in _examples(parameter):
            key = ("parameters", parameter.name, *where)
            if (what := _refusal(path, overrides, parameter, value)) is None or what in told:
                continue
            told.add(what)
            line = next(sweep.line_of[key[:n]] for n in range(len(key), 0, -1) if key[:n] in sweep.line_of)
            if "there is no such" in what or "section" in what:  # the name is wrong, whatever the value
                if meant := _ALSO_CALLED.get(parameter.name.rpartition(".")[2]):
                    what = f"{what.partition(';')[0]}; did you mean {meant}?"
                faults.append(Fault(parameter.line, f"parameters.{parameter.name}", what))
                break
            if not where:  # inside a range, whose ends are no better then
                faults.append(Fault(line, ".".join(key), what))
                break
            faults.append(Fault(line, ".".join(key), what))
    return faults


def _refusal(path: Path, overrides: Sequence[str], parameter: Parameter, value: Any) -> str | None:
    """Why `oaml train` wouldn't take the value; `None` if it would."""
    if value is None:
        return "W&B's agent passes nothing as the text None; give a value, or leave the parameter out"
    argument = as_argument(parameter.name, value)
    try:
        load_config(path, [*overrides, argument])
    except ConfigError as error:
        what = str(error).splitlines()[0].removeprefix(f"{argument} (command line): ")
        return what.removeprefix(f"{full_name(parameter.name)}: ")
    return None


def _examples(parameter: Parameter) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values that a trial may get, and the key each of them comes from."""
    if parameter.values is not None:
        for index, value in enumerate(parameter.values[:MAX_TRIED]):
            yield ("value",) if parameter.kind == "constant" else ("values", str(index)), value
    elif parameter.min is not None and parameter.max is not None and parameter.min < parameter.max:
        ends = {"min": parameter.min, "max": parameter.max}
        if not all(map(is_finite, ends.values())):
            return
        if parameter.kind in EXPONENT_RANGES:
            ends = {name: math.exp(min(end, 700)) for name, end in ends.items()}
        if not parameter.kind.startswith("q_") and parameter.kind != "int_uniform":
            yield (), _drawn(parameter, ends["min"] + (ends["max"] - ends["min"]) * 0.3819)
        for name, end in ends.items():
            yield (name,), _drawn(parameter, end)
    elif parameter.kind.endswith("normal"):
        mu, sigma = parameter.mu or 0.0, parameter.sigma or 0.0
        for deviations in (0.3819, -2, 2):  # beyond two of them lies one draw in twenty
            drawn = mu + deviations * sigma
            yield (), _drawn(parameter, math.exp(min(drawn, 700)) if "log" in parameter.kind else drawn)
    elif parameter.kind.endswith("beta"):
        yield (), _drawn(parameter, 0.3819)


def _drawn(parameter: Parameter, value: float) -> float:
    """A value as W&B draws it: a whole number of a whole-number range, a multiple of q where there is one."""
    if parameter.kind == "int_uniform":
        return int(value)
    if parameter.kind.startswith("q_"):
        q = parameter.q or 1
        if is_finite(q) and math.isfinite(value / q):
            # W&B gives whole numbers for a whole q.
            return round(value / q) * (int(q) if q == int(q) else q)
    return float(value)


def _evaluation_faults(sweep: Sweep, path: Path, config: RunConfig, command: int) -> Iterator[Fault]:
    """What keeps the metric from being logged, or Hyperband from stopping anything."""
    names = {full_name(parameter.name) for parameter in sweep.parameters}
    if config.data.train is None and config.demo_data is None and "data.train" not in names:
        yield Fault(command, "command", f"{sweep.config} names nothing to train on; add data.train=... to the command")
    elif sweep.metric is not None and sweep.metric.startswith(("eval/", "best/")):
        if not has_evaluation_set(config) and "data.eval" not in names:
            yield Fault(command, "command", f"without data.eval nobody logs {sweep.metric}; add data.eval=...")
        elif evaluation_strategy(config) == "no" and "training.eval_strategy" not in names:
            yield Fault(command, "command", f"with training.eval_strategy=no nobody logs {sweep.metric}")
        else:
            yield from _hyperband_faults(sweep, path)
    steps = config.training.get("max_steps", -1)
    for parameter in sweep.parameters:
        if full_name(parameter.name) == "training.num_train_epochs" and (steps > 0 or "training.max_steps" in names):
            yield Fault(
                parameter.line,
                f"parameters.{parameter.name}",
                "without effect: training.max_steps ends the training; search that, or set it to -1",
            )


def _hyperband_faults(sweep: Sweep, path: Path) -> Iterator[Fault]:
    rule = sweep.early_terminate
    if rule is None:
        return
    longest = []
    for parameter in sweep.parameters:
        if full_name(parameter.name) in ("training.max_steps", "training.num_train_epochs") and parameter.size() != 0:
            values = [value for _, value in _examples(parameter) if isinstance(value, (int, float))]
            longest += [as_argument(parameter.name, max(values))] if values else []
    try:
        most = evaluations(load_config(path, [*sweep.overrides, *longest]))
    except ConfigError:  # told already
        return
    if most is not None and not rule.counts(most):
        first = next(iter(rule.counts(10**6)), None)
        if first is not None:
            name = "max_iter" if rule.max_iter is not None else "min_iter"
            yield Fault(
                sweep.line_of.get(("early_terminate", name), sweep.line_of.get(("early_terminate",), 0)),
                f"early_terminate.{name}",
                f"trials are first compared after {first} evaluations, and a trial makes {most}: none is stopped. "
                "Lower it, or evaluate more often (training.eval_steps)",
            )
