"""What openadapt-ml's trainer finds in the place of others' names, inside [`openadapt_ml_tracking`]."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    from transformers import TrainerState

    from .callback import OpenAdaptWandbCallback

logger = logging.getLogger(__name__)

NO_EVALUATION = (
    "Clicks are not measured: openadapt-ml's trainer has no evaluation set. Give one, "
    'openadapt_ml_tracking(..., eval_dataset="eval.jsonl") or --eval-jsonl eval.jsonl, or give the callback samples: '
    'grounding=GroundingEvaluator(read_samples("eval.jsonl", format="sft")).'
)


class OpenAdaptMLError(UserError):
    """openadapt-ml or TRL is missing, or is of a version whose trainer is not known."""


@dataclass
class OpenAdaptMLTrainings:
    """The trainings that ran inside a context.

    Attributes:
        callback: The callback that was added to each.
        begun: How many Trainers were made.
        checkpoints: The folders of the final adapters, one for each training that came to its end.
        states: The state of each one's Trainer at its end, beside it; `state.log_history` has its evaluations.
    """

    callback: OpenAdaptWandbCallback | None
    begun: int = 0
    checkpoints: list[str] = field(default_factory=list)
    states: list[TrainerState] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """What a Trainer is evaluated on, and how often: at the end of each epoch, or every `steps` steps."""

    rows: Any
    steps: int | None

    def without_rows(self, callback: OpenAdaptWandbCallback) -> list[str]:
        """What the metrics of evaluations of clicks alone begin with; empty if there are none to be made."""
        grounding = callback.grounding
        if self.rows is not None or grounding is None or isinstance(grounding, str):
            return []
        return [f"eval_{name}" for name in grounding] if isinstance(grounding, Mapping) else ["eval"]

    def schedule(self, args: Any) -> None:
        """Have a Trainer with these arguments evaluate so often."""
        from transformers.trainer_utils import IntervalStrategy

        args.eval_strategy = IntervalStrategy.EPOCH if self.steps is None else IntervalStrategy.STEPS
        args.eval_steps = self.steps
        args.do_eval = True


def loading(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """openadapt-ml's `_load_standard_model`, with a processor that does without torchvision."""
    owner = threading.get_ident()

    def load_standard_model(config: Any) -> Any:
        from .processors import has_torchvision

        if threading.get_ident() != owner or has_torchvision():
            return function(config)
        from transformers import AutoProcessor

        # Of the class, and not the name in `transformers`: that module is lazy, and may set its names again.
        ours = {"from_pretrained": staticmethod(without_torchvision(AutoProcessor.from_pretrained))}
        with replaced(AutoProcessor, ours):
            return function(config)

    return load_standard_model


def without_torchvision(stock: Callable[..., Any]) -> Callable[..., Any]:
    """`AutoProcessor.from_pretrained` for a machine without torchvision, where the stock one can't load Qwen-VL's."""

    def from_pretrained(name: str, **kwargs: Any) -> Any:
        from .processors import load_processor

        try:
            return load_processor(name, **kwargs)
        except ValueError:  # of no family that we load: as it would have been
            return stock(name, **kwargs)

    return from_pretrained


def training(
    function: Callable[..., str], trainings: OpenAdaptMLTrainings, evaluation: Evaluation
) -> Callable[..., str]:
    """openadapt-ml's `_run_sft_training`, with a Trainer that has what openadapt-ml doesn't give it."""
    owner = threading.get_ident()

    def run_sft_training(  # noqa: PLR0917  # as openadapt-ml calls it
        dataset: Any, config: Any, model: Any, tokenizer: Any, is_unsloth: bool, num_samples: int, label: str = ""
    ) -> str:
        arguments = (dataset, config, model, tokenizer, is_unsloth, num_samples, label)
        if threading.get_ident() != owner:
            return function(*arguments)
        trl: Any = import_module("trl")
        made: list[Any] = []
        with ExitStack() as names:  # until the Trainer is made

            def note(trainer: Any) -> None:
                names.close()
                made.append(trainer)

            # Now, and not earlier: Unsloth puts Trainers of its own into TRL when it is imported, and it has been.
            ours = {
                "SFTConfig": sft_config(trl.SFTConfig),
                "SFTTrainer": _sft_trainer(trl.SFTTrainer, tokenizer, trainings, evaluation, note),
            }
            names.enter_context(replaced(trl, ours))
            checkpoint = function(*arguments)
        trainings.checkpoints.append(checkpoint)
        trainings.states.append(made[-1].state)
        return checkpoint

    return run_sft_training


def sft_config(stock: Any) -> Callable[..., Any]:
    """TRL's configuration, made of arguments that transformers has renamed since.

    From version 5 on, a `warmup_steps` below 1 is the share of all steps that `warmup_ratio` was.
    """
    known = {one.name for one in fields(stock)}

    def make(**arguments: Any) -> Any:
        if "warmup_ratio" not in known and "warmup_ratio" in arguments:
            ratio = arguments.pop("warmup_ratio")
            if not 0 <= ratio < 1:
                raise OpenAdaptMLError(f"warmup_ratio={ratio}: expected a share of the steps, 0 to below 1.")
            arguments["warmup_steps"] = ratio
        return stock(**arguments)

    return make


def _sft_trainer(
    stock: Any,
    processor: Any,
    trainings: OpenAdaptMLTrainings,
    evaluation: Evaluation,
    note: Callable[[Any], None],
) -> type[Any]:
    """A subclass of TRL's Trainer that is given the rest, and is told to `note` when it is made."""
    takes_tokenizer = "tokenizer" in inspect.signature(stock.__init__).parameters
    callback = trainings.callback

    class Tracked(stock):  # type: ignore[misc]
        control: Any
        state: Any

        def __init__(self, *, args: Any, callbacks: Sequence[Any] = (), **given: Any) -> None:
            note(self)
            tokenizer = given.pop("tokenizer", processor)
            given["tokenizer" if takes_tokenizer else "processing_class"] = tokenizer  # Unsloth's Trainers take both
            self._clicks_of: list[str] = []
            if callback is not None:
                _report_to_wandb(args)
                callbacks = [*callbacks, callback]
                if evaluation.rows is not None:
                    given["eval_dataset"] = evaluation.rows
                    evaluation.schedule(args)
                    # Whoever has memory for training batches of this size has it for these; 8, the default, may be
                    # too many.
                    args.per_device_eval_batch_size = args.per_device_train_batch_size
                elif "wandb" in args.report_to:
                    self._clicks_of = evaluation.without_rows(callback)
            super().__init__(args=args, callbacks=list(callbacks), **given)
            if self._clicks_of:
                evaluation.schedule(args)  # not before: a Trainer that is made with it insists on rows
            elif callback is not None and evaluation.rows is None and callback.grounding is not None:
                logger.warning(NO_EVALUATION)
            trainings.begun += 1

        def evaluate(
            self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
        ) -> dict[str, float]:
            if eval_dataset is not None or not self._clicks_of:
                metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
                return metrics
            measured: dict[str, float] = {}
            for prefix in self._clicks_of:
                # An evaluation without rows: no loss, which took no time. The callback adds the clicks to it.
                logs = {f"{prefix}_runtime": 0.0, f"{prefix}_samples_per_second": 0.0}
                self.log(logs)
                self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
                measured.update(logs)
            return measured

    Tracked.__name__, Tracked.__qualname__ = stock.__name__, stock.__qualname__  # TRL's model cards name it
    return Tracked


def _report_to_wandb(args: Any) -> None:
    from .trainer_logs import tracking

    before = args.report_to
    names = [name for name in ([before] if isinstance(before, str) else before or []) if name != "none"]
    args.report_to = names if "wandb" in names else [*names, "wandb"]
    if tracking(args) != "on":  # the environment has switched it off, where transformers 4 would raise
        args.report_to = [name for name in names if name != "wandb"]


@contextmanager
def replaced(owner: Any, ours: dict[str, Any]) -> Iterator[None]:
    """Put `ours` in the place of names of a module or class, and put back what was there.

    What others have put there meanwhile stays.
    """
    before = {name: vars(owner).get(name, getattr(owner, name)) for name in ours}
    try:
        for name, value in ours.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            if vars(owner).get(name) is ours[name]:
                setattr(owner, name, value)
