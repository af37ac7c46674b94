"""The model card: what a person reads, what the Hub reads, and what stays of what was there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from oaml_callbacks.adapters.facts import CardFacts, Evaluated, evaluated_at, main_evaluation
from oaml_callbacks.adapters.model_card import BEGIN, END, card_text, markdown, section_text, write_card

FACTS = CardFacts(
    base_model="Qwen/Qwen3-VL-2B-Instruct",
    base_revision="0123abc",
    lora={"r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "bias": "none", "target_modules": ["q_proj", "v_proj"]},
    step=120,
    epoch=1.5,
    evaluated=Evaluated(
        "eval",
        {
            "grounding_accuracy": 0.93,
            "grounding_accuracy_low": 0.872,
            "grounding_accuracy_high": 0.963,
            "grounding_distance": 0.021,
            "grounding_parsed": 1.0,
            "grounding_samples": 128,
        },
    ),
    metric="eval_grounding_accuracy",
    metric_value=0.93,
    baseline={"grounding_accuracy": 0.1, "grounding_distance": 0.224},
    fingerprint="0f" * 32,
    run_id="woyr43ov",
    run_name="first try",
    links={"run_url": "https://wandb.ai/me/clicks/runs/woyr43ov", "viewer_url": "http://localhost:8080/viewer.html"},
    training={"learning_rate": 1e-4, "max_steps": 150},
)


def read(card: str) -> Any:
    """A card's front matter, as the Hub's own library reads it."""
    return ModelCard(card).data


def test_it_says_what_it_is_how_well_it_clicks_and_how_it_is_loaded() -> None:
    text = section_text(FACTS)
    assert "# first try" in text
    assert "A LoRA adapter for Qwen/Qwen3-VL-2B-Instruct, after 120 steps (1.5 epochs)" in text
    assert "**0.930** (95 % interval 0.872–0.963) | 0.100" in text  # noqa: RUF001
    assert "| 0.021 | 0.224 |" in text
    assert f"on 128 samples of the set eval (fingerprint `{'0f' * 32}`)" in text
    assert 'from_pretrained("Qwen/Qwen3-VL-2B-Instruct", revision="0123abc")' in text
    assert "| LoRA rank | 16 |" in text
    assert "| learning rate | 0.0001 |" in text
    assert "[W&B run](https://wandb.ai/me/clicks/runs/woyr43ov)" in text


def test_links_to_the_readers_own_machine_are_left_out() -> None:
    assert "localhost" not in section_text(FACTS)
    shown = section_text(replace(FACTS, links={"viewer_url": "https://viewer.example/?run=1"}))
    assert "[Viewer](https://viewer.example/?run=1)" in shown


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = read(card_text(FACTS))
    assert (data.base_model, data.library_name, data.pipeline_tag) == (
        "Qwen/Qwen3-VL-2B-Instruct", "peft", "image-text-to-text"
    )  # fmt: skip
    assert {"lora", "gui-grounding"} <= set(data.tags)
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    assert results == {"accuracy": 0.93, "distance": 0.021}


@pytest.mark.parametrize("base", ["/home/me/models/qwen", "~/models/qwen", "./qwen", "C:\\models\\qwen", ""])
def test_a_base_that_is_no_name_on_the_hub_is_not_among_what_it_reads(base: str) -> None:
    """It refuses a card that has one there."""
    existing = f"---\nbase_model: {base or '/tmp/base'}\ntags:\n- 'base_model:adapter:{base}'\n---\n\ntext"
    text = card_text(replace(FACTS, base_model=base), existing)
    assert "base_model" not in text.partition("---\n\n")[0]
    assert read(text).base_model is None


def test_a_base_in_a_folder_of_the_working_directory_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen").mkdir()
    assert read(card_text(replace(FACTS, base_model="qwen"))).base_model is None


def test_what_others_wrote_stays_and_ours_is_replaced() -> None:
    existing = (
        "---\nlicense: apache-2.0\ntags:\n- mine\nmodel-index:\n- name: theirs\n  results:\n"
        "  - task:\n      type: other\n    dataset:\n      name: d\n      type: other/d\n"
        "    metrics:\n    - type: f1\n      value: 0.5\n---\n\n# Mine\n\nA `text` of mine.\n"
    )
    first = card_text(FACTS, existing)
    second = card_text(replace(FACTS, step=150, evaluated=Evaluated("eval", {"grounding_accuracy": 0.95})), first)
    assert second.count(BEGIN) == second.count(END) == 1
    assert second.endswith("# Mine\n\nA `text` of mine.\n")
    assert "150 steps" in second
    assert "120 steps" not in second
    data = read(second)
    assert (data.license, data.tags[0]) == ("apache-2.0", "mine")
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values == {"f1": 0.5, "accuracy": 0.95}


def test_written_again_it_is_the_same() -> None:
    for existing in (None, "", "# Mine\n", "---\ntags: lora\n---\n# Mine\n", "---\n[no: yaml\n---\n# Mine\n"):
        once = card_text(FACTS, existing)
        assert card_text(FACTS, once) == once


def test_front_matter_that_nobody_can_read_stays_as_it_is() -> None:
    existing = "---\n[no: yaml\n---\n# Mine\n"
    text = card_text(FACTS, existing)
    assert text.startswith("---\n[no: yaml\n---\n")
    assert "# first try" in text
    assert text.endswith("# Mine\n")


HOSTILE = "a`|*b*_c_[d](http://e.example)<script>&@all www.f.example\n# g $x$ " + END


@pytest.mark.parametrize("field", ["base_model", "run_name", "base_revision"])
def test_names_of_others_are_text_whatever_they_are(field: str) -> None:
    hostile: dict[str, Any] = {field: HOSTILE}
    text = section_text(replace(FACTS, **hostile))
    code = text.partition("```python")[2].partition("```")[0]
    shown = text.replace(code, "")
    assert "<script>" not in shown
    assert "[d](" not in shown
    assert "\n# g" not in text
    assert END not in text
    compile(code, "card", "exec")
    full = card_text(replace(FACTS, **hostile))
    assert card_text(FACTS, full + "\nHello\n").endswith("Hello\n")
    assert card_text(FACTS, full).count(BEGIN) == card_text(FACTS, full).count(END) == 1
    assert read(full).library_name == "peft"


def test_markdown_shows_what_it_is_given() -> None:
    assert markdown("q_proj and v_proj") == "q_proj and v_proj"
    assert markdown("_a_ *b* [c](d) |") == "\\_a\\_ \\*b\\* \\[c\\](d) \\|"
    assert markdown("<b> & https://x.example @me") == "&lt;b&gt; &amp; https&#58;//x.example &#64;me"


def test_a_set_that_was_not_measured_is_told_as_that() -> None:
    text = card_text(replace(FACTS, evaluated=Evaluated()))
    assert "It was not measured at this step." in text
    assert "model-index" not in text


def test_infinite_distances_are_no_numbers() -> None:
    figures = {"grounding_accuracy": 0.0, "grounding_distance": float("inf")}
    facts = replace(FACTS, evaluated=Evaluated("eval", figures))
    assert "inf" not in card_text(facts).replace("information", "")
    assert facts.metadata({})["grounding_distance"] is None


def test_a_card_that_is_huge_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x" * (2**20 + 1))
    with pytest.raises(OSError, match="bytes"):
        write_card(tmp_path, FACTS)
    assert (tmp_path / "README.md").stat().st_size == 2**20 + 1


def test_a_steps_evaluation_is_found_in_the_log_history() -> None:
    history = [
        {"step": 2, "eval_grounding_accuracy": 0.1},
        {"step": 4, "loss": 1.0},
        {"step": 4, "eval_web_grounding_accuracy": 0.5, "eval_web_loss": 2.0},
        {"step": 4, "eval_app_grounding_accuracy": 0.7, "eval_app_loss": 3.0},
        {"step": 6, "loss": 1.0},
    ]
    at = evaluated_at(history, 4)
    assert main_evaluation(at, None) == Evaluated("eval_web", {"grounding_accuracy": 0.5})
    assert main_evaluation(at, "eval_app_loss") == Evaluated("eval_app", {"grounding_accuracy": 0.7})
    assert evaluated_at(history, 5) == {}
