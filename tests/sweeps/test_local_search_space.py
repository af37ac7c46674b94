"""W&B's distributions in Optuna's terms."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from oaml_callbacks.sweeps.search_space import Dimension, SearchSpace, as_override, search_space, short_names
from oaml_callbacks.sweeps.sweep_file import Parameter, Sweep, SweepError
from oaml_callbacks.yaml_lines import parse_value

JSON: Any = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
SEEDS = st.integers(0, 10**6)


def sweep(method: str, *parameters: Parameter) -> Sweep:
    return Sweep(
        path=Path("sweep.yaml"),
        name="s",
        method=method,
        metric="eval/grounding_accuracy",
        goal="maximize",
        parameters=parameters,
        early_terminate=None,
        run_cap=None,
        config=Path("config.yaml"),
    )


def ends() -> st.SearchStrategy[tuple[float, float]]:
    numbers = st.floats(1e-6, 1e6)
    return st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1] * 0.999)


def parameters() -> st.SearchStrategy[Parameter]:
    """One of each kind that has an end."""

    def ranged(kind: str) -> st.SearchStrategy[Parameter]:
        return ends().map(lambda pair: Parameter("x", kind, min=pair[0], max=pair[1]))

    def stepped(kind: str) -> st.SearchStrategy[Parameter]:
        steps = st.sampled_from([1, 2, 8, 0.5, 0.1, 0.05])
        return st.tuples(steps, st.integers(1, 40), st.integers(1, 40), st.floats(-0.4, 0.4)).map(
            lambda it: Parameter("x", kind, min=it[0] * (it[1] + it[3]), max=it[0] * (it[1] + it[2]), q=it[0])
        )

    values = st.lists(JSON | st.lists(JSON, max_size=2), min_size=1, max_size=5, unique_by=repr)
    ints = st.tuples(st.integers(-50, 50), st.integers(0, 60))
    return st.one_of(
        ranged("uniform"),
        ranged("log_uniform_values"),
        ranged("inv_log_uniform_values"),
        stepped("q_uniform"),
        stepped("q_log_uniform_values"),
        ints.map(lambda it: Parameter("x", "int_uniform", min=it[0], max=it[0] + it[1])),
        values.map(lambda it: Parameter("x", "categorical", values=tuple(it))),
    )


@given(parameters(), SEEDS)
def test_what_is_drawn_is_what_the_file_allows(parameter: Parameter, seed: int) -> None:
    dimension = Dimension(parameter)
    drawn = dimension.draw(Random(seed))
    value = dimension.value(drawn)
    if parameter.values is not None:
        assert any(value is each or (value == each and type(value) is type(each)) for each in parameter.values)
        return
    assert parameter.min is not None
    assert parameter.max is not None
    slack = 1e-6 * (parameter.q or 0)
    assert parameter.min - slack <= value <= parameter.max + slack
    if parameter.q:
        assert value / parameter.q == pytest.approx(round(value / parameter.q))


@given(parameters(), SEEDS)
def test_optuna_can_be_told_of_whatever_is_drawn(parameter: Parameter, seed: int) -> None:
    dimension = Dimension(parameter)
    drawn, distribution = dimension.draw(Random(seed)), dimension.distribution
    inner = distribution.to_internal_repr(drawn)
    assert distribution._contains(inner)
    if not isinstance(distribution, CategoricalDistribution):
        assert distribution.to_external_repr(inner) == drawn


@given(parameters(), SEEDS)
def test_a_value_that_can_be_tried_is_told_as_itself(parameter: Parameter, seed: int) -> None:
    dimension = Dimension(parameter)
    value = dimension.value(dimension.draw(Random(seed)))
    assert dimension.value(dimension.suggestion(value)) == value


@settings(max_examples=40, deadline=None)
@given(parameters(), SEEDS)
def test_what_optuna_proposes_is_what_the_file_allows(parameter: Parameter, seed: int) -> None:
    import optuna

    dimension = Dimension(parameter)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    value = dimension.value(study.ask({"x": dimension.distribution}).params["x"])
    if parameter.values is not None:
        assert repr(value) in map(repr, parameter.values)
    else:
        assert dimension.value(dimension.suggestion(value)) == value


@given(JSON | st.lists(JSON, max_size=3) | st.dictionaries(st.text(max_size=5), JSON, max_size=2))
def test_oaml_train_reads_a_value_back_as_it_was(value: Any) -> None:
    assert parse_value(as_override("x", value).partition("=")[2]) == value


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("log_uniform", math.e**-3, math.e**2), ("inv_log_uniform", math.e**-2, math.e**3)],
)
def test_exponents_of_e_are_turned_into_values(kind: str, low: float, high: float) -> None:
    assert Dimension(Parameter("x", kind, min=-3, max=2)).ends == pytest.approx((low, high))


def test_a_logarithmic_range_is_drawn_evenly_over_its_powers() -> None:
    dimension, dice = Dimension(Parameter("x", "log_uniform_values", min=1e-4, max=1e-2)), Random(0)
    assert median(dimension.draw(dice) for _ in range(2000)) == pytest.approx(1e-3, rel=0.1)


def test_probabilities_are_kept_to() -> None:
    dimension = Dimension(Parameter("x", "categorical", values=("a", "b"), probabilities=(0.9, 0.1)))
    dice = Random(0)
    assert 850 < Counter(dimension.draw(dice) for _ in range(1000))["a"] < 950


@pytest.mark.parametrize(
    ("parameter", "middle"),
    [
        (Parameter("x", "normal", mu=5.0, sigma=2.0), 5.0),
        (Parameter("x", "log_normal", mu=1.0, sigma=0.5), math.e),
        (Parameter("x", "q_normal", mu=40.0, sigma=9.0, q=4), 40),
        (Parameter("x", "beta", a=2.0, b=2.0), 0.5),
    ],
)
def test_a_random_search_draws_from_distributions_without_ends(parameter: Parameter, middle: float) -> None:
    (dimension,) = search_space(sweep("random", parameter)).dimensions
    dice, distribution = Random(0), dimension.distribution
    drawn = [dimension.draw(dice) for _ in range(1000)]
    assert all(distribution._contains(distribution.to_internal_repr(each)) for each in drawn)
    assert median(map(dimension.value, drawn)) == pytest.approx(middle, rel=0.1)


def test_a_whole_q_gives_whole_numbers() -> None:
    dimension = Dimension(Parameter("lora.r", "q_log_uniform_values", min=4, max=64, q=4))
    values = {dimension.value(dimension.draw(Random(seed))) for seed in range(200)}
    assert all(isinstance(value, int) and value % 4 == 0 and 4 <= value <= 64 for value in values)
    assert isinstance(Dimension(Parameter("x", "q_uniform", min=8, max=64, q=8)).distribution, IntDistribution)


def test_true_and_one_are_two_values() -> None:
    dimension = Dimension(Parameter("x", "categorical", values=(True, 1, 1.0)))
    assert [repr(dimension.value(choice)) for choice in dimension.choices] == ["True", "1", "1.0"]


@pytest.mark.parametrize("kind", ["normal", "log_normal", "q_normal", "q_log_normal", "beta", "q_beta"])
def test_what_tpe_cannot_do_is_refused_with_what_can(kind: str) -> None:
    with pytest.raises(SweepError, match=rf"sweep.yaml, line 7: parameters.x: .*no {kind} .*method: random"):
        search_space(sweep("bayes", Parameter("x", kind, mu=0, sigma=1, q=1, a=1, b=1, line=7)))


def test_all_that_is_refused_is_told_at_once() -> None:
    weighted = Parameter("y", "categorical", values=(1, 2), probabilities=(0.9, 0.1), line=9)
    with pytest.raises(SweepError, match=r"line 9: .*probabilities") as caught:
        search_space(sweep("bayes", Parameter("x", "normal", mu=0, sigma=1, line=7), weighted))
    assert len(caught.value.faults) == 2


def test_even_probabilities_are_none() -> None:
    assert search_space(sweep("bayes", Parameter("y", "categorical", values=(1, 2), probabilities=(0.5, 0.5))))


def test_a_grid_over_a_range_without_end_is_refused() -> None:
    with pytest.raises(SweepError, match=r"line 3: parameters.x: a grid over uniform has no end; give values"):
        search_space(sweep("grid", Parameter("x", "uniform", min=0.0, max=1.0, line=3)))


def test_a_grid_has_each_combination_once() -> None:
    space = search_space(
        sweep(
            "grid",
            Parameter("a", "categorical", values=("x", "y")),
            Parameter("b", "int_uniform", min=1, max=3),
            Parameter("c", "q_uniform", min=0.1, max=0.4, q=0.1),
            Parameter("d", "constant", values=(7,)),
        )
    )
    points = [space.values(space.grid_point(number, seed=1)) for number in range(24)]
    assert {tuple(point.values()) for point in points} == {
        (7, a, b, c) for a in "xy" for b in (1, 2, 3) for c in (0.1, 0.2, 0.3, 0.4)
    }
    assert points != [space.values(space.grid_point(number, seed=2)) for number in range(24)]


def test_own_values_outside_the_ranges_are_left_to_the_search() -> None:
    rate = Dimension(Parameter("lr", "log_uniform_values", min=1e-4, max=1e-3))
    space = SearchSpace((rate, Dimension(Parameter("r", "categorical", values=(4, 8)))), {})
    assert space.suggestions({"lr": 1e-2, "r": 8}) == {"r": 8}
    assert space.suggestions({"lr": 5e-4, "r": None}) == {"lr": 5e-4}


def test_short_names_stay_different() -> None:
    assert short_names(["lora.r", "training.seed", "demo_data.seed"]) == {
        "lora.r": "r",
        "training.seed": "training.seed",
        "demo_data.seed": "demo_data.seed",
    }
