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

    Samples are asked as an evaluation asks them, one token each. Of every batch only the state that enters the output
    layer is kept, and of that the last position, so memory doesn't grow with the prompt, the layers or the samples.
    The model is left as it was. Where its parameters are sharded among ranks, all of them must call this.

    Args:
        model: A model with `generate`; PEFT models are fine.
        processor: The model's processor.
        samples: At least one; their pictures must open, as those of graded rows do.
        batch_size: Samples per forward pass.

    Returns:
        `(samples, hidden)` in half precision; what is too large for it is its largest number.

    Raises:
        ValueError: The model has no output layer to listen at, or a sample can't be asked any more.
    """
    import numpy as np
    import torch

    from .grounding.batches import prepare
    from .grounding.model_state import evaluation_mode

    head = model.get_output_embeddings()
    if head is None:
        raise ValueError(f"{type(model).__name__} has no output layer, so there is no state before it to show.")
    states: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        states.append(inputs[0][:, -1].detach().float().cpu())

    handle = head.register_forward_pre_hook(keep)
    try:
        with evaluation_mode(model, processor):
            for first in range(0, len(samples), batch_size):
                batch = samples[first : first + batch_size]
                prepared = prepare(processor, batch)
                if prepared.left_out:
                    raise ValueError(f"{len(prepared.left_out)} of the samples can't be asked any more.")
                model.generate(**prepared.inputs.to(model.device), max_new_tokens=1)
    finally:
        handle.remove()
    vectors = torch.cat(states).numpy()
    limit = np.finfo(np.float16).max
    return np.clip(vectors, -limit, limit).astype(np.float16)


def as_numbers(vector: np.ndarray) -> list[float] | None:
    """A vector as W&B's projection takes it, in the fewest digits that tell it; `None` unless all of it is finite."""
    import numpy as np

    return [float(str(number)) for number in vector] if bool(np.isfinite(vector).all()) else None
