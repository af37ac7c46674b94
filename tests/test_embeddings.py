"""The vectors out of which answers' first tokens are chosen, of a real tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oaml_callbacks import read_sft_samples
from oaml_callbacks.embeddings import answer_embeddings, as_numbers
from oaml_callbacks.grounding.batches import prepare
from oaml_callbacks.grounding.ranks import EvaluationFailed

from .builders import trained
from .graded import graded


def test_a_vector_gives_the_first_tokens_scores_and_the_model_is_left_as_it_was(screens: Path) -> None:
    import torch

    processor, model = trained()
    samples = read_sft_samples(screens / "eval.jsonl")[:5]
    model.train()
    before = [(module, module.training) for module in model.modules()]
    grads = [parameter.requires_grad for parameter in model.parameters()]
    random_state = torch.get_rng_state()
    vectors = answer_embeddings(model, processor, samples, batch_size=2)
    assert vectors.dtype == np.float16
    assert all(module.training is training for module, training in before)
    assert [parameter.requires_grad for parameter in model.parameters()] == grads
    assert torch.equal(torch.get_rng_state(), random_state)
    head = model.get_output_embeddings()
    assert not head._forward_pre_hooks

    model.eval()
    with torch.no_grad():
        scores = head(torch.tensor(vectors.astype(np.float32)))
        for row, sample in zip(scores, samples, strict=True):
            expected = model(**prepare(processor, [sample]).inputs).logits[0, -1]
            assert torch.allclose(row, expected, atol=0.05)
    # Prompts of other lengths in the batch change nothing.
    alone = answer_embeddings(model, processor, samples, batch_size=1)
    assert np.allclose(vectors, alone, atol=2e-3)


def test_a_sample_that_cannot_be_asked_any_more_is_named(tmp_path: Path) -> None:
    processor, model = trained()
    with pytest.raises(EvaluationFailed, match="sample-4"):
        answer_embeddings(model, processor, [graded(4, image=tmp_path / "gone.png").sample])
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_numbers_have_no_more_digits_than_half_precision_and_none_that_is_no_number() -> None:
    assert as_numbers(np.array([0.1, -65504, 3], dtype=np.float16)) == [0.1, -65500.0, 3.0]
    assert as_numbers(np.array([0.1, np.inf], dtype=np.float16)) is None
