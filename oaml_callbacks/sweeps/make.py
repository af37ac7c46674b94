"""A W&B sweep file, written from a training configuration, with comments that say why."""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config import RunConfig, load_config
from ..run_folder.files import replace_file
from ..train_setup import DEFAULTS
from ..yaml_lines import YamlError, parse_value
from .check import Checked, check_sweep
from .command import make_command
from .evaluations import evaluations
from .sweep_file import SweepError, grid_size
from .trial_values import full_name

Method = Literal["bayes", "random", "grid"]

RUN_CAP = 30
"""Trials of a search that would go on without end: about five for each parameter."""
LOG_RATIO = 10
"""A range of numbers whose ends are further apart than this, as a quotient, is searched by its logarithm."""
_ETA = 3


@dataclass(frozen=True)
class SweepOptions:
    """What a sweep file is made with.

    Args:
        method: How trials are proposed.
        metric: What decides.
        goal: Whether more of it is better; `None` for what suits the metric.
        parameters: What is searched beside or instead of the file's own, by name: `4,8,16` or `1e-5..1e-3` or `0.1`.
        dropped: Names of the file's own parameters that aren't searched.
        early_stop: Stop bad trials by Hyperband.
        run_cap: Trials at most; `None` for [`RUN_CAP`], and for no limit of a grid.
        name: What W&B shows; `None` for the configuration's name with `-sweep` behind it, since a
            search without a server writes to a folder of this name.
    """

    method: Method = "bayes"
    metric: str = "eval/grounding_accuracy"
    goal: Literal["maximize", "minimize"] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    dropped: Sequence[str] = ()
    early_stop: bool = True
    run_cap: int | None = None
    name: str | None = None


@dataclass(frozen=True)
class _Searched:
    """A parameter of the file: what stands behind its name, and why."""

    settings: Mapping[str, Any]
    why: str = ""


def make_sweep(config: Path, overrides: Sequence[str] = (), options: SweepOptions | None = None) -> str:
    """The text of a sweep file over a training configuration.

    Args:
        config: The configuration.
        overrides: `key=value` that all trials have; they become part of the command, and aren't searched.
        options: What to search, and how.

    Raises:
        ConfigError: The configuration or an override isn't right.
        SweepError: What the options ask for can't be searched.
    """
    options = options or SweepOptions()
    read = load_config(config, overrides)
    fixed = {full_name(override.partition("=")[0].strip()) for override in overrides}
    searched = _searched(read, options, fixed)
    text = _text(config, overrides, read, options, searched)
    checked = _checked(text)
    if checked.faults:
        # The lines are those of a file that isn't there.
        raise SweepError("\n".join(f"{fault.key}: {fault.what}" for fault in checked.faults), checked.faults)
    if options.method == "grid":
        points = grid_size(checked.sweep)
        text = text.replace("method: grid", f"method: grid  # all {points:,} combinations, each a training", 1)
    return text


def write_sweep(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write the file, whole or not at all.

    Raises:
        SweepError: It is there already, or can't be written.
    """
    if path.exists() and not overwrite:
        raise SweepError(f"{path} is there already; name another with -o, or replace it with --overwrite")
    try:
        replace_file(path, text)
    except OSError as error:
        raise SweepError(f"{path} can't be written: {error.strerror or error}") from None


def _checked(text: str) -> Checked:
    file, name = tempfile.mkstemp(suffix=".yaml")
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
        return check_sweep(Path(name))
    finally:
        os.unlink(name)


def _searched(config: RunConfig, options: SweepOptions, fixed: Set[str]) -> dict[str, _Searched]:
    own = _own(config, grid=options.method == "grid")
    for name in options.dropped:
        if full_name(name) not in own:
            raise SweepError(f"--drop {name}: this isn't searched. What is: {', '.join(own)}")
        del own[full_name(name)]
    own = {name: one for name, one in own.items() if name not in fixed}
    for name, text in options.parameters.items():
        own[full_name(name)] = _Searched(_settings(name, text))
    if not own:
        raise SweepError("nothing is left to search; add a --param")
    return own


def _own(config: RunConfig, *, grid: bool) -> dict[str, _Searched]:
    """What is searched without being asked for: around the configuration's own values."""
    given = {**DEFAULTS, **config.training}
    rate, rank, alpha, dropout = (
        given["learning_rate"],
        config.lora.r,
        config.lora.lora_alpha,
        config.lora.lora_dropout,
    )
    found: dict[str, _Searched] = {}
    if grid:
        rates = _Searched(
            {"values": [_short(rate / 3), _short(rate), _short(rate * 3)]},
            "The first thing to get right: factors of three.",
        )
    else:
        rates = _Searched(
            {"distribution": "log_uniform_values", "min": _short(rate / 10), "max": _short(rate * 10)},
            "The first thing to get right. By its logarithm: 1e-5 is to 1e-4 as 1e-4 is to 1e-3.",
        )
    found["training.learning_rate"] = rates
    ranks = [max(1, rank // 2), rank, rank * 2] + ([] if grid else [rank * 4])
    found["lora.r"] = _Searched(
        {"values": _distinct(ranks)}, "How much the adapter can learn; memory and the adapter's size grow with it."
    )
    alphas = [alpha, alpha * 2] if grid else [max(1, alpha // 2), alpha, alpha * 2]
    found["lora.lora_alpha"] = _Searched(
        {"values": _distinct(alphas)},
        "The adapter counts alpha / r times. W&B can't tie alpha to r; to keep their ratio, search one of the two "
        "and drop the other.",
    )
    dropouts = sorted({0.0, dropout or 0.05}) if grid else sorted({0.0, 0.05, 0.1, dropout})
    found["lora.lora_dropout"] = _Searched({"values": dropouts}, "Against learning few screens by heart.")
    batch, accumulated = int(given["per_device_train_batch_size"]), int(given["gradient_accumulation_steps"])
    if batch > 1:
        found["training.per_device_train_batch_size"] = _Searched(
            {"values": _distinct([max(1, batch // 2), batch])},
            "No larger than the configuration's, which is known to fit into memory.",
        )
    else:
        found["training.gradient_accumulation_steps"] = _Searched(
            {"values": _distinct([max(1, accumulated // 2), accumulated, accumulated * 2])},
            "The batch, in effect: one sample at a time is all that is asked to fit into memory.",
        )
    steps = int(given.get("max_steps", -1))
    if steps > 0:
        lengths = [max(1, steps // 2), steps] if grid else [max(1, steps // 2), steps, steps * 2]
        found["training.max_steps"] = _Searched(
            {"values": _distinct(lengths)},
            "The schedule of the learning rate ends with it, so half isn't the same cut off.",
        )
    else:
        epochs = max(1, round(given["num_train_epochs"]))
        lengths = [epochs, epochs * 2] if grid else [max(1, epochs // 2), epochs, epochs * 2]
        found["training.num_train_epochs"] = _Searched(
            {"values": _distinct(lengths)},
            "The schedule of the learning rate ends with it, so half isn't the same cut off.",
        )
    return found


def _settings(name: str, text: str) -> dict[str, Any]:
    """What `4,8,16`, `1e-5..1e-3` or `0.1` asks for."""
    low, dots, high = text.partition("..")
    try:
        if dots and not set(text) & set(",/\\[{\"'"):  # such as a list, or the path ../rows.jsonl
            ends = [parse_value(low), parse_value(high)]
            if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
                raise SweepError(f"--param {name}={text}: expected two numbers, such as 1e-5..1e-3")
            if all(isinstance(end, int) for end in ends):
                return {"distribution": "int_uniform", "min": ends[0], "max": ends[1]}
            ends = [float(end) for end in ends]
            by_log = 0 < ends[0] < ends[1] and ends[1] / ends[0] >= LOG_RATIO
            return {"distribution": "log_uniform_values" if by_log else "uniform", "min": ends[0], "max": ends[1]}
        values = parse_value(f"[{text}]")
    except YamlError as error:
        raise SweepError(f"--param {name}={text}: {error}") from None
    return {"value": values[0]} if len(values) == 1 else {"values": values}


def _text(
    config: Path,
    overrides: Sequence[str],
    read: RunConfig,
    options: SweepOptions,
    searched: Mapping[str, _Searched],
) -> str:
    from .metrics import better

    goal = options.goal or better(options.metric) or "maximize"
    stem = config.stem
    lines = [
        f"# A search over {config}, in W&B's form, made by `oaml sweep make`. All of it can be changed; then",
        "#",
        "#   oaml sweep check FILE                 what is wrong with it, with the lines",
        "#   oaml sweep start FILE                 hand it to W&B; then `oaml sweep agent ID`, once on each GPU",
        "#   oaml sweep local FILE --trials 12     no server and no account",
        "",
        f"name: {_yaml(options.name or f'{stem}-sweep')}",
    ]
    for key in ("entity", "project"):
        if (value := getattr(read.wandb, key)) is not None:
            lines.append(f"{key}: {_yaml(value)}")
    lines += ["", *_method(options), f"method: {options.method}", ""]
    lines += [
        *_comment(
            "bayes takes of each trial its best evaluation. W&B's table shows the last one; the best stands there as "
            "best/grounding_accuracy."
            if options.metric == "eval/grounding_accuracy"
            else ""
        ),
        "metric:",
        f"  name: {_yaml(options.metric)}",
        f"  goal: {goal}",
        "",
        "parameters:  # called as `oaml train` calls them; any key of a configuration can stand here",
    ]
    for name, one in searched.items():
        lines += _comment(one.why, "  ")
        lines.append(f"  {name}:")
        lines += [f"    {key}: {_yaml(value)}" for key, value in one.settings.items()]
    lines.append("")
    if options.early_stop:
        lines += [*_early_stop(read), ""]
    cap = options.run_cap or (None if options.method == "grid" else RUN_CAP)
    if cap is not None:
        why = "Without it the search has no end." if options.method != "grid" else ""
        lines += [*_comment(why), f"run_cap: {cap}", ""]
    # W&B wants the program's name, too; what is run is the command.
    lines += [
        "# What an agent runs for each trial, in the folder that the agent is started in; ${args_no_hyphens} becomes",
        "# lora.r=8 and so on. Each trial has a folder of its own below training.output_dir.",
        "program: oaml",
        "command:",
        *(f"  - {_yaml(word)}" for word in make_command(config, overrides)),
        "",
    ]
    return "\n".join(lines)


def _method(options: SweepOptions) -> list[str]:
    return _comment(
        {
            "bayes": "Each trial is proposed from the results of those before: best with a few agents at a time.",
            "random": "Trials don't know of each other: as good with a hundred agents at a time as with one.",
            "grid": "Every combination, so lists of values alone.",
        }[options.method]
    )


def _early_stop(config: RunConfig) -> list[str]:
    count = evaluations(config)
    if count is not None and count < 2:
        return ["# No early_terminate: a trial evaluates once, at its end, when there is nothing left to save."]
    first = 2 if count is None else max(1, round(count / 3))  # the very first evaluation says little
    known = "" if count is None else f" A training of the configuration's length makes {count}."
    return [
        *_comment(
            "Hyperband: a trial that isn't among the best third goes no further. Counted in evaluations, the times "
            f"that the metric is logged: trials are compared after the first {first}, then after {_ETA} times as "
            f"many.{known}"
        ),
        "early_terminate:",
        "  type: hyperband",
        f"  min_iter: {first}",
        f"  eta: {_ETA}",
    ]


def _comment(text: str, indent: str = "") -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, 112)]


def _yaml(value: Any) -> str:
    """A value as YAML 1.1 and 1.2 read alike: `1.0e-05`, for 1.1 takes 1e-05 for text."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        text = repr(value)
        mantissa, has_exponent, exponent = text.partition("e")
        if not has_exponent:
            return text
        sign = "" if exponent[0] in "+-" else "+"
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}{exponent}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str):
        plain = value.replace("/", "").replace("-", "").replace("_", "").replace(".", "")
        is_plain = plain.isalnum() and value[0].isalpha() and parse_value(value) == value
        return value if is_plain and value.isascii() else json.dumps(value, ensure_ascii=False)
    return str(value)


def _short(value: float) -> float:
    """With two digits, as one would write it."""
    return float(f"{value:.2g}")


def _distinct(values: Sequence[Any]) -> list[Any]:
    return sorted(set(values))
