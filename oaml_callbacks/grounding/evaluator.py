"""[`GroundingEvaluator`]: ask a model to click on screenshots, by batched generation, and grade what it answers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..chat import Message
from .actions import parse_action
from .metrics import GradedSample, GroundingReport, grade
from .samples import GroundingSample

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

logger = logging.getLogger(__name__)


class NoUsableSamples(ValueError):
    """Not one of an evaluation's pictures could be opened and processed."""


class GroundingEvaluator:
    """Measures how well a vision-language model clicks: greedy generation over samples, every answer graded.

    ```python
    samples = read_sft_samples("eval.jsonl")
    callback = OpenAdaptWandbCallback(grounding=GroundingEvaluator(samples))
    ```

    Answers are generated, never teacher-forced, and are read in openadapt-ml's form (see [`parse_action`]). With
    several processes each one evaluates all samples and gets the same report.

    Args:
        samples: What to ask; one at least.
        processor: The model's processor. Default: the Trainer's `processing_class`.
        batch_size: Samples per `generate` call.
        max_new_tokens: Where an answer is cut off; what is cut before its action is complete counts as unreadable.
        progress: Show a progress bar.

    Raises:
        ValueError: No samples, or a limit below 1.
    """

    def __init__(
        self,
        samples: Sequence[GroundingSample],
        *,
        processor: ProcessorMixin | None = None,
        batch_size: int = 16,
        max_new_tokens: int = 128,
        progress: bool = True,
    ) -> None:
        if not samples:
            raise ValueError("GroundingEvaluator needs at least one sample to evaluate on; it was given none.")
        if batch_size < 1 or max_new_tokens < 1:
            raise ValueError(
                f"batch_size and max_new_tokens must be at least 1, found {batch_size} and {max_new_tokens}."
            )
        self.samples = tuple(samples)
        self.processor = processor
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.progress = progress

    def evaluate(self, model: PreTrainedModel, processor: ProcessorMixin | None = None) -> GroundingReport:
        """Generate and grade an answer for every sample.

        The model's train/eval modes are put back as they were; greedy decoding draws no random numbers. A sample
        whose picture is missing or broken is named in a warning, counted in the report, and left out.

        Args:
            model: A model with `generate`; PEFT models are fine.
            processor: Used where the evaluator has none of its own.

        Raises:
            ValueError: No processor is known, or it cannot process pictures.
            NoUsableSamples: No sample's picture could be opened and processed.
        """
        processor = self.processor or processor
        if processor is None or not hasattr(processor, "image_processor"):
            raise ValueError(
                "Grounding needs the model's processor, with its image processor, but got "
                f"{type(processor).__name__}. Pass GroundingEvaluator(..., processor=processor), or "
                "Trainer(..., processing_class=processor)."
            )
        start = time.perf_counter()
        rows: list[GradedSample] = []
        skipped = 0
        with evaluation_mode(model):
            for batch in self._batches():
                asked, inputs = _prepare(processor, batch)
                skipped += len(batch) - len(asked)
                answers = self._answers(model, processor, inputs) if asked else []
                rows += [
                    grade(sample, answer, parse_action(answer)) for sample, answer in zip(asked, answers, strict=True)
                ]
        if not rows:
            raise NoUsableSamples(f"None of the {len(self.samples)} samples' pictures could be used.")
        return GroundingReport(tuple(rows), skipped, time.perf_counter() - start)

    def _batches(self) -> Iterator[tuple[GroundingSample, ...]]:
        from tqdm.auto import tqdm

        # Every rank evaluates; one of them shows it.
        shown = self.progress and os.environ.get("RANK", "0") == "0"
        with tqdm(total=len(self.samples), desc="Grounding", leave=False, disable=not shown) as bar:
            for first in range(0, len(self.samples), self.batch_size):
                batch = self.samples[first : first + self.batch_size]
                yield batch
                bar.update(len(batch))

    def _answers(self, model: PreTrainedModel, processor: Any, inputs: Any) -> list[str]:
        generated: torch.Tensor = model.generate(  # type: ignore[operator]
            **inputs.to(model.device), **_greedy(model, processor), max_new_tokens=self.max_new_tokens
        )
        new_tokens = generated[:, inputs["input_ids"].shape[1] :]
        return list(processor.batch_decode(new_tokens, skip_special_tokens=True))


@contextmanager
def adapter_disabled(model: Any) -> Iterator[None]:
    """The base model of a PEFT model: its adapter switched off, and on again with the same parameters in training.

    PEFT, switching an adapter on again, sets `requires_grad` of all its parameters and unsets that of other adapters.
    """
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with model.disable_adapter():
            yield
    finally:
        for parameter, requires_grad in trained:
            parameter.requires_grad_(requires_grad)


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Put `model` into evaluation mode without gradients, and each of its modules back as it was.

    Generating in training mode with gradient checkpointing gives wrong text without an error.
    """
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _greedy(model: PreTrainedModel, processor: Any) -> dict[str, Any]:
    """Options of plain greedy decoding, whatever sampling or penalty the checkpoint's own generation settings ask for.

    As keyword arguments: in a `GenerationConfig`, values that equal the defaults give way to the checkpoint's.
    """
    options: dict[str, Any] = {
        "do_sample": False,
        "num_beams": 1,
        "repetition_penalty": 1.0,
        "temperature": None,
        "top_p": None,
        "top_k": None,
        "use_cache": True,
    }
    own = model.generation_config
    for token in ("eos_token_id", "pad_token_id"):
        if getattr(own, token, None) is None:
            options[token] = getattr(processor.tokenizer, token)
    return options


def _prepare(processor: Any, batch: Sequence[GroundingSample]) -> tuple[list[GroundingSample], Any]:
    """The samples of the batch that can be asked, and their inputs. The others are named in a warning."""
    asked = [(sample, chat) for sample in batch if (chat := _chat(sample)) is not None]
    try:
        inputs = _inputs(processor, [chat for _, chat in asked])
    except (ValueError, OSError):
        # Some picture is one that the processor refuses, such as a line of a single pixel: find out which.
        asked = [pair for pair in asked if _can_be_processed(processor, *pair)]
        inputs = _inputs(processor, [chat for _, chat in asked])
    return [sample for sample, _ in asked], inputs


def _chat(sample: GroundingSample) -> list[Message] | None:
    try:
        return sample.chat(sample.open_image())
    except (OSError, ValueError) as error:
        _warn_of(sample, error)
        return None


def _inputs(processor: Any, chats: Sequence[list[Message]]) -> Any:
    if not chats:
        return None
    prompts = [processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    images = [part["image"] for chat in chats for turn in chat for part in turn["content"] if "image" in part]
    # Left padding: with the other kind most answers of a mixed batch are wrong.
    return processor(text=prompts, images=images, padding=True, padding_side="left", return_tensors="pt")


def _can_be_processed(processor: Any, sample: GroundingSample, chat: list[Message]) -> bool:
    try:
        _inputs(processor, [chat])
    except (ValueError, OSError) as error:
        _warn_of(sample, error)
        return False
    return True


def _warn_of(sample: GroundingSample, error: Exception) -> None:
    place = f" ({sample.image})" if isinstance(sample.image, (str, Path)) else ""
    logger.warning("Grounding sample %s%s is left out: %s: %s", sample.id, place, type(error).__name__, error)
