"""[`GroundingEvaluator`]: ask a model to click on screenshots, by batched generation, and grade what it answers."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..clean_text import cut, one_line
from .actions import AnswerReader, Space
from .batches import BatchLoader, Prepared
from .generation import Generator, check_can_generate
from .metrics import GradedSample, GroundingReport, grade
from .model_state import base_model, evaluation_mode
from .ranks import EvaluationFailed, Ranks
from .samples import GroundingSample, Samples, choose
from .sharding import Sharding

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

logger = logging.getLogger(__name__)

RULES = 1
"""Version of how answers are asked for and graded: raised when the same model would get another number."""


class NoUsableSamples(ValueError):
    """Not one of an evaluation's pictures could be opened and processed."""


class GroundingEvaluator:
    """Measures how well a vision-language model clicks: greedy generation over samples, every answer graded.

    ```python
    samples = read_sft_samples("eval.jsonl")
    callback = OpenAdaptWandbCallback(grounding=GroundingEvaluator(samples))
    ```

    Answers are generated, never teacher-forced, and read by the model family's own rules (see [`parse_action`]).

    Several processes share the batches, which are the same whatever their number, so that the report is the same row
    for row, on every rank. What is raised on one of them ends the evaluation on all of them alike. One thing can't be
    guarded: where a model is sharded and one rank fails inside its forward pass, the others wait in it for the rank's
    part. That rank then raises at once, so that the launcher ends the training; a rank that dies without a word is
    noticed when the process group's own timeout has passed.

    DeepSpeed ZeRO-3 generates with ranks in step, as transformers does; it has not been tried here, and neither has
    Unsloth.

    Args:
        samples: What to ask; one at least, each with an id of its own.
        processor: The model's processor. Default: the Trainer's `processing_class`.
        family: Whose forms the answers are in; a name of `grounding.families.FAMILIES`. Default: any form.
        space: What the answers' numbers are: `"normalized"` (0-1), `"relative1000"`, `"pixels"` of the resized
            picture, or `"auto"`, as the form, the family and the model's type say.
        batch_size: Samples per `generate` call.
        max_new_tokens: Where an answer is cut off that has not come to its end.
        max_samples: Ask this many at most, the same ones each time, drawn from all of them. `None`: all.
        max_seconds: Begin no further batch after this long. The first batch of each rank is always answered.
        seed: Of the choice of `max_samples`.
        progress: Show a progress bar.

    Raises:
        ValueError: No samples, two of one id, a limit that isn't positive, or an unknown family or space.
    """

    def __init__(
        self,
        samples: Sequence[GroundingSample],
        *,
        processor: ProcessorMixin | None = None,
        family: str | None = None,
        space: Space = "auto",
        batch_size: int = 16,
        max_new_tokens: int = 128,
        max_samples: int | None = None,
        max_seconds: float = 600.0,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        if not samples:
            raise ValueError("GroundingEvaluator needs at least one sample to evaluate on; it was given none.")
        if batch_size < 1 or max_new_tokens < 1:
            raise ValueError(
                f"batch_size and max_new_tokens must be at least 1, found {batch_size} and {max_new_tokens}."
            )
        if not max_seconds > 0:
            raise ValueError(f"max_seconds must be above 0 (math.inf: no limit), found {max_seconds}.")
        repeated = [name for name, count in Counter(sample.id for sample in samples).items() if count > 1]
        if repeated:
            raise ValueError(
                f"{len(repeated)} ids belong to more than one sample, such as {repeated[0]!r}: evaluations are "
                "compared sample by sample. Give each sample an id of its own."
            )
        AnswerReader(family, space)  # raises where there is no such family or space
        self.samples: Samples = choose(samples, max_samples, seed=seed)
        self.processor = processor
        self.family = family
        self.space = space
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.max_seconds = max_seconds
        self.progress = progress

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the numbers, beside model and samples."""
        return {
            "version": RULES,
            "family": self.family,
            "space": self.space,
            "max_new_tokens": self.max_new_tokens,
        }

    def reader(self, model: PreTrainedModel) -> AnswerReader:
        """Reads this model's answers."""
        model_type = getattr(getattr(base_model(model), "config", None), "model_type", None)
        return AnswerReader(self.family, self.space, model_type)

    def evaluate(self, model: PreTrainedModel, processor: ProcessorMixin | None = None) -> GroundingReport:
        """Generate and grade an answer for every sample. Where there are several ranks, all of them must call it.

        The model and everything around it is left as it was (see [`evaluation_mode`]). A sample whose picture is
        missing or broken is named in a warning, counted in the report, and left out.

        Args:
            model: A model with `generate`, under whatever wrappers and adapters.
            processor: Used where the evaluator has none of its own.

        Returns:
            The same report on every rank, its time included.

        Raises:
            ValueError: The model can't generate, no processor is known, or it lacks an image processor or a chat
                template; or ranks have different samples.
            NoUsableSamples: No sample's picture could be opened and processed.
            EvaluationFailed: Something was raised on a rank; raised on all of them.
        """
        own: Any = self.processor or processor
        ranks = Ranks(model)
        ranks.together(lambda: check_can_generate(model, own), passed_on=(ValueError,))
        if len(set(ranks.together(self._digest))) > 1:
            raise ValueError(
                "The ranks were given different samples or limits, so that they can't share an evaluation. Give every "
                "process the same ones; they are shared among the processes by themselves."
            )
        return _Evaluation(self, model, own, ranks).run()

    def _digest(self) -> str:
        content = [self.batch_size, self.max_seconds, self.rules, *(sample.id for sample in self.samples)]
        return hashlib.sha256(repr(content).encode()).hexdigest()


@dataclass(frozen=True)
class _Answered:
    """What a rank made of a batch, for all ranks to know."""

    seconds: float
    answers: tuple[tuple[str, str, tuple[int, int] | None, bool], ...] = ()  # id, text, resized size, stopped
    left_out: tuple[tuple[str, str], ...] = ()


class _Evaluation:
    """One evaluation, in rounds: in each, every rank answers one batch, and then all know all the answers."""

    def __init__(self, evaluator: GroundingEvaluator, model: Any, processor: Any, ranks: Ranks) -> None:
        self.start = time.perf_counter()
        self.evaluator, self.model, self.processor, self.ranks = evaluator, model, processor, ranks
        self.samples = evaluator.samples
        self.by_id = {sample.id: sample for sample in self.samples}
        self.reader = evaluator.reader(model)
        self.rows: list[GradedSample] = []
        self.skipped = 0
        self.seconds = 0.0

    def run(self) -> GroundingReport:
        from tqdm.auto import tqdm

        size = self.evaluator.batch_size
        batches = [self.samples[first : first + size] for first in range(0, len(self.samples), size)]
        sharding = Sharding(self.model)
        together = self.ranks.count if sharding.shares else 1
        mine = batches[self.ranks.index :: together] if sharding.shares else batches
        reached = 0
        with ExitStack() as stack:
            self.ranks.together(lambda: self._enter(stack, mine, sharding))
            shown = self.evaluator.progress and self.ranks.index == 0
            bar = stack.enter_context(tqdm(total=len(self.samples), desc="Grounding", leave=False, disable=not shown))
            for first in range(0, len(batches), together):
                at_work = batches[first : first + together]
                own = at_work[self.ranks.index % together] if self.ranks.index % together < len(at_work) else ()
                for outcome in self._round(own)[:together]:
                    self._record(outcome)
                asked = sum(len(batch) for batch in at_work)
                reached += asked
                bar.update(asked)
                if self.seconds >= self.evaluator.max_seconds:
                    break
        return self._report(unreached=len(self.samples) - reached)

    def _enter(self, stack: ExitStack, batches: Sequence[Sequence[GroundingSample]], sharding: Sharding) -> None:
        stack.enter_context(evaluation_mode(self.model, self.processor))
        self.generator = Generator(
            self.model,
            self.processor,
            self.reader,
            max_new_tokens=self.evaluator.max_new_tokens,
            sharding=sharding,
            ranks=self.ranks,
        )
        self.loader = stack.enter_context(BatchLoader(self.processor, batches))

    def _round(self, batch: Sequence[GroundingSample]) -> list[_Answered]:
        """One batch on each rank: their outcomes, in the batches' order."""
        names = [sample.id for sample in batch]
        if not self.generator.synced:
            return self.ranks.together(lambda: self._answer(self.loader.take()), samples=names)
        # All generate at once or not at all: nobody begins before everyone has something to ask.
        prepared: list[Prepared] = []
        inputs: list[Any] = []

        def get_ready() -> bool:
            prepared.append(self.loader.take())
            inputs.append(prepared[0].inputs if prepared[0].asked else self.generator.stand_in(self.samples[0]))
            return bool(prepared[0].asked)

        anyone_asks = any(self.ranks.together(get_ready, samples=names))
        return self.ranks.together(
            lambda: self._answer(prepared[0], inputs[0] if anyone_asks else None), samples=names
        )

    def _answer(self, batch: Prepared, stand_in: Any = None) -> _Answered:
        inputs = batch.inputs if batch.asked else stand_in
        answers = [] if inputs is None else self.generator.answers(inputs)
        return _Answered(
            seconds=time.perf_counter() - self.start,
            answers=tuple(
                (sample.id, text, size, stopped)
                for sample, size, (text, stopped) in zip(batch.asked, batch.sizes, answers, strict=False)
            ),
            left_out=batch.left_out,
        )

    def _record(self, outcome: _Answered) -> None:
        """Read and grade, on every rank alike: what is gathered is text, and never a picture."""
        self.seconds = max(self.seconds, outcome.seconds)
        for name, text, size, stopped in outcome.answers:
            try:
                action = self.reader.read(text, resized_size=size)
                row = grade(self.by_id[name], text, action, resized_size=size, stopped=stopped)
            except Exception as error:  # of a reader or a target of the user's own; the same on every rank
                raise EvaluationFailed(self.ranks.index, [name], f"{type(error).__name__}: {error}") from error
            self.rows.append(row)
        self.skipped += len(outcome.left_out)
        if self.ranks.index == 0:
            for name, reason in outcome.left_out:
                logger.warning("Grounding sample %s is left out: %s", one_line(name), cut(reason, 1000))

    def _report(self, *, unreached: int) -> GroundingReport:
        if unreached and self.ranks.index == 0:
            logger.warning(
                "Grounding stopped after %.0f s (max_seconds=%g): %d of %d samples were not asked. The metrics are "
                "those of the others. Fewer samples (max_samples), or larger batches (batch_size), take less time.",
                self.seconds,
                self.evaluator.max_seconds,
                unreached,
                len(self.samples),
            )
        if not self.rows:
            raise NoUsableSamples(f"None of the {len(self.samples)} samples' pictures could be used.")
        return GroundingReport(
            rows=tuple(self.rows),
            skipped=self.skipped + len(self.samples.problems),
            seconds=self.seconds,
            unreached=unreached,
            macro=self.samples.macro,
        )
