"""[`Generator`]: prepared batches -> a model's answers, as text."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from . import batches
from .model_state import base_model, unwrapped
from .stopping import CompleteAnswers

if TYPE_CHECKING:
    from .actions import AnswerReader
    from .ranks import Ranks
    from .samples import GroundingSample
    from .sharding import Sharding


def check_can_generate(model: Any, processor: Any) -> None:
    """Refuse what can't answer a question about a picture.

    Raises:
        ValueError: No `generate`, no image processor, or no chat template; with what to pass instead.
    """
    inner = base_model(model)
    able = getattr(inner, "can_generate", None)
    if not callable(getattr(inner, "generate", None)) or (callable(able) and not able()):
        raise ValueError(
            f"Grounding needs a model that generates, but {type(inner).__name__} can't. Load the checkpoint with "
            "AutoModelForImageTextToText: it has the language model's head, and generate()."
        )
    if processor is None or not hasattr(processor, "image_processor"):
        raise ValueError(
            "Grounding needs the model's processor, with its image processor, but got "
            f"{type(processor).__name__}. Pass GroundingEvaluator(..., processor=processor), or "
            "Trainer(..., processing_class=processor)."
        )
    if getattr(processor, "chat_template", None) is None:
        raise ValueError(
            f"The {type(processor).__name__} has no chat template, so a sample's messages can't be put to the model. "
            "Set processor.chat_template to the one that it is trained with (its tokenizer may have it), or load the "
            "processor of the model's instruct version."
        )


class Generator:
    """Generates greedily, one batch at a time; made within [`evaluation_mode`].

    Args:
        model: As the Trainer has it.
        processor: The model's.
        reader: Knows when an answer is complete.
        max_new_tokens: Where an answer is cut off.
        sharding: How the model's parameters lie.
        ranks: The processes that generate together, where it is sharded.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        reader: AnswerReader,
        *,
        max_new_tokens: int,
        sharding: Sharding,
        ranks: Ranks,
    ) -> None:
        self._model = unwrapped(model)
        self._processor = processor
        self._reader = reader
        self._max_new_tokens = max_new_tokens
        self._sharding = sharding
        self._ranks = ranks
        self._stand_in: Any = None

    @property
    def synced(self) -> bool:
        """Whether all ranks must generate at once."""
        return self._sharding.synced

    def answers(self, inputs: Any) -> list[tuple[str, bool]]:
        """Each row's text, and whether it came to its end; `False` if it was cut off.

        Args:
            inputs: A processor's output, prompts padded on the left.
        """
        from transformers import StoppingCriteriaList

        stop = CompleteAnswers(
            self._reader,
            self._processor.tokenizer,
            prompt_length=inputs["input_ids"].shape[1],
            end_tokens=base_model(self._model).generation_config.eos_token_id or [],
        )
        inputs = inputs.to(self._model.device)
        with self._ranks.in_step() if self.synced else nullcontext(), self._sharding.gathered(self._model):
            generated = self._model.generate(
                **inputs,
                max_new_tokens=self._max_new_tokens,
                stopping_criteria=StoppingCriteriaList([stop]),
                synced_gpus=self.synced,
            )
        return stop.answers(generated)

    def stand_in(self, sample: GroundingSample) -> Any:
        """Inputs to generate along with, for a rank that has nothing to ask."""
        if self._stand_in is None:
            self._stand_in = batches.stand_in(self._processor, sample)
        return self._stand_in
