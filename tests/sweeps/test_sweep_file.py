"""Reading a sweep file: what it says, and what W&B's schema says against it."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest

from oaml_callbacks.sweeps.schema import SCHEMA
from oaml_callbacks.sweeps.sweep_file import EarlyTermination, Parameter, SweepError, grid_size, read_sweep

from .files import COMMAND, WHOLE, with_parameters, written

pytestmark = pytest.mark.newest_only


def read(folder: Path, *parameters: str, **replaced: str) -> dict[str, Parameter]:
    sweep = read_sweep(written(folder, with_parameters(*parameters, **replaced)))
    return {parameter.name: parameter for parameter in sweep.parameters}


def refused(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(SweepError) as raised:
        read_sweep(path)
    return str(raised.value).replace(str(path), "FILE")


def test_a_file_says_what_is_searched_and_how(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path, f"name: mine\nrun_cap: 7\n{WHOLE}"))
    assert (sweep.name, sweep.method, sweep.metric, sweep.goal, sweep.run_cap) == (
        "mine", "bayes", "eval/grounding_accuracy", "maximize", 7
    )  # fmt: skip
    assert (sweep.config, sweep.overrides) == (Path("run.yaml"), ())
    assert sweep.parameters == (Parameter("lora.r", "categorical", values=(4, 8), line=7),)


def test_the_goal_is_wandbs_where_none_is_given(tmp_path: Path) -> None:
    sweep = read_sweep(written(tmp_path, with_parameters("lora.r: {value: 4}", metric="{name: eval/loss}")))
    assert sweep.goal == "minimize"


def test_distributions_are_named_as_wandb_takes_them(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "a: {value: 4}",
        "b: {values: [4]}",
        "c: {min: 1, max: 4}",
        "d: {min: 1.0, max: 4.0}",
        "e: {distribution: q_uniform, min: 1, max: 4}",
        "f: {distribution: normal}",
        "g: {values: [1, 2], probabilities: [0.25, 0.75]}",
    )
    kinds = ["constant", "categorical", "int_uniform", "uniform", "q_uniform", "normal", "categorical"]
    assert [parameter.kind for parameter in found.values()] == kinds
    assert (found["e"].q, found["f"].mu, found["f"].sigma) == (1.0, 0.0, 1.0)
    assert found["g"].probabilities == (0.25, 0.75)


def test_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, "a: {distribution: log_uniform_values, min: 1e-5, max: 1e-3}")
    assert (found["a"].min, found["a"].max) == (1e-5, 1e-3)


def test_the_points_of_a_grid_are_counted(tmp_path: Path) -> None:
    lists = ("a: {values: [1, 2, 3]}", "b: {min: 1, max: 4}", "c: {distribution: q_uniform, min: 0, max: 1, q: 0.5}")
    path = written(tmp_path, with_parameters(*lists, "d: {value: 9}"))
    assert grid_size(read_sweep(path)) == 3 * 4 * 3
    path = written(tmp_path, with_parameters(*lists, "d: {min: 0.0, max: 1.0}"))
    assert grid_size(read_sweep(path)) is None


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (EarlyTermination(min_iter=1), [1, 3, 9]),
        (EarlyTermination(min_iter=3, eta=2), [3, 6, 12]),
        (EarlyTermination(max_iter=27, s=2), [3, 9]),
        (EarlyTermination(max_iter=2, s=2), []),
        (EarlyTermination(min_iter=13), []),
        (EarlyTermination(min_iter=1, eta=1 + 1e-12), [1]),
        (EarlyTermination(max_iter=27, s=10**15), [1, 3, 9]),
        (EarlyTermination(max_iter=27, s=math.inf), []),
        (EarlyTermination(min_iter=10**400), []),
    ],
)
def test_hyperband_compares_where_wandbs_own_does(rule: EarlyTermination, counts: list[int]) -> None:
    assert rule.counts(12) == counts


def test_all_mistakes_of_form_are_told_with_their_lines(tmp_path: Path) -> None:
    told = refused(
        tmp_path,
        f"""\
        method: byes
        metric: {{name: eval/loss, gaol: minimize}}
        command: {COMMAND}
        early_terminate: {{type: hyperband, eta: 1}}
        parameters:
          a: 3
          b: {{distribution: log_unifrom_values, min: 1, max: 2}}
          c: {{distribution: log_uniform_values, min: 0, max: x}}
          d:
            min: 3
          e: {{valeus: [3]}}
          f:
            values:
              - 1
            probabilities:
              - 0.5
              - -1
          lora: {{parameters: {{r: {{value: 2}}}}}}
          b: {{value: 1}}
        """,
    )
    assert told.splitlines() == [
        "FILE, line 1: method: expected one of bayes, random, grid, custom, found 'byes' (text); did you mean bayes?",
        "FILE, line 2: metric.gaol: there is no such key here; did you mean goal?",
        "FILE, line 4: early_terminate: min_iter is needed, or max_iter and s",
        "FILE, line 4: early_terminate.eta: expected more than 1, found 1",
        "FILE, line 6: parameters.a: expected a mapping, such as {values: [4, 8]} or {min: 1, max: 9}, found 3",
        "FILE, line 8: parameters.c.max: expected a number, found 'x' (text)",
        "FILE, line 8: parameters.c.min: expected more than 0.0, found 0",
        "FILE, line 9: parameters.d: max is needed and missing",
        "FILE, line 11: parameters.e: expected value, values, or min and max; found valeus; did you mean values?",
        "FILE, line 17: parameters.f.probabilities.1: expected at least 0, found -1",
        "FILE, line 18: parameters.lora: parameters aren't nested here: `oaml train` takes dotted names. Write lora.r",
        "FILE, line 19: parameters.b: given twice, first in line 7; keep one of them",
    ]


def test_a_distribution_that_there_is_not_is_named_with_the_nearest(tmp_path: Path) -> None:
    told = refused(tmp_path, with_parameters("a: {distribution: log_unifrom_values, min: 1, max: 2}"))
    assert "line 5: parameters.a.distribution" in told
    assert told.endswith("did you mean log_uniform_values?")


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("", "isn't there"),
        ("oaml train run.yaml", "expected a list"),
        ("[python, train.py, '${args}']", "doesn't run `oaml train`"),
        ("[oaml, train, run.yaml, --wandb, '${args}']", "expected ${args_no_hyphens}"),
        ("[oaml, train, run.yaml, --wandb]", "no trial gets its values"),
        ("[oaml, train, run.yaml, '${args_no_hyphens}']", "without --wandb"),
        ("[oaml, train, --wandb, '${args_no_hyphens}']", "expected one configuration file"),
        ("[bash, -c, 'touch it', oaml, train, run.yaml, --wandb, '${args_no_hyphens}']", "doesn't run `oaml train`"),
        ("[python, it.py, oaml, train, run.yaml, --wandb, '${args_no_hyphens}']", "doesn't run `oaml train`"),
        ("[it, -m, oaml_callbacks, train, run.yaml, --wandb, '${args_no_hyphens}']", "doesn't run `oaml train`"),
        ("[oaml, train, run.yaml, --wandb, --lern, 3, '${args_no_hyphens}']", "there is no option --lern"),
    ],
)
def test_a_command_that_gives_no_trial_is_told(tmp_path: Path, command: str, what: str) -> None:
    assert what in refused(tmp_path, with_parameters("lora.r: {value: 4}", command=command))


@pytest.mark.parametrize(
    "command",
    [
        "[/opt/venv/bin/oaml, train, run.yaml, --wandb, --max-steps, 7, lora.r=3, '${args_no_hyphens}']",
        "['${env}', python, -m, oaml_callbacks, train, run.yaml, --wandb, --max-steps=7, r=3, '${args_no_hyphens}']",
    ],
)
def test_a_command_may_be_started_in_several_ways(tmp_path: Path, command: str) -> None:
    sweep = read_sweep(written(tmp_path, with_parameters("lora.r: {value: 4}", command=command)))
    assert (sweep.config, sweep.overrides[0]) == (Path("run.yaml"), "training.max_steps=7")
    assert sweep.overrides[1].endswith("r=3")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xff", "not UTF-8"),
        (b"a: [", "line 1"),
        (b"a: " + b"[" * 3000, "nested too deeply"),
        (b"a: 1" + b"0" * 5000, "digits"),
        (b"a: 2025-02-31", "out of range"),
        (b"a: &a [1, *a]", "200,000 values at most"),
        (b"- a", "found a list"),
        (b"", "found nothing"),
        (b"# " + b"x" * 2**20, "1,048,576 bytes at most"),
    ],
)
def test_what_is_no_sweep_file_is_told(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(content)
    with pytest.raises(SweepError, match=what):
        read_sweep(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="can't be read: No such file"):
        read_sweep(tmp_path / "none.yaml")


def test_the_schema_is_that_of_wandbs_package() -> None:
    package = find_spec("sweeps")  # not imported: it wants an older numpy
    if package is None or package.origin is None:
        pytest.skip("sweeps isn't installed")
    own = Path(package.origin).parent / "config" / "schema.json"
    assert json.loads(SCHEMA.read_text()) == json.loads(own.read_text())
    assert "MIT" in SCHEMA.with_name("wandb_schema.LICENSE.txt").read_text()
