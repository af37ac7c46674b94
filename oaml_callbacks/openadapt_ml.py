"""[`openadapt_ml_tracking`]: our callback inside the Trainer that openadapt-ml's TRL trainer builds.

openadapt-ml 0.17 builds TRL's `SFTTrainer` with a fixed list of callbacks, no `report_to`, no processor and no
evaluation set, and offers no way to pass more. It does so in two functions of `openadapt_ml.training.trl_trainer`,
`_load_standard_model` and `_run_sft_training`, which look up `transformers.AutoProcessor`, `trl.SFTConfig` and
`trl.SFTTrainer` when they run. So: inside the context these two functions are wrapped, and where one of them runs, in
the thread that entered the context, the names that it looks up are replaced until it has its processor or its Trainer.
On leaving all of it is undone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .openadapt_ml_hooks import Evaluation, OpenAdaptMLError, OpenAdaptMLTrainings, loading, replaced, training

if TYPE_CHECKING:
    from .callback import OpenAdaptWandbCallback

__all__ = ["OpenAdaptMLError", "OpenAdaptMLTrainings", "evaluation_rows", "openadapt_ml_tracking"]

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
        evaluation = Evaluation(None if eval_dataset is None else evaluation_rows(eval_dataset), eval_steps)
        ours = {
            "_load_standard_model": loading(module._load_standard_model),
            "_run_sft_training": training(module._run_sft_training, trainings, evaluation),
        }
        with replaced(module, ours):
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
            f"openadapt-ml's trainer can't be imported ({error}): pip install \"openadapt-ml[training]=={KNOWN}*\"."
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
