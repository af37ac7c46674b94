"""Evaluation by generation, with the demo's trained base model: true answers, and nothing left changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from oaml_callbacks import GroundingEvaluator, read_sft_samples
from oaml_callbacks.grounding import GroundingSample
from oaml_callbacks.processors import load_processor

BASE = Path(__file__).parents[2] / "configs" / "demo" / "tiny-qwen3-vl"


@pytest.fixture(scope="module")
def processor() -> Any:
    return load_processor(str(BASE))


@pytest.fixture
def model() -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)


@pytest.fixture(scope="module")
def samples(screens: Path) -> list[GroundingSample]:
    return read_sft_samples(screens / "eval.jsonl")


def answers(model: Any, processor: Any, samples: list[GroundingSample], batch_size: int = 8) -> list[str]:
    evaluator = GroundingEvaluator(samples, processor=processor, batch_size=batch_size, progress=False)
    return [row.answer for row in evaluator.evaluate(model).rows]


def test_answers_are_read_as_clicks(model: Any, processor: Any, samples: list[GroundingSample]) -> None:
    report = GroundingEvaluator(samples, processor=processor, progress=False).evaluate(model)
    assert report.metrics["grounding_parsed"] == 1
    assert 0 < report.metrics["grounding_distance"] < 0.6
    assert report.rows[0].sample is samples[0]


def test_a_batch_answers_as_one_at_a_time(model: Any, processor: Any, samples: list[GroundingSample]) -> None:
    """With prompts of different lengths, which padding on the wrong side would spoil."""
    longer = GroundingSample(
        "longer",
        samples[0].image,
        (
            *samples[0].messages[:-1],
            {"role": "user", "content": "Please. " * 9 + str(samples[0].messages[-1]["content"])},
        ),
        samples[0].target,
    )
    mixed = [*samples[:3], longer, *samples[3:]]
    assert answers(model, processor, mixed, batch_size=9) == answers(model, processor, mixed, batch_size=1)


def test_a_checkpoints_own_sampling_and_penalties_are_left_out(
    model: Any, processor: Any, samples: list[GroundingSample]
) -> None:
    plain = answers(model, processor, samples)
    model.generation_config.do_sample = True
    model.generation_config.temperature = 5.0
    model.generation_config.top_k = 50
    model.generation_config.repetition_penalty = 3.0
    before = model.generation_config.to_dict()
    assert answers(model, processor, samples) == plain
    assert model.generation_config.to_dict() == before


def test_modes_gradients_and_random_numbers_are_as_they_were(
    model: Any, processor: Any, samples: list[GroundingSample]
) -> None:
    model.train()
    frozen = model.model.visual
    frozen.eval()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    answers(model, processor, samples)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert model.training
    assert not any(module.training for module in frozen.modules())
    assert all(module.training for module in model.model.language_model.modules())


def test_modes_are_put_back_after_an_exception(model: Any, samples: list[GroundingSample], processor: Any) -> None:
    class Breaks(GroundingEvaluator):
        def _answers(self, *arguments: Any) -> list[str]:
            raise RuntimeError("out of memory")

    model.train()
    with pytest.raises(RuntimeError, match="out of memory"):
        Breaks(samples, processor=processor, progress=False).evaluate(model)
    assert model.training
    assert torch.is_grad_enabled()


def test_gradient_checkpointing_in_training_mode_changes_no_answer(
    model: Any, processor: Any, samples: list[GroundingSample]
) -> None:
    plain = answers(model, processor, samples)
    model.gradient_checkpointing_enable()
    model.train()
    assert answers(model, processor, samples) == plain


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_new_tokens": 0}])
def test_limits_below_one_are_refused(samples: list[GroundingSample], options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        GroundingEvaluator(samples, **options)  # type: ignore[arg-type]


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        GroundingEvaluator([])


def test_a_tokenizer_is_no_processor(model: Any, processor: Any, samples: list[GroundingSample]) -> None:
    with pytest.raises(ValueError, match="image processor"):
        GroundingEvaluator(samples, processor=processor.tokenizer).evaluate(model)


def test_no_picture_that_opens_is_an_error(model: Any, processor: Any, samples: list[GroundingSample]) -> None:
    gone = [GroundingSample("gone", Path("gone.png"), samples[0].messages, samples[0].target)]
    with pytest.raises(ValueError, match="None of the 1 samples' pictures"):
        GroundingEvaluator(gone, processor=processor, progress=False).evaluate(model)
