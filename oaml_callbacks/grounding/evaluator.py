"""[`GroundingEvaluator`]: ask a model to click on screenshots, by batched generation, and grade what it answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .actions import parse_action
from .metrics import GradedSample, GroundingReport, grade
from .samples import GroundingSample

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedModel, ProcessorMixin

logger = logging.getLogger(__name__)


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
            ValueError: No processor is known, it cannot process pictures, or no sample's picture could be opened.
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
                images = [(sample, image) for sample in batch if (image := _open_image(sample)) is not None]
                skipped += len(batch) - len(images)
                if images:
                    answers = self._answers(model, processor, [sample.chat(image) for sample, image in images])
                    rows += [
                        grade(sample, answer, parse_action(answer))
                        for (sample, _), answer in zip(images, answers, strict=True)
                    ]
        if not rows:
            raise ValueError(f"None of the {len(self.samples)} samples' pictures could be opened.")
        return GroundingReport(tuple(rows), skipped, time.perf_counter() - start)

    def _batches(self) -> Iterator[tuple[GroundingSample, ...]]:
        from tqdm.auto import tqdm

        with tqdm(total=len(self.samples), desc="Grounding", leave=False, disable=not self.progress) as bar:
            for first in range(0, len(self.samples), self.batch_size):
                batch = self.samples[first : first + self.batch_size]
                yield batch
                bar.update(len(batch))

    def _answers(self, model: PreTrainedModel, processor: Any, chats: list[list[dict[str, Any]]]) -> list[str]:
        prompts = [processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        images = [part["image"] for chat in chats for turn in chat for part in turn["content"] if "image" in part]
        # Left padding: with the other kind most answers of a mixed batch are wrong.
        inputs = processor(text=prompts, images=images, padding=True, padding_side="left", return_tensors="pt")
        generated: torch.Tensor = model.generate(  # type: ignore[operator]
            **inputs.to(model.device), **_greedy(model, processor), max_new_tokens=self.max_new_tokens
        )
        new_tokens = generated[:, inputs["input_ids"].shape[1] :]
        return list(processor.batch_decode(new_tokens, skip_special_tokens=True))


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


def _open_image(sample: GroundingSample) -> Image | None:
    from PIL import Image, UnidentifiedImageError

    if not isinstance(sample.image, Path):
        return sample.image.convert("RGB")
    try:
        with Image.open(sample.image) as file:
            image: Image.Image = file.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        # Pillow's decoders raise any of these for a file that is missing, cut short or no picture.
        logger.warning("Grounding sample %s is left out: %s: %s", sample.id, type(error).__name__, error)
        return None
    return image
