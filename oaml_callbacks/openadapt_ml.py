"""[`openadapt_ml_tracking`]: our callback inside the Trainer that openadapt-ml's TRL trainer builds.

openadapt-ml 0.17 builds TRL's `SFTTrainer` with a fixed list of callbacks, no `report_to`, no processor and no
evaluation set, and offers no way to pass more. It does so in two functions of `openadapt_ml.training.trl_trainer`,
`_load_standard_model` and `_run_sft_training`, which look up `transformers.AutoProcessor`, `trl.SFTConfig` and
`trl.SFTTrainer` when they run. So: inside the context these two functions are wrapped, and only while one of them
runs, in the thread that entered the context, are the names replaced that it looks up. On leaving all of it is undone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import os
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clean_text import one_line
from .errors import UserError

if TYPE_CHECKING:
    from transformers import TrainerState

    from .callback import OpenAdaptWandbCallback

logger = logging.getLogger(__name__)

KNOWN = "0.17."
"""The versions of openadapt-ml whose trainer is known begin so."""
TRAINER = "openadapt_ml.training.trl_trainer"
SCRIPT = "openadapt_ml.scripts.train"
NO_EVALUATION = (
    "Clicks are not measured: openadapt-ml's trainer has no evaluation set. Give one, "
    'openadapt_ml_tracking(..., eval_dataset="eval.jsonl") or --eval-jsonl eval.jsonl, or give the callback samples: '
    'grounding=GroundingEvaluator(read_samples("eval.jsonl", format="sft")).'
)

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
        begun: How many Trainers were made.
        checkpoints: The folders of the final adapters, one for each training that came to its end.
        states: The state of each one's Trainer at its end, beside it; `state.log_history` has its evaluations.
    """

    callback: OpenAdaptWandbCallback | None
    begun: int = 0
    checkpoints: list[str] = field(default_factory=list)
    states: list[TrainerState] = field(default_factory=list)


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
        OSError: The file of rows can't be read.
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
        SampleFileError: The file has a broken row.
        OSError: It can't be read.
        OpenAdaptMLError: There are no rows, or not of this form.
    """
    try:
        from datasets import Dataset, Image, Sequence
    except ImportError as error:
        raise OpenAdaptMLError(_needs("datasets", error)) from error
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
        from transformers.trainer_utils import IntervalStrategy

        args.eval_strategy = IntervalStrategy.EPOCH if self.steps is None else IntervalStrategy.STEPS
        args.eval_steps = self.steps
        args.do_eval = True


def _loading(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
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

        made: list[Any] = []
        # Now, and not earlier: Unsloth puts Trainers of its own into TRL when it is imported, and it has been.
        ours = {
            "SFTConfig": sft_config(trl.SFTConfig),
            "SFTTrainer": _sft_trainer(trl.SFTTrainer, tokenizer, trainings, evaluation, made),
        }
        with _replaced(trl, ours):
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
    stock: Any, processor: Any, trainings: OpenAdaptMLTrainings, evaluation: _Evaluation, made: list[Any]
) -> type[Any]:
    """A subclass of TRL's Trainer that is given the rest, and notes itself in `made`."""
    takes_tokenizer = "tokenizer" in inspect.signature(stock.__init__).parameters
    callback = trainings.callback

    class Tracked(stock):  # type: ignore[misc]
        def __init__(self, *, args: Any, callbacks: Sequence[Any] = (), **given: Any) -> None:
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
            made.append(self)

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


# Its command -----------------------------------------------------------------------------------------------------


def run_train_script(
    arguments: Sequence[str],
    callback: OpenAdaptWandbCallback | None,
    *,
    eval_dataset: Any = None,
    eval_steps: int | None = None,
) -> OpenAdaptMLTrainings:
    """Run `python -m openadapt_ml.scripts.train` with these arguments in this process, tracked.

    Args:
        arguments: As they would be typed behind it.
        callback: As for [`openadapt_ml_tracking`], and so what follows.
        eval_dataset: What to evaluate on.
        eval_steps: How often.

    Raises:
        UserError: What was given can't be trained on, or a package is missing; raised before training alone.
        SystemExit: Its own argument parser's.
    """
    trainings = None
    before = sys.argv
    try:
        with openadapt_ml_tracking(callback, eval_dataset=eval_dataset, eval_steps=eval_steps) as trainings:
            _check_config(arguments)
            sys.argv = ["oaml openadapt-ml-train", *arguments]
            runpy.run_module(SCRIPT, run_name="__main__")
    except ImportError as error:
        how = "" if "install" in str(error) else f'. Try: pip install "openadapt-ml[training]=={KNOWN}*"'
        raise OpenAdaptMLError(f"a package is missing: {error}{how}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UserError) or (trainings is not None and trainings.begun):
            raise
        named = isinstance(error, OSError) and error.filename is not None
        raise OpenAdaptMLError(f"{error.filename}: {error.strerror}" if named else str(error)) from error  # type: ignore[union-attr]
    finally:
        sys.argv = before
    return trainings


def _check_config(arguments: Sequence[str]) -> None:
    """Say what is wrong with the configuration file, where the script would end in a KeyError."""
    import yaml

    given = [*arguments]
    paths = [one.partition("=")[2] for one in given if one.startswith("--config=")]
    paths += [value for one, value in zip(given, given[1:], strict=False) if one == "--config"]
    for path in paths[-1:]:
        try:
            config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise OpenAdaptMLError(f"{path} is no YAML: {one_line(str(error))}") from None
        model = config.get("model") if isinstance(config, dict) else None
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            raise OpenAdaptMLError(f"{path} names no model: expected `model: {{name: Qwen/Qwen3-VL-2B-Instruct}}` in it.")
