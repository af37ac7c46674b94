"""Names of keys, and README's table of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from oaml_callbacks.keys import KEYS, loop_key, markdown_table, split_evaluation_key, trainer_key

README = Path(__file__).parents[1] / "README.md"


def test_readme_has_the_table_of_keys_as_it_is() -> None:
    assert markdown_table() in README.read_text(encoding="utf-8")


def test_no_key_is_listed_twice() -> None:
    names = [key.name for key in KEYS]
    assert len(names) == len(set(names))


def test_trainer_metrics_are_named_as_transformers_own_integration_names_them() -> None:
    from transformers.integrations.integration_utils import rewrite_logs

    names = ["loss", "eval_loss", "eval_web_loss", "test_loss", "a/b", "eval_", "evaluation", "c.d", "grounding/x"]
    assert [trainer_key(name) for name in names] == list(rewrite_logs(dict.fromkeys(names, 0)))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("name", "key"),
    [("loss", "train/loss"), ("eval_loss", "eval/loss"), ("eval/loss", "eval/loss"), ("val/iou", "val/iou")],
)
def test_names_in_a_hand_written_loop(name: str, key: str) -> None:
    assert loop_key(name) == key


def test_what_cannot_be_printed_becomes_an_underscore() -> None:
    assert trainer_key("a\nb\x00c") == "train/a_b_c"
    assert loop_key("val/a\tb") == "val/a_b"


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("eval/grounding_accuracy", ("", "grounding_accuracy")),
        ("eval/web_grounding_accuracy", ("web_", "grounding_accuracy")),
        ("eval/loss", None),
        ("train/grounding_accuracy", None),
    ],
)
def test_a_grounding_key_is_taken_apart(key: str, parts: tuple[str, str] | None) -> None:
    assert split_evaluation_key(key) == parts
