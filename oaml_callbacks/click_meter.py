"""[`ClickMeter`]: which samples each of a Trainer's evaluations is graded on, and when. Knows nothing of W&B."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from . import keys
from .clean_text import cut, error_text

if TYPE_CHECKING:
    import numpy as np
    from transformers import TrainerState, TrainingArguments

    from .grounding import AnswerReader, GroundingEvaluator, GroundingReport

    Grounding: TypeAlias = GroundingEvaluator | Mapping[str, GroundingEvaluator] | Literal["auto"] | None

logger = logging.getLogger(__name__)

TABLE_SEED = 0
"""Draws the half of a table's samples that is the same every time."""
MAX_NOTICE = 4000
"""Characters of what the user is told at once: parts of it are others' texts."""
MAX_OWN_SETS = 8
"""Evaluation sets whose rows are remembered; beyond these, the ones met first are made anew when they come again."""


@dataclass(frozen=True)
class EvaluationEvent:
    """An evaluation of the Trainer's, as an event tells of it.

    Args:
        prefix: What its metrics' names begin with: `eval`, `eval_web`, ...
        logs: What it has yielded so far.
        state: The Trainer's.
        model: The model.
        processor: The Trainer's `processing_class`.
        dataloader: What it was evaluated on.
    """

    prefix: str
    logs: dict[str, Any]
    state: TrainerState
    model: Any
    processor: Any
    dataloader: Any

    @property
    def dataset(self) -> Any:
        """The evaluation set; `None` if it isn't known."""
        return getattr(self.dataloader, "dataset", None)


@dataclass(frozen=True)
class Measured:
    """One evaluation's clicks.

    Args:
        split: What its metrics' names begin with: `eval`, `eval_web` for a named set, or another `metric_key_prefix`.
        metrics: By the names that the Trainer uses, `eval_grounding_accuracy` and so on.
        report: The evaluation; `None` where a resumed training took the figures from its checkpoint.
        previous: Which samples were right in the evaluation of the same samples before it.
        evaluator: Who measured.
        vectors: `(rows, hidden)`, the embeddings of the samples that a table shows, where they are wanted.
    """

    split: str
    metrics: Mapping[str, float]
    report: GroundingReport | None
    previous: Mapping[str, bool] | None
    evaluator: GroundingEvaluator
    vectors: np.ndarray | None = None

    @property
    def plain_metrics(self) -> dict[str, float]:
        """The metrics by their plain names, `grounding_accuracy` and so on."""
        return {name.removeprefix(f"{self.split}_"): value for name, value in self.metrics.items()}


class ClickMeter:
    """Measures the clicks of a Trainer's evaluations: with the user's evaluators, or by the Trainer's own rows.

    Args:
        grounding: An evaluator, asked once a step; one for each named evaluation set; `"auto"`: made from the
            evaluation sets where their rows are known; `None`: nothing is measured.
        baseline: Measure the base model too.
    """

    def __init__(self, grounding: Grounding, *, baseline: bool) -> None:
        self.grounding = grounding
        self._wants_baseline = baseline
        self.forget()

    def forget(self) -> None:
        """Begin anew, with another Trainer or another trial of a search."""
        self.baselines: dict[str, GroundingReport] = {}
        self.correct: dict[str, Mapping[str, bool]] = {}
        """Which samples were right in each evaluation set's last evaluation, by id; a checkpoint may bring it."""
        self._own: list[tuple[Any, GroundingEvaluator | None]] = []
        self._told: set[str] = set()
        self._asked_at: tuple[int, str] | None = None
        self._resumed_at: int | None = None
        self.failed = False
        """Whether the last evaluation was to be measured, and couldn't be."""

    @property
    def processor(self) -> Any:
        """The processor that an evaluator brought, if one did."""
        return next((e.processor for _, e in self.given() if e.processor is not None), None)

    def given(self) -> Iterator[tuple[str, GroundingEvaluator]]:
        """The user's evaluators, by what their metrics' names begin with."""
        if isinstance(self.grounding, Mapping):
            yield from ((f"eval_{name}", evaluator) for name, evaluator in self.grounding.items())
        elif self.grounding is not None and not isinstance(self.grounding, str):
            yield "eval", self.grounding

    def begin(self, state: TrainerState) -> None:
        """Note that a training begins, or goes on from a checkpoint."""
        self._asked_at = None
        self._resumed_at = state.global_step or None

    def end(self) -> None:
        """Note that the training is over: what is evaluated now is not the checkpoint that it went on from."""
        self._resumed_at = None

    def check(self, model: Any, processor: Any) -> None:
        """Raise if the user's evaluators can't work with this model, before hours of training.

        Raises:
            ValueError: The model can't generate, or there is no processor for it.
        """
        from .grounding.generation import check_can_generate

        for _, evaluator in self.given():
            check_can_generate(model, evaluator.processor or processor)

    def sets(
        self, eval_dataset: Any, args: TrainingArguments, model: Any, processor: Any
    ) -> list[tuple[str, GroundingEvaluator]]:
        """Who will measure what in a training with this evaluation set, as far as it can be known before it."""
        if self.grounding != "auto":
            return list(self.given())
        if eval_dataset is None:
            return []
        named = eval_dataset if isinstance(eval_dataset, dict) else {"": eval_dataset}
        found = []
        for name, dataset in named.items():
            evaluator = self._of_own_rows(dataset, model, processor)
            if evaluator is not None:
                found.append((f"eval_{name}" if name else "eval", evaluator))
        # Without evaluations there is nothing that a baseline could be compared to.
        return [] if str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "no" else found

    def measure_baselines(
        self, sets: list[tuple[str, GroundingEvaluator]], model: Any, processor: Any
    ) -> dict[str, GroundingReport]:
        """The base model, its adapter switched off, on each set; nothing for a model without an adapter."""
        from .grounding.model_state import adapter_disabled, has_adapter

        if not self._wants_baseline or not has_adapter(model):
            return {}
        for split, evaluator in sets:
            with adapter_disabled(model):
                report = self._evaluate(evaluator, model, processor)
            if report is not None:
                self.baselines[split], self.correct[split] = report, report.correct
        return dict(self.baselines)

    def measure(self, event: EvaluationEvent) -> Measured | None:
        """Measure an evaluation of the Trainer's.

        Returns:
            `None` if there is nothing to measure, or it failed, which a warning then says.
        """
        self.failed = False
        found = self._who_measures(event)
        if found is None:
            return None
        split, evaluator = found
        if event.state.global_step == self._resumed_at and (known := _known(split, event.state)):
            return Measured(split, known, None, None, evaluator)
        report = self._evaluate(evaluator, event.model, event.processor)
        if report is None:
            self.failed = True
            return None
        previous = self.correct.get(split)
        self.correct[split] = report.correct
        metrics = report.metrics
        if previous is not None:
            fixed, broken = report.changes(previous)
            metrics |= {keys.GROUNDING_FIXED: len(fixed), keys.GROUNDING_BROKEN: len(broken)}
        self._explain(report, evaluator, event.model)
        return Measured(split, {f"{split}_{n}": v for n, v in metrics.items()}, report, previous, evaluator)

    def check_labels(
        self, sets: list[tuple[str, GroundingEvaluator]], train_dataset: Any, model: Any, processor: Any
    ) -> float | None:
        """Grade the rows' own answers against their own targets, and say what is wrong with them.

        Returns:
            Which share of them hit; `None` if no row has both an answer and a target that isn't made from it.
        """
        try:
            return self._checked_labels(sets, train_dataset, model, processor)
        except Exception as error:  # noqa: BLE001 - a dataset may raise anything, and this is a diagnosis alone
            logger.warning("The labels could not be checked: %s", error_text(error))
            return None

    # Inside ------------------------------------------------------------------------------------------------------

    def _checked_labels(
        self, sets: list[tuple[str, GroundingEvaluator]], train_dataset: Any, model: Any, processor: Any
    ) -> float | None:
        from .grounding.labels import check_labels
        from .trainer_samples import training_labels

        checks = []
        for _, evaluator in sets:
            of = evaluator.processor or processor
            checks.append(
                ("evaluation", check_labels(evaluator.samples, evaluator.reader(model), resized=_resized(of)))
            )
        processor = self.processor or processor
        reader = sets[0][1].reader(model) if sets else _reader(model)
        training = training_labels(train_dataset, reader=reader, resized=_resized(processor))
        if training is not None:
            checks.append(("training", check_labels(training, reader, resized=_resized(processor))))
        for part, check in checks:
            if (message := check.message()) is not None:
                self.say(f"The {part} rows: {message}")
        checked = sum(check.checked for _, check in checks)
        return sum(check.correct for _, check in checks) / checked if checked else None

    def _who_measures(self, event: EvaluationEvent) -> tuple[str, GroundingEvaluator] | None:
        """Who measures this evaluation, and what its metrics' names begin with."""
        prefix = event.prefix
        evaluator: GroundingEvaluator | None
        if isinstance(self.grounding, str):
            computed = f"{prefix}_{keys.GROUNDING_ACCURACY}" in event.logs  # by the user's compute_metrics
            evaluator = None if computed else self._of_own_rows(event.dataset, event.model, event.processor)
        elif isinstance(self.grounding, Mapping):
            evaluator = dict(self.given()).get(prefix)
        else:
            evaluator = self.grounding
            if prefix.startswith("eval_"):
                # It has one set of samples: of several named evaluation sets at a step, the first brings it.
                step, first = self._asked_at or (event.state.global_step, prefix)
                if step == event.state.global_step and first != prefix:
                    return None
                self._asked_at = (event.state.global_step, prefix)
                prefix = "eval"
        return None if evaluator is None else (prefix, evaluator)

    def _of_own_rows(self, dataset: Any, model: Any, processor: Any) -> GroundingEvaluator | None:
        if dataset is None:
            return None
        from .trainer_samples import own_samples, same_rows

        same = [(held, evaluator) for held, evaluator in self._own if same_rows(dataset, held)]
        if same:  # with the most columns: the others may lack the box
            return max(same, key=lambda one: len(getattr(one[0], "column_names", None) or ()))[1]
        from .grounding import GroundingEvaluator

        evaluator = None
        try:
            own = own_samples(dataset, reader=_reader(model), resized=_resized(processor))
            evaluator = None if own.samples is None else GroundingEvaluator(own.samples)
            self.say(own.notice)
        except Exception as error:  # noqa: BLE001 - a dataset may raise anything, and nobody asked for this
            self.say(
                f"Clicks are not measured: the evaluation set can't be read ({error_text(error)}). "
                "grounding=None leaves this out."
            )
        self._own = [*self._own[-MAX_OWN_SETS + 1 :], (dataset, evaluator)]
        return evaluator

    def _evaluate(self, evaluator: GroundingEvaluator, model: Any, processor: Any) -> GroundingReport | None:
        from .grounding import EvaluationFailed, NoUsableSamples

        try:
            return evaluator.evaluate(model, processor)
        except (EvaluationFailed, NoUsableSamples) as error:
            logger.warning("This evaluation has no grounding: %s", cut(str(error), MAX_NOTICE))
        except ValueError as error:
            if self.grounding != "auto":
                raise  # what the user has set up can't work
            # Nobody asked for it, so it is no mistake that this model or processor can't.
            self.say(f"Clicks are not measured: {error} grounding=None leaves this out.")
            self._own = [(dataset, None if own is evaluator else own) for dataset, own in self._own]
        return None

    def _explain(self, report: GroundingReport, evaluator: GroundingEvaluator, model: Any) -> None:
        if "misses" in self._told or not _is_first_rank():
            return  # it looks at every picture's size again
        from .grounding.labels import explain_misses

        try:
            explanation = explain_misses(report, evaluator.reader(model))
        except Exception as error:  # noqa: BLE001 - a dataset may raise anything, and this is a diagnosis alone
            logger.debug("The misses could not be looked into: %s", error_text(error))
            return
        if explanation is not None:
            self.say(explanation, key="misses")

    def say(self, notice: str, *, key: str | None = None) -> None:
        """Tell the user, once, and on one rank."""
        if (key or notice) not in self._told:
            self._told.add(key or notice)
            if _is_first_rank():
                logger.warning("%s", cut(notice, MAX_NOTICE))


def _is_first_rank() -> bool:
    return os.environ.get("RANK", "0") == "0"


def with_vectors(measured: Measured, event: EvaluationEvent, *, max_rows: int) -> Measured:
    """Add the embeddings of the samples that a table of `max_rows` shows; all ranks must call this.

    If they can't be had, a warning says why.
    """
    from .embeddings import answer_embeddings
    from .grounding import EvaluationFailed
    from .table_choice import choose_rows

    if measured.report is None or not max_rows:
        return measured
    chosen = choose_rows(measured.report, measured.previous, max_rows=max_rows, seed=TABLE_SEED)
    processor = measured.evaluator.processor or event.processor
    try:
        vectors = answer_embeddings(event.model, processor, [one.row.sample for one in chosen])
    except (ValueError, OSError, EvaluationFailed) as error:
        logger.warning("This evaluation has no embeddings: %s", error_text(error))
        return measured
    return replace(measured, vectors=vectors)


def _known(split: str, state: TrainerState) -> dict[str, float] | None:
    """What the log already says of an evaluation of this set at this step."""
    for entry in reversed(state.log_history):
        if entry.get("step") == state.global_step and f"{split}_{keys.GROUNDING_ACCURACY}" in entry:
            return {name: value for name, value in entry.items() if name.startswith(f"{split}_grounding_")}
    return None


def _reader(model: Any) -> AnswerReader:
    from .grounding import AnswerReader

    return AnswerReader(model_type=getattr(getattr(model, "config", None), "model_type", None))


def _resized(processor: Any) -> Callable[[int, int], tuple[int, int]] | None:
    from .grounding.screen import ResizedSizes

    if not hasattr(processor, "image_processor"):
        return None
    try:
        return ResizedSizes(processor).of
    except ValueError:  # it doesn't cut pictures into patches: no model of its kind answers in pixels
        return None
