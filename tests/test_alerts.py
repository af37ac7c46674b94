"""Alerts: what is told, when, and how often; and that nothing in them acts where they are shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from oaml_callbacks.alerts import MAX_SHOWN_SETS, MAX_TITLE, MAX_TOLD, Alerts, Level
from oaml_callbacks.wilson import wilson_interval

NAN, INF = math.nan, math.inf


class Told(list[tuple[str, str, Level]]):
    """What was sent, in its order."""

    def __call__(self, title: str, text: str, level: Level) -> None:
        self.append((title, text, level))

    @property
    def titles(self) -> list[str]:
        return [title for title, _, _ in self]

    @property
    def texts(self) -> str:
        return "\n".join(text for _, text, _ in self)


@pytest.fixture
def told() -> Told:
    return Told()


def evaluation(name: str = "", *, samples: Any = 100, **metrics: Any) -> dict[str, Any]:
    """An evaluation's row, of a named set where `name` is its prefix (`web_`)."""
    row = {"train/global_step": 5, f"eval/{name}loss": 1.0}
    row |= {f"eval/{name}grounding_{metric}": value for metric, value in metrics.items()}
    return row if samples is None else {**row, f"eval/{name}grounding_samples": samples}


def based(told: Told, *, accuracy: float = 0.5, parsed: float = 0.9, name: str = "") -> Alerts:
    alerts = Alerts(told)
    alerts.baselines({name: accuracy}, {name: parsed})
    return alerts


# The loss ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [NAN, INF, -INF, np.float32("nan")])
def test_a_training_loss_that_is_no_number_is_told_once(told: Told, loss: Any) -> None:
    """With the last loss that was one; at later rows nothing more."""
    alerts = Alerts(told)
    alerts.row({"train/loss": 1.25}, 10)
    for step in (20, 30):
        alerts.row({"train/loss": loss}, step)
    assert told.titles == ["The training loss is NaN or infinite"]
    assert told[0][2] == "ERROR"
    assert f"train/loss is {float(loss)} at step 20. It was 1.25 at step 10." in told[0][1]


@pytest.mark.parametrize("norm", [NAN, INF])
def test_a_loss_of_0_beside_a_broken_gradient_is_nan(told: Told, norm: float) -> None:
    """The Trainer writes 0 for it by default."""
    Alerts(told).row({"train/loss": 0.0, "train/grad_norm": norm}, 3)
    assert told.titles == ["The training loss is NaN or infinite"]
    assert "logging_nan_inf_filter" in told[0][1]


@pytest.mark.parametrize(
    "row",
    [
        {"train/loss": 0.0},
        {"train/loss": 0.0, "train/grad_norm": 0.0},
        {"train/loss": 1e-9, "train/grad_norm": INF},
        {"train/loss": 1e308, "train/grad_norm": NAN},
        {"train/grad_norm": NAN},
        {"train/reward": NAN, "train/kl_loss": NAN},
        {"eval/grounding_distance": INF, "eval/runtime": NAN},
    ],
)
def test_what_is_no_broken_loss_is_not_told(told: Told, row: Mapping[str, Any]) -> None:
    """A loss of 0 is one (GRPO's often is), and fp16's scaler meets infinite gradients as a matter of course."""
    Alerts(told).row(row, 3)
    assert told == []


@pytest.mark.parametrize("key", ["eval/loss", "eval/web_loss"])
def test_an_evaluation_loss_that_is_nan_is_told_once_with_the_training_s(told: Told, key: str) -> None:
    """It is one cause: whichever shows first is told."""
    alerts = Alerts(told)
    alerts.row({key: NAN}, 5)
    alerts.row({"train/loss": NAN, "eval/loss": INF}, 6)
    assert told.titles == ["The evaluation loss is NaN or infinite"]
    assert f"{key} is nan at step 5" in told[0][1]


# The accuracy --------------------------------------------------------------------------------------------------------


def test_an_accuracy_that_chance_does_not_explain_is_told_once(told: Told) -> None:
    """With both figures, the interval's end and the number of samples; a later one not again."""
    alerts = based(told)
    for step in (5, 10):
        alerts.row(evaluation(accuracy=0.3), step)
    assert told.titles == ["Accuracy is below the base model's"]
    assert told[0][2] == "WARN"
    high = wilson_interval(30, 100)[1]
    assert (
        f"eval/grounding_accuracy at step 5 is 0.3000 of 100 samples, and by its 95 % interval at most {high:.4f}"
        in (told[0][1])
    )
    assert "The base model's is 0.5000" in told[0][1]


@pytest.mark.parametrize(("baseline", "tells"), [(1e-9, True), (0.0, False), (-1e-9, False)])
def test_the_accuracy_s_bound_is_the_interval_s_end(told: Told, baseline: float, tells: bool) -> None:
    """Told where the base model is above it, by however little; not where it is at it or below."""
    based(told, accuracy=wilson_interval(40, 100)[1] + baseline).row(evaluation(accuracy=0.4), 5)
    assert bool(told) is tells


@pytest.mark.parametrize(("high", "tells"), [(0.49, True), (0.5, False)])
def test_an_interval_in_the_row_goes_before_one_of_ours(told: Told, high: float, tells: bool) -> None:
    """It is looked at as it was logged, also where the number of samples isn't known."""
    based(told).row(evaluation(accuracy=0.3, accuracy_high=high, samples=None), 5)
    assert bool(told) is tells


def test_an_accuracy_of_few_samples_is_chance(told: Told) -> None:
    """0.3 against 0.5 says nothing with 10 samples, and of an unknown number nothing is known."""
    alerts = based(told)
    alerts.row(evaluation(accuracy=0.3, samples=10), 5)
    alerts.row(evaluation(accuracy=0.0, samples=None), 10)
    assert told == []


def test_without_a_base_model_no_accuracy_is_low(told: Told) -> None:
    """There is nothing to compare it with."""
    Alerts(told).row(evaluation(accuracy=0.0), 5)
    assert told == []


# Readable answers ----------------------------------------------------------------------------------------------------


def test_answers_that_can_not_be_read_are_told_once(told: Told) -> None:
    """Against the base model's share."""
    alerts = based(told)
    for step in (5, 10):
        alerts.row(evaluation(parsed=0.2), step)
    assert told.titles == ["Answers can't be read"]
    assert told[0][2] == "WARN"
    assert "eval/grounding_parsed at step 5 is 0.2000 of 100 samples. It was 0.9000." in told[0][1]


@pytest.mark.parametrize(("parsed", "tells"), [(0.44, True), (0.45, False), (0.46, False)])
def test_the_bound_of_readable_answers_is_half_of_the_highest(told: Told, parsed: float, tells: bool) -> None:
    """Told below it, not at it."""
    based(told, parsed=0.9).row(evaluation(parsed=parsed), 5)
    assert bool(told) is tells


def test_the_highest_share_is_that_of_any_evaluation(told: Told) -> None:
    """A training that taught the form and lost it again is told of, with no base model measured."""
    alerts = Alerts(told)
    for step, parsed in enumerate([0.1, 0.8, 0.3]):
        alerts.row(evaluation(parsed=parsed), step)
    assert told.titles == ["Answers can't be read"]
    assert "It was 0.8000" in told[0][1]


@pytest.mark.parametrize("samples", [4, None])
def test_few_unreadable_answers_are_chance(told: Told, samples: int | None) -> None:
    """Half of the highest isn't enough where the interval reaches it, or can't be had."""
    based(told, parsed=0.5).row(evaluation(parsed=0.0 if samples is None else 0.2, samples=samples), 5)
    assert told == []


# Sets, rows, values --------------------------------------------------------------------------------------------------


def test_each_set_is_a_cause_of_its_own(told: Told) -> None:
    """Named in the title, and compared with its own base model."""
    alerts = Alerts(told)
    alerts.baselines({"": 0.2, "web_": 0.9, "big_screen_": 0.9}, {"web_": 0.9})
    row = evaluation(accuracy=0.3) | evaluation("web_", accuracy=0.3, parsed=0.1)
    row |= evaluation("big_screen_", accuracy=0.3)
    for step in (5, 10):
        alerts.row(row, step)
    assert told.titles == [
        "Accuracy is below the base model's (web)",
        "Answers can't be read (web)",
        "Accuracy is below the base model's (big_screen)",
    ]
    assert alerts.told == ["accuracy/web_", "parsed/web_", "accuracy/big_screen_"]


def test_groups_are_no_sets(told: Told) -> None:
    """The accuracy of a group of samples is of fewer, and is not compared."""
    row = evaluation() | {"eval/grounding_accuracy/text": 0.0, "eval/grounding_accuracy/grounding_parsed": 0.0}
    based(told).row(row, 5)
    assert told == []


def test_hundreds_of_causes_are_not_hundreds_of_alerts(told: Told) -> None:
    """The first ones are told; that the loss is NaN is told in any case."""
    names = [f"s{number}_" for number in range(3 * MAX_TOLD)]
    alerts = Alerts(told)
    alerts.baselines(dict.fromkeys(names, 0.9), {})
    for name in names:
        alerts.row(evaluation(name, accuracy=0.1), 5)
    assert len(told) == MAX_TOLD
    alerts.row({"train/loss": NAN}, 6)
    assert told.titles[MAX_TOLD:] == ["The training loss is NaN or infinite"]


BAD = [
    None,
    "nan",
    "",
    10**400,
    -(10**400),
    NAN,
    INF,
    -1,
    0,
    True,
    [],
    {},
    object(),
    np.array([1.0, 2.0]),
    1 + 2j,
    1e300,
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{index}-{type(value).__name__}" for index, value in enumerate(BAD)])
@pytest.mark.parametrize("metric", ["accuracy", "accuracy_high", "parsed", "samples"])
def test_no_value_raises(told: Told, metric: str, bad: Any) -> None:
    """Whatever stands in an evaluation's row, or beside the training's loss, and in the summary."""
    alerts = based(told)
    alerts.row({**evaluation(accuracy=0.6, parsed=0.95), f"eval/grounding_{metric}": bad}, 5)
    alerts.row({"train/loss": bad, "train/grad_norm": bad, "eval/loss": bad, "eval/grounding_": bad, "eval/": bad}, 6)
    alerts.baselines({"": bad}, {"": bad})
    best = {"best/grounding_accuracy": bad, "best/grounding_distance": bad, "best/global_step": bad}
    alerts.ended("finished", step=6, best={**best, "best/web_grounding_accuracy": 0.5, "best/": bad})
    assert told.titles[-1] == "Training finished"


def test_what_can_not_be_sent_is_not_tried_again(told: Told) -> None:
    """The cause counts as told, so that a fault costs one attempt."""
    calls = []

    def send(*alert: str) -> None:
        calls.append(alert)
        raise OSError("the disk is full")

    alerts = Alerts(send)
    with pytest.raises(OSError, match="full"):
        alerts.row({"train/loss": NAN}, 1)
    alerts.row({"train/loss": NAN}, 2)
    assert len(calls) == 1


def test_rows_without_evaluations_ask_for_no_sets(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their keys are looked at, and nothing is taken apart."""
    from oaml_callbacks import keys

    monkeypatch.setattr(keys, "split_evaluation_key", None)
    based(told).row({"train/loss": 1.0, "train/grad_norm": 1.0, "train/learning_rate": 1e-4, "test/loss": NAN}, 1)
    assert told == []


# A resume ------------------------------------------------------------------------------------------------------------


def test_a_resumed_training_tells_nothing_twice(told: Told) -> None:
    """`told` and `seen`, through a checkpoint's JSON, are all it needs."""
    first = based(told)
    bad = {**evaluation(accuracy=0.1, parsed=0.1), "train/loss": NAN}
    first.row(bad, 5)
    assert len(told) == 3
    saved = json.loads(json.dumps({"told": first.told, "seen": first.seen}))
    second = Alerts(told, **saved)
    second.row(bad, 10)
    assert len(told) == 3
    assert (second.told, second.seen) == (first.told, first.seen)


def test_a_resumed_training_knows_what_to_compare_with(told: Told) -> None:
    """It measures no base model, and has the highest share that the earlier parts saw."""
    first = based(told, parsed=0.5)
    first.row(evaluation(parsed=0.95), 5)
    second = Alerts(told, told=first.told, seen=first.seen)
    assert second.seen == {"accuracy": {"": 0.5}, "parsed": {"": 0.95}}
    second.row(evaluation(accuracy=0.1, parsed=0.4), 10)
    assert sorted(second.told) == ["accuracy/", "parsed/"]
    assert "It was 0.9500" in told.texts


def test_a_base_model_measured_later_does_not_lower_the_highest_share(told: Told) -> None:
    """The accuracies are the last measured, the shares the highest."""
    alerts = based(told, accuracy=0.5, parsed=0.9)
    alerts.baselines({"": 0.4}, {"": 0.3})
    assert alerts.seen == {"accuracy": {"": 0.4}, "parsed": {"": 0.9}}


# The end -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "level", "resumes"),
    [
        ("finished", "INFO", False),
        ("interrupted", "INFO", True),
        ("preempted", "WARN", True),
        ("failed", "ERROR", True),
        ("failed: RuntimeError", "ERROR", True),
    ],
)
def test_each_end_is_told_as_what_it_was(told: Told, outcome: str, level: Level, resumes: bool) -> None:
    """The title is the outcome; where there is more to train, the text says how."""
    Alerts(told).ended(outcome, step=7, best={})
    advice = "\nResumed from its last checkpoint, it goes on with this run." if resumes else ""
    assert told == [(f"Training {outcome}", f"After 7 steps.{advice}", level)]


def test_an_end_has_the_best_evaluation_of_each_set(told: Told) -> None:
    """Beside the base model's; what isn't known, or isn't finite, is left out."""
    best = {
        "best/grounding_accuracy": 0.75,
        "best/grounding_distance": 0.0625,
        "best/global_step": 40,
        "best/web_grounding_accuracy": 0.25,
        "best/web_grounding_distance": INF,
        "best/loss": 1,
        "best/grounding_accuracy/text": 0.1,
        "baseline/grounding_accuracy": 0.5,
        "eval/grounding_accuracy": 0.1,
        "outcome": "finished",
    }
    based(told).ended("finished", step=50, best=best)
    assert told[0][1].splitlines() == [
        "After 50 steps.",
        "Best evaluation: accuracy 0.7500 (base model 0.5000), distance 0.0625, at step 40.",
        "Best evaluation (web): accuracy 0.2500.",
    ]


def test_an_end_lists_a_few_sets_and_counts_the_others(told: Told) -> None:
    """An alert is no table."""
    best = {f"best/s{number}_grounding_accuracy": 0.5 for number in range(MAX_SHOWN_SETS + 3)}
    Alerts(told).ended("finished", step=1, best=best)
    lines = told[0][1].splitlines()
    assert len(lines) == 1 + MAX_SHOWN_SETS + 1
    assert lines[-1] == "And of 3 more sets."


def test_an_end_is_told_once(told: Told) -> None:
    """A training that goes on after its end, or ends otherwise, has another one."""
    alerts = Alerts(told)
    for outcome, step in [("finished", 5), ("finished", 5), ("finished", 9), ("failed: ValueError", 9)]:
        alerts.ended(outcome, step=step, best={})
    assert told.titles == ["Training finished", "Training finished", "Training failed: ValueError"]


@pytest.mark.parametrize(
    ("outcome", "tells"),
    [("preempted", False), ("failed: SystemExit", False), ("finished", True), ("failed: OutOfMemoryError", True)],
)
def test_an_end_by_the_signal_that_was_told_is_not_told_again(told: Told, outcome: str, tells: bool) -> None:
    """The training may take another step before it stops; one that goes on instead has its own end."""
    alerts = Alerts(told)
    alerts.ended("preempted", step=5, best={})
    alerts.ended(outcome, step=6, best={})
    assert told.titles == ["Training preempted", *([f"Training {outcome}"] if tells else [])]


# Text of others ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<!channel>",
    "<@U012AB3CD>",
    "@everyone",
    "<https://evil.example|click here>",
    "a\nb\r\x1b[31m\u202e",
    "\x00" * 40,
    "x" * 300,
    "\ud800",
    "é😀" * 40,
]


@pytest.mark.parametrize("name", HOSTILE, ids=map(ascii, range(len(HOSTILE))))
def test_a_set_s_name_is_shown_and_does_nothing(told: Told, name: str) -> None:
    """In all alerts: nobody is called, nothing is a link, a name is on one line, and titles fit."""
    prefix = f"{name}_"
    alerts = Alerts(told)
    alerts.baselines({prefix: 0.9}, {prefix: 0.9})
    alerts.row(evaluation(prefix, accuracy=0.1, parsed=0.1), 5)
    alerts.row({f"eval/{name}_loss": NAN}, 6)
    alerts.ended(f"failed: {name}", step=6, best={f"best/{prefix}grounding_accuracy": 0.5})
    assert len(told) == 4
    for title, text, _ in told:
        assert len(title) <= MAX_TITLE
        assert title.isprintable()
        assert all(line.isprintable() for line in text.split("\n"))
        assert not set("<>@") & set(title + text)
        assert len(text) < 1500
        assert len(text.split("\n")) <= 3
        (title + text).encode()


def test_titles_of_long_names_differ(told: Told) -> None:
    """W&B holds back an alert with the title of one just sent, so two sets must not have one."""
    names = [f"{'x' * 100}{number}_" for number in range(2)]
    alerts = Alerts(told)
    alerts.baselines(dict.fromkeys(names, 0.9), {})
    for name in names:
        alerts.row(evaluation(name, accuracy=0.1), 5)
    assert len(set(told.titles)) == 2


@pytest.mark.parametrize("secret", ["hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "https://user:hunter2@host.example/x"])
def test_no_secret_is_sent(told: Told, secret: str) -> None:
    """Not one that a set is named by."""
    prefix = f"{secret}_"
    alerts = Alerts(told)
    alerts.baselines({prefix: 0.9}, {})
    alerts.row(evaluation(prefix, accuracy=0.1), 5)
    alerts.ended("finished", step=5, best={f"best/{prefix}grounding_accuracy": 0.5})
    assert len(told) == 2
    assert "hunter2" not in str(told)
    assert "abcdefghijklmnop" not in str(told)
