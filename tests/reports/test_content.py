"""What a report says of its runs, whatever it is written as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks.compared.runs import ReadRun, RunEvaluation, read_runs
from oaml_callbacks.reports.content import Content, ReportError, content


class Nothing:
    """The long parts of a run that has none."""

    def history(self) -> list[Any]:
        return []

    def answers(self, evaluation: RunEvaluation) -> list[Any]:
        return []


def evaluation(accuracy: float, step: int = 10, *, split: str = "eval", baseline: bool = False) -> RunEvaluation:
    metrics = {
        "grounding_accuracy": accuracy,
        "grounding_accuracy_low": accuracy - 0.05,
        "grounding_accuracy_high": accuracy + 0.05,
        "grounding_distance": 1 - accuracy,
        "grounding_samples": 100,
    }
    return RunEvaluation(f"{split}@{step}", split, step, baseline, metrics)


def run(name: str, *evaluations: RunEvaluation, fingerprint: str | None = "same", **facts: Any) -> ReadRun:
    prints = {split: {"fingerprint": fingerprint} for split in {one.split for one in evaluations}}
    return ReadRun(
        reference=name,
        id=facts.pop("id", name),
        name=name,
        source="wandb",
        evaluations=evaluations,
        _source=Nothing(),
        fingerprints=prints,
        **facts,
    )


def made(*runs: ReadRun, title: str = "T") -> Content:
    return content(runs, title=title, now=1.8e9)


def test_the_outcome_names_the_best_run_with_its_interval_and_the_base_model() -> None:
    found = made(run("a", evaluation(0.6)), run("b", evaluation(0.1, 0, baseline=True), evaluation(0.9, 30)))
    assert found.outcome() == (
        "The best of 2 runs, b, clicks into the target in 90.0 % of the samples (95 % interval 85.0–95.0 %, "  # noqa: RUF001
        "100 samples) at step 30; the base model does in 10.0 %."
    )


def test_a_run_is_told_by_its_best_evaluation_and_shown_by_its_latest() -> None:
    found = made(run("a", evaluation(0.9, 10), evaluation(0.7, 20)))
    one = found.runs[0].sets["eval"]
    assert one.best is not None
    assert one.last is not None
    assert (one.best.step, one.last.step) == (10, 20)
    assert found.best_evaluation is one.best


def test_a_run_on_other_samples_is_marked_and_not_ranked() -> None:
    found = made(run("a", evaluation(0.5)), run("b", evaluation(0.6)), run("c", evaluation(0.9), fingerprint="other"))
    assert found.best is not None
    assert found.best.name == "b"
    assert [shown.sets["eval"].comparable for shown in found.runs] == [True, True, False]
    assert any("c was evaluated on other samples" in note for note in found.notes)
    assert found.outcome().startswith("The best of the 2 runs that can be compared, b, clicks")
    two = made(run("a", evaluation(0.5)), run("c", evaluation(0.9), fingerprint="other"))
    assert two.outcome().startswith("a clicks")  # of two that can't be compared none is the best


def test_where_the_samples_of_runs_are_not_known_it_says_so() -> None:
    found = made(run("a", evaluation(0.5), fingerprint=None), run("b", evaluation(0.6)))
    assert any("a was evaluated (eval) isn't known" in note for note in found.notes)


def test_a_lead_that_chance_may_have_made_is_called_so() -> None:
    assert "overlap" in made(run("a", evaluation(0.85)), run("b", evaluation(0.9))).doubt()
    assert made(run("a", evaluation(0.5)), run("b", evaluation(0.9))).doubt() == ""


def test_without_intervals_the_number_of_samples_or_nobody_says_what_chance_may_have_made() -> None:
    def plain(name: str, accuracy: float, **metrics: float) -> ReadRun:
        return run(name, RunEvaluation("eval@1", "eval", 1, False, {"grounding_accuracy": accuracy, **metrics}))

    assert "isn't known whether chance" in made(plain("a", 0.5), plain("b", 0.9)).doubt()
    assert "isn't known whether chance" in made(plain("a", 0.5), run("b", evaluation(0.9))).doubt()
    assert made(plain("a", 0.9)).doubt() == ""
    few, many = {"grounding_samples": 10.0}, {"grounding_samples": 1000.0}
    assert "overlap" in made(plain("a", 0.6, **few), plain("b", 0.9, **few)).doubt()
    assert made(plain("a", 0.6, **many), plain("b", 0.9, **many)).doubt() == ""


def test_runs_of_one_name_are_told_apart() -> None:
    found = made(run("same", id="x1"), run("same", id="x2"), run("own"))
    assert [shown.name for shown in found.runs] == ["same (x1)", "same (x2)", "own"]


def test_the_set_that_most_runs_have_is_the_main_one() -> None:
    web = evaluation(0.5, split="eval_web")
    assert made(run("a", web), run("b", web, evaluation(0.4))).sets == ["eval_web", "eval"]
    assert made(run("a", web, evaluation(0.4))).main == "eval"


@pytest.mark.parametrize(("outcome", "said"), [("training", "Nothing was evaluated yet."), ("finished", "in 1 run.")])
def test_without_an_evaluation_it_says_so(outcome: str, said: str) -> None:
    found = made(run("a", outcome=outcome))
    assert found.best is None
    assert found.outcome().endswith(said)


def test_a_run_that_is_given_twice_counts_once(runs: Path) -> None:
    given = [str(runs / "long"), "long", str(runs / "short"), str(runs / "current")]
    found = content(read_runs(given, runs_dir=runs), title="T", now=0)
    assert [shown.run.id for shown in found.runs] == ["long", "short", "hostile"]  # `current` is the last one begun


def test_a_folder_and_its_address_are_one_run() -> None:
    url = "https://wandb.ai/acme/clicks/runs/a"
    assert len(made(run("a", url=url, folder=Path("a")), run("b", url=url)).runs) == 1


def test_an_empty_title_is_refused() -> None:
    with pytest.raises(ReportError, match="--title"):
        made(run("a"), title=" ")
