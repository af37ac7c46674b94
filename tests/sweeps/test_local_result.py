"""What a search leaves behind: importance, the best configuration, the picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks.config import load_config
from oaml_callbacks.sweeps.best_config import write_best
from oaml_callbacks.sweeps.importance import importances, tendency
from oaml_callbacks.sweeps.pictures import MAX_AXES, Objective, draw_search
from oaml_callbacks.sweeps.search_result import SearchedTrial
from oaml_callbacks.sweeps.search_space import Dimension, SearchSpace
from oaml_callbacks.sweeps.sweep_file import Parameter

CONFIGS = Path(__file__).parents[2] / "configs"
ACCURACY = Objective("eval/grounding_accuracy", "maximize")
RATE = Dimension(Parameter("training.learning_rate", "log_uniform_values", min=1e-4, max=1e-2))
RANK = Dimension(Parameter("lora.r", "categorical", values=(4, 8, 16, 32)))
SCHEDULE = Dimension(Parameter("training.lr_scheduler_type", "categorical", values=("cosine", "linear")))
SPACE = SearchSpace((RATE, RANK, SCHEDULE), {})


def trial(number: int, values: dict[str, Any], value: float | None, state: Any = "finished") -> SearchedTrial:
    figures = (
        {} if value is None else {"eval/grounding_accuracy_low": value - 0.1, "eval/grounding_accuracy_high": 1.0}
    )
    return SearchedTrial(
        number=number,
        values=values,
        state=state,
        value=value,
        step=10,
        figures=figures,
        evaluations=5,
        seconds=60.0,
        own=number == 1,
        why=None,
        folder=Path("trial"),
        adapter=None,
        run_id=None,
    )


def trials(count: int, value: Any, **options: Any) -> list[SearchedTrial]:
    dice = Random(5)
    drawn = [SPACE.values(SPACE.draw(dice)) for _ in range(count)]
    return [trial(number, values, value(values), **options) for number, values in enumerate(drawn, start=1)]


def test_what_decides_is_found() -> None:
    found = importances(trials(20, lambda v: v["training.learning_rate"] ** 0.5), SPACE.dimensions, "maximize")
    assert next(iter(found)) == RATE.name
    assert found[RATE.name] > 0.9
    assert max(found[RANK.name], found[SCHEDULE.name]) < 0.3


def test_a_best_value_in_the_middle_is_found() -> None:
    peaked = trials(20, lambda v: -abs(v["training.learning_rate"] - 1e-3) / v["training.learning_rate"] ** 0.5)
    found = importances(peaked, SPACE.dimensions, "maximize")
    assert found[RATE.name] > 0.6
    assert tendency(peaked, RATE, "maximize") is None


def test_a_choice_that_decides_is_found() -> None:
    found = importances(
        trials(20, lambda v: v["training.lr_scheduler_type"] == "linear"), SPACE.dimensions, "maximize"
    )
    assert found[SCHEDULE.name] == pytest.approx(1)


@pytest.mark.parametrize(("goal", "expected"), [("maximize", "more"), ("minimize", "less")])
def test_which_way_is_better_is_told_where_it_is_clear(goal: Any, expected: str) -> None:
    rising = trials(20, lambda v: v["lora.r"])
    assert tendency(rising, RANK, goal) == expected
    assert tendency(rising, SCHEDULE, goal) is None


def test_chance_explains_nothing_on_average() -> None:
    dice = Random(1)
    shares = [
        importances(trials(12, lambda v: dice.random()), SPACE.dimensions, "maximize")[RATE.name] for _ in range(30)
    ]
    assert sum(shares) / len(shares) < 0.15


@pytest.mark.parametrize("count", [0, 3])
def test_of_too_few_trials_nothing_is_said(count: int) -> None:
    assert importances(trials(count, lambda v: v["lora.r"]), SPACE.dimensions, "maximize") == {}


def test_equal_values_and_a_parameter_that_never_varied_are_no_error() -> None:
    same = [trial(number, {RATE.name: 1e-3, RANK.name: 8, SCHEDULE.name: "cosine"}, 0.5) for number in range(1, 9)]
    assert set(importances(same, SPACE.dimensions, "maximize").values()) == {0.0}


@pytest.mark.parametrize(
    "given",
    [
        trials(12, lambda v: v["training.learning_rate"] ** 0.2),
        [*trials(5, lambda v: 0.5), trial(6, {}, None, "failed"), trial(7, {RATE.name: 2e-3}, 0.2, "pruned")],
        trials(1, lambda v: 0.0),
        trials(2, lambda v: 0.5, state="pruned"),
    ],
    ids=["usual", "failed", "one", "none finished"],
)
def test_a_picture_is_drawn_of_whatever_there_is(given: list[SearchedTrial], tmp_path: Path) -> None:
    path = tmp_path / "search.png"
    found = importances(given, SPACE.dimensions, "maximize")
    draw_search(path, given, SPACE, ACCURACY, found, title="$hostile_name$ \x1b[31m" + "x" * 300)
    with Image.open(path) as picture:
        assert picture.size == (1760, 1344)
        assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert list(tmp_path.iterdir()) == [path]


def test_names_and_values_of_many_parameters_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr("oaml_callbacks.sweeps.pictures._save", lambda figure, path: figures.append(figure))
    words = tuple(f"constant_with_warmup_{number}" for number in range(3))
    kinds = [Parameter(f"training.{n}gradient_accumulation_steps", "categorical", values=words) for n in range(12)]
    space = SearchSpace(tuple(map(Dimension, kinds)), {})
    given = [trial(n, space.values(space.draw(Random(n))), n / 10) for n in range(1, 9)]
    draw_search(Path("x.png"), given, space, ACCURACY, importances(given, space.dimensions, "maximize"), title="x")
    figures[0].draw_without_rendering()
    (axes,) = figures[0].subfigs[1].axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) > MAX_AXES * 4
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])


def test_a_picture_of_distributions_without_ends(tmp_path: Path) -> None:
    normal = Dimension(Parameter("x", "normal", mu=0.0, sigma=1.0))
    stepped = Dimension(Parameter("y", "q_log_uniform_values", min=4, max=64, q=4))
    space = SearchSpace((normal, stepped), {})
    given = [trial(n, space.values(space.draw(Random(n))), n / 10) for n in range(1, 8)]
    draw_search(tmp_path / "x.png", given, space, Objective("eval/loss", "minimize"), {}, title="x")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_where_nothing_was_varied_the_picture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr("oaml_callbacks.sweeps.pictures._save", lambda figure, path: figures.append(figure))
    given = [trial(n, {"lora.r": 8}, 0.5) for n in range(1, 6)]
    draw_search(Path("x.png"), given, SearchSpace((), {"lora.r": 8}), ACCURACY, {}, title="x")
    assert "Nothing was varied." in [text.get_text() for text in figures[0].subfigs[0].axes[1].texts]
    assert not figures[0].subfigs[1].axes


def test_the_best_configuration_is_the_configuration_with_other_values(tmp_path: Path) -> None:
    source = tmp_path / "configs"
    source.mkdir()
    (source / "tiny").mkdir()
    (source / "run.yaml").write_text(
        "model: {name: ./tiny}\nlora: {r: 8, weights_path: mine}\ndata: {train: rows.jsonl}\n"
        "training:\n  learning_rate: 1e-3\n  output_dir: out\n  report_to: [wandb]\nwandb:\n  notes: 'a: b # c'\n",
        encoding="utf-8",
    )
    best = tmp_path / "search" / "best.yaml"
    best.parent.mkdir()
    write_best(
        best,
        source / "run.yaml",
        ["training.max_steps=7", "lr_scheduler_type=linear"],
        {
            "training.learning_rate": 2.5e-5,
            "r": 16,
            "training.bf16": False,
            "lora.target_modules": ["q_proj", "v_proj"],
        },
        heading=["Found", "by a search."],
        output_dir=tmp_path / "search" / "best",
    )
    was = load_config(
        source / "run.yaml",
        ["training.max_steps=7", "training.lr_scheduler_type=linear", "training.learning_rate=2.5e-05", "lora.r=16",
         "training.bf16=false", "lora.target_modules=[q_proj, v_proj]", "lora.weights_path=null"],
    )  # fmt: skip
    found = load_config(best)
    assert found.training.pop("output_dir") == str(tmp_path / "search" / "best")
    assert was.training.pop("output_dir") == "out"
    assert Path(found.model_source()).resolve() == Path(was.model_source()).resolve()
    assert found.input_path(str(found.data.train)).resolve() == was.input_path(str(was.data.train)).resolve()
    for config in (found, was):
        config.model.name = config.data.train = "the same"
    assert found.as_given() == was.as_given()
    text = best.read_text(encoding="utf-8")
    assert text.startswith("# Found\n# by a search.\n")
    assert "  learning_rate: 2.5e-05  # found by the search; was 0.001\n" in text
    assert "  max_steps: 7  # set by the sweep's command\n" in text


def test_text_of_the_configuration_stays_text(tmp_path: Path) -> None:
    """Also what looks like a number, or has lines."""
    (tmp_path / "run.yaml").write_text(
        "model: {name: any}\nwandb:\n  run_name: '1e-4'\n  notes: |\n    one\n    two: 2\n  group: 'ends...'\n"
        'training: {run_name: "5E3", lr_scheduler_kwargs: {a: 1e-5}}\n',
        encoding="utf-8",
    )
    best = tmp_path / "best.yaml"
    values = {"wandb.tags": ["1e3", "a\nb", "yes", "\u2028x", ""]}
    write_best(best, tmp_path / "run.yaml", [], values, heading=["x"], output_dir=tmp_path / "best")
    was, found = load_config(tmp_path / "run.yaml"), load_config(best)
    assert found.wandb.tags == values["wandb.tags"]
    assert found.wandb.model_dump(exclude={"tags"}) == was.wandb.model_dump(exclude={"tags"})
    assert was.training.items() <= found.training.items()


def test_the_best_configuration_of_the_demo_finds_its_model_from_elsewhere(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS / "demo" / "tiny-qwen3-vl", tmp_path / "c" / "demo" / "tiny-qwen3-vl")
    shutil.copy(CONFIGS / "demo.yaml", tmp_path / "c")
    best = tmp_path / "out" / "best.yaml"
    best.parent.mkdir()
    write_best(best, tmp_path / "c" / "demo.yaml", [], {"lora.r": 16}, heading=["x"], output_dir=Path("out/best"))
    assert "name: ../c/demo/tiny-qwen3-vl" in best.read_text(encoding="utf-8")
    assert Path(load_config(best).model_source()).is_dir()
