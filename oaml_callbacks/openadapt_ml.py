"""[`openadapt_ml_tracking`]: our callback inside the Trainer that openadapt-ml's TRL trainer builds.

openadapt-ml 0.17 builds TRL's `SFTTrainer` with a fixed list of callbacks, no `report_to`, no processor and no
evaluation set, and offers no way to pass more. It does so in two functions of `openadapt_ml.training.trl_trainer`,
`_load_standard_model` and `_run_sft_training`, which look up `transformers.AutoProcessor`, `trl.SFTConfig` and
`trl.SFTTrainer` when they run. So: inside the context these two functions are wrapped, and only while one of them
runs, in the thread that entered the context, are the names replaced that it looks up. On leaving all of it is undone.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    import os

    from .callback import OpenAdaptWandbCallback

logger = logging.getLogger(__name__)

KNOWN = "0.17."
"""The versions of openadapt-ml whose trainer is known begin so."""
TRAINER = "openadapt_ml.training.trl_trainer"

_PARAMETERS = {
    "_load_standard_model": ("config",),
    "_run_sft_training": ("dataset", "config", "model", "tokenizer", "is_unsloth", "num_samples", "label"),
}
"""What is wrapped, and what it takes."""
_entered = threading.Lock()
"""Held while a context is open: what it wraps is the process's."""


class OpenAdaptMLError(UserError):
    """openadapt-ml or TRL is missing, or is of a version whose trainer is not known."""


@dataclass
class OpenAdaptMLTrainings:
    """The trainings that ran inside a context.

    Attributes:
        callback: The callback that was added to each.
        checkpoints: The folders of their final adapters, as `train_with_trl` returned them.
        trainers: Their Trainers.
    """

    callback: OpenAdaptWandbCallback | None
    checkpoints: list[str] = field(default_factory=list)
    trainers: list[Any] = field(default_factory=list)


@contextmanager
def openadapt_ml_tracking(
    callback: OpenAdaptWandbCallback | None,
    *,
    eval_dataset: Any = None,
    eval_steps: int | None = None,
) -> Iterator[OpenAdaptMLTrainings]:
    """Track the trainings that openadapt-ml's own TRL trainer runs inside the block.

    ```python
    from openadapt_ml.training.trl_trainer import train_from_jsonl

    with openadapt_ml_tracking(OpenAdaptWandbCallback(), eval_dataset="eval.jsonl"):
        train_from_jsonl("train.jsonl", config)
    ```

    `train_with_trl`, `train_from_jsonl` and `train_from_parquet` are reached, however they were imported. The Trainer
    gets the callback, `wandb` in its `report_to`, the processor that openadapt-ml has loaded and doesn't pass on, and
    evaluations, of which openadapt-ml has none:

    - with `eval_dataset`, of its rows: their loss, and their clicks as the callback's `grounding` says;
    - without it, where the callback has a `GroundingEvaluator` (or several by name), of its clicks alone. There is no
      loss then, and `eval/runtime` is 0: it is the loss's.

    It also mends what keeps this trainer from running on today's transformers: `warmup_ratio` becomes `warmup_steps`
    where that takes the share, and Qwen-VL processors are loaded without torchvision where there is none.

    One context at a time: what is replaced are names of modules. Trainings that other threads start meanwhile are left
    as they are, but for the moment in which this thread's Trainer is made, when they'd find TRL's names replaced too;
    so don't start two trainings at once. Everything is put back at the end, also after an exception.

    Args:
        callback: The callback. `None`: no tracking and no evaluations, the repairs alone.
        eval_dataset: What to evaluate on: a JSONL file of rows in openadapt-ml's SFT form, such rows (`images` as
            paths or PIL images, `messages`, and a `bbox` where the target's box is known), or a `datasets.Dataset`.
        eval_steps: Optimizer steps between evaluations, 1 or more. `None`: at the end of each epoch.

    Yields:
        The trainings, which fill up as they run.

    Raises:
        OpenAdaptMLError: openadapt-ml or TRL is missing, or of a version whose trainer is not known; or a context is
            open already.
        UserError: There is something wrong with the rows, or with `eval_steps`.
    """
    if eval_steps is not None and eval_steps < 1:
        raise OpenAdaptMLError(f"eval_steps={eval_steps}: expected 1 or more steps between evaluations, or None.")
    if callback is None and eval_dataset is not None:
        raise OpenAdaptMLError("eval_dataset was given without a callback, so nobody would evaluate on it.")
    module = _known_trainer()
    if not _entered.acquire(blocking=False):
        raise OpenAdaptMLError(
            "openadapt_ml_tracking is entered already, and what it replaces is there once in a process. Leave that "
            "block first; several trainings, one after the other, may run in one block."
        )
    try:
        trainings = OpenAdaptMLTrainings(callback)
        evaluation = _Evaluation(None if eval_dataset is None else evaluation_rows(eval_dataset), eval_steps)
        ours = {
            "_load_standard_model": _loading(module._load_standard_model),
            "_run_sft_training": _training(module._run_sft_training, trainings, evaluation),
        }
        with _replaced(module, ours):
            yield trainings
    finally:
        _entered.release()


def evaluation_rows(rows: Any) -> Any:
    """Rows in openadapt-ml's SFT form as a `datasets.Dataset`, whose pictures are decoded when they are asked for.

    Args:
        rows: As `eval_dataset` of [`openadapt_ml_tracking`].

    Raises:
        SampleFileError: The file can't be read, or has a broken row.
        OpenAdaptMLError: There are no rows, or not of this form.
    """
    try:
        from datasets import Dataset, Image, Sequence
    except ImportError as error:
        raise OpenAdaptMLError(_needs("datasets", error)) from error
    import os

    if isinstance(rows, (str, os.PathLike)):
        from .grounding import read_sft_rows

        rows = read_sft_rows(os.fspath(rows))
    if not isinstance(rows, Dataset):
        rows = [dict(row) for row in rows]
        for row in rows:
            if isinstance(row.get("images"), list):
                row["images"] = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in row["images"]]
        rows = Dataset.from_list(rows)
    if not len(rows) or not {"images", "messages"} <= set(rows.column_names):
        found = ", ".join(rows.column_names) or "none"
        raise OpenAdaptMLError(
            f"eval_dataset has {len(rows)} rows with the columns {found}; expected rows with images and messages, as "
            "openadapt-ml's build_next_action_sft_samples makes them."
        )
    feature = rows.features["images"]
    inner = getattr(feature, "feature", None)
    return rows if isinstance(inner, Image) else rows.cast_column("images", Sequence(Image()))


def _known_trainer() -> Any:
    """openadapt-ml's module, if it is one that is known."""
    try:
        found = version("openadapt-ml")
    except PackageNotFoundError:
        raise OpenAdaptMLError(
            f'openadapt-ml is not installed: pip install "openadapt-ml[training]=={KNOWN}*".'
        ) from None
    if not found.startswith(KNOWN):
        raise OpenAdaptMLError(
            f"openadapt-ml {found} is installed, and the trainer that is known here is that of {KNOWN}*. Install that "
            f'(pip install "openadapt-ml=={KNOWN}*"), or a newer oaml-callbacks; or give the callback to the Trainer '
            "yourself, if this version takes callbacks."
        )
    for package in ("datasets", "trl"):
        if importlib.util.find_spec(package) is None:
            raise OpenAdaptMLError(_needs(package, None))
    try:
        module = importlib.import_module(TRAINER)
    except ImportError as error:
        raise OpenAdaptMLError(
            f'openadapt-ml\'s trainer can\'t be imported ({error}): pip install "openadapt-ml[training]=={KNOWN}*".'
        ) from error
    for name, parameters in _PARAMETERS.items():
        function = getattr(module, name, None)
        if function is None or tuple(inspect.signature(function).parameters) != parameters:
            raise OpenAdaptMLError(
                f"{TRAINER}.{name} of openadapt-ml {found} is not what version {KNOWN}* has: it was changed in this "
                "environment. Reinstall openadapt-ml, or enter this block before what changes it."
            )
    return module


def _needs(package: str, error: ImportError | None) -> str:
    why = f" ({error})" if error is not None else ""
    return f'openadapt-ml\'s trainer needs {package}{why}: pip install "oaml-callbacks[trl]".'


# What is wrapped -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Evaluation:
    rows: Any
    steps: int | None

    def sets(self, callback: OpenAdaptWandbCallback) -> list[str] | None:
        """What the metrics of evaluations without rows begin with; `None` if there are none to be made."""
        grounding = callback.grounding
        if self.rows is not None or grounding is None or isinstance(grounding, str):
            return None
        return [f"eval_{name}" for name in grounding] if isinstance(grounding, dict) else ["eval"]


def _loading(function: Callable[..., Any]) -> Callable[..., Any]:
    """`_load_standard_model`, with a processor that does without torchvision."""
    owner = threading.get_ident()

    def load_standard_model(config: Any) -> Any:
        from .processors import has_torchvision

        if threading.get_ident() != owner or has_torchvision():
            return function(config)
        from transformers import AutoProcessor

        # Of the class, and not the name in `transformers`: that module is lazy, and may set its names again.
        ours = {"from_pretrained": staticmethod(_without_torchvision(AutoProcessor.from_pretrained))}
        with _replaced(AutoProcessor, ours):
            return function(config)

    return load_standard_model


def _without_torchvision(stock: Callable[..., Any]) -> Callable[..., Any]:
    def from_pretrained(name: str, **kwargs: Any) -> Any:
        from .processors import load_processor

        try:
            return load_processor(name, **kwargs)
        except ValueError:  # of no family that we load: as it would have been
            return stock(name, **kwargs)

    return from_pretrained


def _training(
    function: Callable[..., str], trainings: OpenAdaptMLTrainings, evaluation: _Evaluation
) -> Callable[..., str]:
    """`_run_sft_training`, with a Trainer that has what openadapt-ml doesn't give it."""
    owner = threading.get_ident()

    def run_sft_training(
        dataset: Any, config: Any, model: Any, tokenizer: Any, is_unsloth: bool, num_samples: int, label: str = ""
    ) -> str:
        arguments = (dataset, config, model, tokenizer, is_unsloth, num_samples, label)
        if threading.get_ident() != owner:
            return function(*arguments)
        import trl

        # Now, and not earlier: Unsloth puts Trainers of its own into TRL when it is imported, and it has been.
        ours = {
            "SFTConfig": sft_config(trl.SFTConfig),
            "SFTTrainer": _sft_trainer(trl.SFTTrainer, tokenizer, trainings, evaluation),
        }
        with _replaced(trl, ours):
            checkpoint = function(*arguments)
        trainings.checkpoints.append(checkpoint)
        return checkpoint

    return run_sft_training


def sft_config(stock: Any) -> Callable[..., Any]:
    """Make TRL's configuration of arguments that transformers has renamed.

    Since version 5, `warmup_steps` below 1 is the share of all steps that `warmup_ratio` was.
    """
    known = {one.name for one in fields(stock)}

    def make(**arguments: Any) -> Any:
        if "warmup_ratio" not in known and "warmup_ratio" in arguments:
            ratio = arguments.pop("warmup_ratio")
            if not 0 <= ratio < 1:
                raise UserError(f"warmup_ratio={ratio}: expected a share of the steps, 0 to below 1.")
            arguments.setdefault("warmup_steps", ratio)
        return stock(**arguments)

    return make


def _sft_trainer(stock: Any, processor: Any, trainings: OpenAdaptMLTrainings, evaluation: _Evaluation) -> type[Any]:
    takes_tokenizer = "tokenizer" in inspect.signature(stock.__init__).parameters
    callback = trainings.callback

    class Tracked(stock):  # type: ignore[misc]
        def __init__(self, *, args: Any, callbacks: Any = (), **given: Any) -> None:
            if not takes_tokenizer:  # Unsloth's own do
                given.setdefault("processing_class", given.pop("tokenizer", processor))
            sets = None
            if callback is not None:
                _report_to_wandb(args)
                callbacks = [*callbacks, callback]
                sets = evaluation.sets(callback)
                if evaluation.rows is not None:
                    given["eval_dataset"] = evaluation.rows
                    # Whoever has memory for training batches of this size has it for these; the default of 8 may not.
                    args.per_device_eval_batch_size = args.per_device_train_batch_size
                    _evaluate_every(args, evaluation.steps)
            super().__init__(args=args, callbacks=callbacks, **given)
            self._clicks_of = sets
            if sets is not None:  # a Trainer that is made with it insists on rows
                _evaluate_every(args, evaluation.steps)
            elif callback is not None and evaluation.rows is None and callback.grounding is not None:
                logger.warning(
                    "Clicks are not measured: openadapt-ml's trainer has no evaluation set. Give "
                    'openadapt_ml_tracking(..., eval_dataset="eval.jsonl"), or the callback samples: '
                    'grounding=GroundingEvaluator(read_samples("eval.jsonl", format="sft")).'
                )
            trainings.trainers.append(self)

        def evaluate(
            self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
        ) -> dict[str, float]:
            if eval_dataset is not None or self.eval_dataset is not None or self._clicks_of is None:
                metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
                return metrics
            measured = {}
            for prefix in self._clicks_of:
                # An evaluation without rows: no loss, which took no time. The callback adds the clicks to it.
                logs = {f"{prefix}_runtime": 0.0, f"{prefix}_samples_per_second": 0.0}
                self.log(logs)
                self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
                measured.update(logs)
            return measured

    Tracked.__name__, Tracked.__qualname__ = stock.__name__, stock.__qualname__
    return Tracked


def _report_to_wandb(args: Any) -> None:
    from .trainer_logs import tracking

    before = args.report_to
    args.report_to = [*(before if isinstance(before, list) else [before]), "wandb"] if "wandb" not in before else before
    if tracking(args) != "on":  # switched off by the environment; transformers 4 would raise
        args.report_to = before
    elif isinstance(args.report_to, list):
        args.report_to = [name for name in args.report_to if name != "none"]


def _evaluate_every(args: Any, steps: int | None) -> None:
    from transformers.trainer_utils import IntervalStrategy

    args.eval_strategy = IntervalStrategy.EPOCH if steps is None else IntervalStrategy.STEPS
    args.eval_steps = steps
    args.do_eval = True


@contextmanager
def _replaced(owner: Any, ours: dict[str, Any]) -> Iterator[None]:
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
