"""Where a model's answers begin, as vectors: the last hidden state at the prompt's last token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .grounding.samples import GroundingSample

if TYPE_CHECKING:
    import numpy as np
    import torch

BATCH_SIZE = 8
"""Samples per forward pass."""


def answer_embeddings(
    model: Any, processor: Any, samples: Sequence[GroundingSample], *, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """The state out of which the answer's first token is chosen: what the model has made of picture and request.

    Samples are asked as an evaluation asks them, for one token each. Of a batch only the state that enters the output
    layer is kept, and of that the last position, so memory doesn't grow with the prompt or the layers. The model is
    left as it was. Where there are several ranks all of them must call this, with the same samples.

    Args:
        model: A model with `generate`; wrappers and adapters are fine.
        processor: The model's processor.
        samples: One at least; their pictures must open, as those of graded rows do.
        batch_size: Samples per forward pass.

    Returns:
        `(samples, hidden)` in half precision; what is too large for it becomes its largest number.

    Raises:
        ValueError: The model has no output layer to listen at.
        EvaluationFailed: A sample can't be asked any more, or something else was raised on a rank.
    """
    import numpy as np
    import torch

    from .grounding.model_state import evaluation_mode, unwrapped
    from .grounding.ranks import Ranks
    from .grounding.sharding import Sharding

    inner = unwrapped(model)
    head = inner.get_output_embeddings()
    if head is None:
        raise ValueError(f"{type(inner).__name__} has no output layer, so there is no state before it to show.")
    states: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        states.append(inputs[0][:, -1].float().cpu())

    ranks, sharding = Ranks(model), Sharding(model)
    handle = head.register_forward_pre_hook(keep)
    try:
        with evaluation_mode(model, processor):
            for first in range(0, len(samples), batch_size):
                batch = samples[first : first + batch_size]
                inputs = _inputs(processor, batch, ranks).to(inner.device)

                def ask(inputs: Any = inputs) -> None:
                    with sharding.gathered(model):
                        inner.generate(**inputs, max_new_tokens=1, synced_gpus=sharding.synced)

                if sharding.synced:
                    with ranks.in_step():
                        ask()
                else:
                    ranks.together(ask, samples=[sample.id for sample in batch])
    finally:
        handle.remove()
    limit = np.finfo(np.float16).max
    vectors: np.ndarray = torch.cat(states).clamp(-limit, limit).numpy().astype(np.float16)
    return vectors


def as_numbers(vector: np.ndarray) -> list[float] | None:
    """A vector as W&B's projection takes it, in the fewest digits that tell it; `None` unless all of it is finite."""
    import numpy as np

    return [float(str(number)) for number in vector] if bool(np.isfinite(vector).all()) else None


def _inputs(processor: Any, samples: Sequence[GroundingSample], ranks: Any) -> Any:
    """The batch as the model takes it; an error where a sample can't be asked, on every rank before any asks."""
    from .grounding.batches import prepare

    prepared = []

    def get_ready() -> None:
        batch = prepare(processor, samples)
        if batch.left_out:
            name, reason = batch.left_out[0]
            raise ValueError(f"sample {name} can't be asked any more: {reason}")
        prepared.append(batch)

    ranks.together(get_ready, samples=[sample.id for sample in samples])
    return prepared[0].inputs
