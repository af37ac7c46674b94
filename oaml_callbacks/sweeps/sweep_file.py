"""W&B sweep files: read, and every mistake named with its line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from ..clean_text import one_line
from ..errors import UserError
from ..yaml_lines import Document, Key, YamlError, read_yaml
from .command import read_command

RANGES = (
    "int_uniform",
    "uniform",
    "q_uniform",
    "log_uniform_values",
    "q_log_uniform_values",
    "inv_log_uniform_values",
)
"""Kinds whose `min` and `max` are the smallest and the largest value themselves."""
EXPONENT_RANGES = ("log_uniform", "q_log_uniform", "inv_log_uniform")
"""Kinds whose `min` and `max` are exponents of e."""

MAX_TOLD = 1000
"""Characters of a fault's line."""
MAX_FILE = 2**20
"""Bytes of a sweep file."""
MAX_VALUES = 200_000
"""Values in it, each alias counted as what it stands for."""
MAX_BANDS = 1000
"""Counts at which Hyperband compares trials: an `eta` next to 1 would give them without end."""

Goal = Literal["maximize", "minimize"]


def is_finite(number: float) -> bool:
    """Whether it is finite as a float, which a whole number of four hundred digits isn't."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


class SweepError(UserError):
    """A sweep that can't be used: says where, what was found, what was expected, and what to do.

    Args:
        message: All of it, one fault a line.
        faults: The faults of a file, in the order of their lines; empty where it can't be read at all.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


@dataclass(frozen=True, order=True)
class Fault:
    """A mistake in a sweep file.

    Args:
        line: Where, from 1; 0 for the file as a whole.
        key: The dotted path of what is wrong, such as `parameters.lora.r.min`.
        what: What is wrong, what was expected, and what to do.
    """

    line: int
    key: str
    what: str

    def told(self, path: Path) -> str:
        """The fault as one line of text."""
        where = f", line {self.line}" if self.line else ""
        text = f"{path}{where}: {self.key}: {self.what}" if self.key else f"{path}{where}: {self.what}"
        return one_line(text, MAX_TOLD)


@dataclass(frozen=True)
class Parameter:
    """What is searched.

    Args:
        name: As `oaml train` calls it, such as `lora.r` or `training.learning_rate`.
        kind: `constant`, `categorical`, or W&B's name of a distribution: see [`RANGES`] and [`EXPONENT_RANGES`], and
            `normal`, `log_normal`, `q_normal`, `q_log_normal`, `beta`, `q_beta`.
        values: Of `categorical`, at least one; of `constant` the one.
        probabilities: Of `categorical`, where they are given: one for each value.
        min: Of a range, its lower end.
        max: Of a range, its upper end; both ends belong to it.
        mu: Of `normal` the mean; of `log_normal` the mean of the logarithm.
        sigma: The standard deviation of the same.
        q: Of `q_...` what the values are multiples of; 1 where it isn't given.
        a: Of `beta`, its first parameter.
        b: Of `beta`, its second.
        line: Where it stands in the file, from 1.
    """

    name: str
    kind: str
    values: tuple[Any, ...] | None = None
    probabilities: tuple[float, ...] | None = None
    min: float | int | None = None
    max: float | int | None = None
    mu: float | None = None
    sigma: float | None = None
    q: float | None = None
    a: float | None = None
    b: float | None = None
    line: int = 0

    @property
    def continuous(self) -> bool:
        """Whether it has infinitely many values, or so many that they can't be listed."""
        return self.size() is None

    def size(self) -> int | None:
        """How many values it has; `None` where they can't be counted."""
        if self.values is not None:
            return len(self.values)
        if self.min is None or self.max is None:
            return None
        if self.kind == "int_uniform":
            return int(self.max) - int(self.min) + 1
        if self.kind == "q_uniform" and self.q:
            ends = [end / self.q if is_finite(end) else math.inf for end in (self.min, self.max)]
            return math.floor(ends[1]) - math.ceil(ends[0]) + 1 if all(map(math.isfinite, ends)) else None
        return None


@dataclass(frozen=True)
class EarlyTermination:
    """Hyperband, as W&B's server does it: it compares trials when the metric was logged so many times.

    Args:
        min_iter: The first count of logged metrics at which trials are compared; the next are `eta` times further.
        max_iter: In place of `min_iter`, with `s`: trials are compared at `max_iter / eta`, `max_iter / eta ** 2`, ...
        s: How many such counts there are.
        eta: At each of them the best `1/eta` of the trials go on; above 1.
        strict: Stop more trials, as the original algorithm does.
        type: `hyperband`, the one there is.
    """

    min_iter: int | None = None
    max_iter: int | None = None
    s: float | None = None
    eta: float = 3
    strict: bool = True
    type: str = "hyperband"

    def counts(self, most: int) -> list[int]:
        """The counts of logged metrics at which trials are compared, up to `most`, ascending."""
        given = (self.min_iter, self.max_iter, self.s, self.eta)
        if not all(number is None or is_finite(number) for number in given):
            return []
        bands: list[float] = []
        if self.max_iter is not None:  # it goes first at W&B, too
            band = self.max_iter / self.eta
            while band >= 1 and len(bands) < min(self.s or 0, MAX_BANDS):
                bands.append(band)
                band /= self.eta
        else:
            band = float(self.min_iter or most + 1)
            while band <= most and len(bands) < MAX_BANDS:
                bands.append(band)
                band *= self.eta
        return sorted({int(band) for band in bands if 1 <= band <= most})


@dataclass(frozen=True)
class Sweep:
    """A sweep file's content.

    Args:
        path: The file.
        name: What W&B shows; `None` for none.
        method: `bayes`, `random` or `grid`.
        metric: The key that decides, such as `eval/grounding_accuracy`; `None` where none is given.
        goal: Whether more of it is better; W&B's default is `minimize`.
        parameters: What is searched, in the file's order.
        early_terminate: How bad trials are stopped; `None` for not at all.
        run_cap: Trials at most; `None` for no limit.
        config: The training configuration that the command names, relative to where an agent is started.
        overrides: What the command changes of it for every trial: `key=value`.
        line_of: The line of each key of the file, from 1, by its path.
        content: The file's values, as they are sent to W&B.
    """

    path: Path
    name: str | None
    method: str
    metric: str | None
    goal: Goal
    parameters: tuple[Parameter, ...]
    early_terminate: EarlyTermination | None
    run_cap: int | None
    config: Path
    overrides: tuple[str, ...] = ()
    line_of: Mapping[Key, int] = field(default_factory=dict, repr=False)
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file, and hold it against W&B's schema.

    What it means, and whether it fits the training configuration, is asked by [`oaml_callbacks.sweeps.check`].

    Raises:
        SweepError: It can't be read, or isn't what W&B's schema and `oaml train` take: all mistakes, one a line.
    """
    document = read_document(path)
    sweep, faults = understand(path, document)
    if faults:
        raise SweepError("\n".join(fault.told(path) for fault in faults), faults)
    return sweep


def read_document(path: Path) -> Document:
    """The file as YAML.

    Raises:
        SweepError: It can't be read as such.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise SweepError(f"{path}: a sweep file has {MAX_FILE:,} bytes at most, and this has more")
        document = read_yaml(path)
    except OSError as error:
        raise SweepError(f"{path}: the sweep file can't be read: {error.strerror or error}") from None
    except YamlError as error:
        raise SweepError(str(error).replace("sections such as 'model:'", "keys such as 'method:'")) from None
    left: list[Any] = [document.values]
    for _ in range(MAX_VALUES):
        if not left:
            return document
        value = left.pop()
        left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    raise SweepError(f"{path}: a sweep file has {MAX_VALUES:,} values at most, and this has more (by aliases: *name)")


def understand(path: Path, document: Document) -> tuple[Sweep, list[Fault]]:
    """What the document says, as far as its form is right, and what is wrong with its form."""
    from .schema import schema_faults

    values, lines = document.values, document.lines
    faults = [
        Fault(lines.get(key, 0), ".".join(key), f"given twice, first in line {first}; keep one of them")
        for key, first in document.repeated
    ]
    faults += schema_faults(document)
    command, problem = read_command(values.get("command"))
    if problem:
        faults.append(Fault(lines.get(("command",), 0), "command", problem))
    if values.get("method") == "custom":
        faults.append(Fault(lines["method",], "method", "expected bayes, random or grid, found 'custom'"))
    if "parameters" not in values:
        faults.append(Fault(0, "parameters", "this key is needed and isn't there: what is to be searched"))
    wrong = {fault.key for fault in faults}

    def is_right(*key: str) -> bool:
        dotted = ".".join(key)
        return not any(name == dotted or name.startswith(f"{dotted}.") for name in wrong)

    def right(name: str) -> Any:
        return values.get(name) if is_right(name) else None

    metric: Mapping[str, Any] = right("metric") or {}
    parameters = values.get("parameters")
    sweep = Sweep(
        path=path,
        name=right("name"),
        method=right("method") or "",
        metric=metric.get("name"),
        goal=cast("Goal", metric.get("goal", "minimize")),
        parameters=tuple(
            _parameter(name, given, lines.get(("parameters", name), 0))
            for name, given in (parameters if isinstance(parameters, dict) else {}).items()
            if is_right("parameters", name)
        ),
        early_terminate=_early_termination(right("early_terminate")),
        run_cap=right("run_cap"),
        config=command.config if command is not None else Path(),
        overrides=command.overrides if command is not None else (),
        line_of=lines,
        content=values,
    )
    return sweep, sorted(faults)


def grid_size(sweep: Sweep) -> int | None:
    """How many trials a grid over these parameters has; `None` where a parameter has no list of values."""
    total = 1
    for parameter in sweep.parameters:
        size = parameter.size()
        if size is None:
            return None
        total *= max(size, 0)
    return total


_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "normal": {"mu": 0.0, "sigma": 1.0},
    "log_normal": {"mu": 0.0, "sigma": 1.0},
    "beta": {"a": 1, "b": 1},
}


def _parameter(name: str, given: Mapping[str, Any], line: int) -> Parameter:
    values = tuple(given["values"]) if "values" in given else (given["value"],) if "value" in given else None
    probabilities, kind = given.get("probabilities"), _kind(given)
    given = {**_DEFAULTS.get(kind.removeprefix("q_"), {}), **({"q": 1.0} if kind.startswith("q_") else {}), **given}
    return Parameter(
        name=name,
        kind=kind,
        values=values,
        probabilities=tuple(probabilities) if probabilities is not None else None,
        **{key: given.get(key) for key in ("min", "max", "mu", "sigma", "q", "a", "b")},
        line=line,
    )


def _kind(given: Mapping[str, Any]) -> str:
    """The distribution, as W&B takes it where it isn't named."""
    if "value" in given:
        return "constant"
    if "values" in given:
        return "categorical"
    if "distribution" in given:
        return str(given["distribution"])
    ends = (given.get("min"), given.get("max"))
    return "int_uniform" if all(isinstance(end, int) for end in ends) else "uniform"


def _early_termination(given: Mapping[str, Any] | None) -> EarlyTermination | None:
    if given is None:
        return None
    known = {name: given[name] for name in EarlyTermination.__dataclass_fields__ if name in given}
    return EarlyTermination(**known)
