"""The parts of the reference training run, each made from the configuration: arguments, data, model, adapter."""

from __future__ import annotations

import dataclasses
import filecmp
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from . import keys
from .config import ConfigError, RunConfig
from .opening import is_installed
from .suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from .grounding import GroundingEvaluator

Row = dict[str, Any]

logger = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "output_dir": "training_output",
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 4,
    "learning_rate": 2e-4,
    "lr_scheduler_type": "cosine",
    "logging_steps": 10,
}
"""What `training:` leaves out is as in openadapt-ml 0.17.0 (`scripts/train.py`); beyond these, transformers' own."""
DEFAULT_WARMUP = 0.03
"""Share of the steps, where neither `warmup_ratio` nor `warmup_steps` is given; openadapt-ml's."""
_GROUNDING_METRICS = (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE, keys.GROUNDING_PARSED, keys.GROUNDING_CORRECT)


def check_possible(config: RunConfig, *, wandb: bool) -> None:
    """Check what can be checked before anything is loaded.

    Raises:
        ConfigError: All that this machine or this configuration lacks, one a line.
    """
    import torch

    problems = []
    if config.data.train is None and config.demo_data is None:
        drawn = " (synthetic_data is drawn by openadapt-ml, and not here)" if config.synthetic_data else ""
        problems.append(
            f"data.train: nothing to train on{drawn}. Give a JSONL file of SFT rows, such as data.train=train.jsonl, "
            "or a demo_data section"
        )
    if config.model.load_in_4bit and (lacks := _lacks_for_4bit(has_cuda=torch.cuda.is_available())):
        problems.append(
            f"model.load_in_4bit: 4-bit weights need a CUDA GPU and bitsandbytes; there is no {lacks}. "
            "Train on unquantised weights with model.load_in_4bit=false"
        )
    if (wandb or "wandb" in report_to(config, wandb=wandb)) and not is_installed():
        problems.append("W&B is asked for, but wandb isn't installed: pip install 'oaml-callbacks[wandb]'")
    if problems:
        raise ConfigError("\n".join(problems))


def _lacks_for_4bit(*, has_cuda: bool) -> str:
    return " and no ".join(
        name
        for name, is_there in (("CUDA GPU", has_cuda), ("bitsandbytes", find_spec("bitsandbytes") is not None))
        if not is_there
    )


def report_to(config: RunConfig, *, wandb: bool) -> list[str]:
    """The trackers to report to: the configuration's, and `wandb` if asked for."""
    given = config.training.get("report_to") or []
    trackers = [given] if isinstance(given, str) else list(given)
    trackers = [tracker for tracker in trackers if tracker != "none"]
    return [*trackers, "wandb"] if wandb and not {"wandb", "all"} & set(trackers) else trackers


def training_arguments(config: RunConfig, *, wandb: bool, evaluates: bool, grounds: bool) -> TrainingArguments:
    """The Trainer's arguments: what the configuration gives, completed, in the installed transformers' names.

    Args:
        config: The run's.
        wandb: Report to W&B.
        evaluates: There is an evaluation set.
        grounds: Clicks are measured on it.

    Raises:
        ConfigError: TrainingArguments refuses a value, or values contradict each other or the data.
    """
    import torch
    from transformers import TrainingArguments
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    given = {name: value for name, value in config.training.items() if name != "max_seq_length"}
    values = {**DEFAULTS, **given, "report_to": report_to(config, wandb=wandb) or "none"}
    for tracker in report_to(config, wandb=wandb):
        if tracker not in INTEGRATION_TO_CALLBACK and tracker != "all":
            hint = did_you_mean(nearest(tracker, INTEGRATION_TO_CALLBACK))
            raise ConfigError(f"training.report_to: there is no tracker {tracker}{hint}")
    if values.setdefault("remove_unused_columns", False):
        raise ConfigError("training.remove_unused_columns: must be false here, the pictures are columns too.")
    # Its own default of 8 pictures a batch is too much where training takes 1.
    values.setdefault("per_device_eval_batch_size", values["per_device_train_batch_size"])
    values.setdefault("dataloader_pin_memory", torch.cuda.is_available())
    if not {"bf16", "fp16"} & set(given):
        values["bf16"] = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    values.setdefault("save_strategy", "steps" if "save_steps" in given else "epoch")
    _complete_evaluation(values, given, evaluates=evaluates, grounds=grounds)
    _complete_warmup(values, given)
    if values.get("gradient_checkpointing") or values.get("activation_checkpointing"):
        _complete_checkpointing(values)
    try:
        return TrainingArguments(**values)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"training: {error}") from error


def _complete_evaluation(values: Row, given: Row, *, evaluates: bool, grounds: bool) -> None:
    metric = str(given.get("metric_for_best_model", ""))
    if not evaluates:
        asked = given.get("eval_strategy", "no") != "no" or given.get("load_best_model_at_end") or metric
        if asked:
            raise ConfigError("training: an evaluation or a best model is asked for, but data.eval isn't given.")
        values["eval_strategy"] = "no"
        return
    if "grounding_" in metric:
        if not grounds:
            raise ConfigError(
                f"training.metric_for_best_model: {metric} needs data.eval with answers that point somewhere."
            )
        if metric.removeprefix("eval_") not in _GROUNDING_METRICS:
            hint = did_you_mean(nearest(metric.removeprefix("eval_"), _GROUNDING_METRICS))
            raise ConfigError(f"training.metric_for_best_model: there is no {metric}{hint}")
    followed = values["save_strategy"] if values["save_strategy"] in ("steps", "epoch") else "epoch"
    strategy = values.setdefault("eval_strategy", "steps" if "eval_steps" in given else followed)
    if strategy == "steps" and "save_steps" in given:
        values.setdefault("eval_steps", given["save_steps"])
    if strategy == "no":
        return
    # Both read the metric too, and want the loss.
    schedules_on_it = values["lr_scheduler_type"] in ("reduce_lr_on_plateau", "greedy")
    if grounds and not metric and not schedules_on_it:
        values["metric_for_best_model"] = keys.GROUNDING_ACCURACY
    if str(values.get("metric_for_best_model")).endswith(keys.GROUNDING_DISTANCE):
        values.setdefault("greater_is_better", False)  # transformers takes all but losses for better when greater


def _complete_warmup(values: Row, given: Row) -> None:
    """Say the warmup as the installed transformers does: below 1 of `warmup_steps` is a share since version 5."""
    known = _argument_names()
    ratio = values.pop("warmup_ratio", 0.0 if "warmup_steps" in given else DEFAULT_WARMUP)
    steps = values.pop("warmup_steps", 0) or ratio  # the steps win over the share, as in version 4
    if "warmup_ratio" in known:
        values |= {"warmup_ratio": steps, "warmup_steps": 0} if steps < 1 else {"warmup_steps": int(steps)}
    else:
        values["warmup_steps"] = steps


def _complete_checkpointing(values: Row) -> None:
    """Name gradient checkpointing as the installed version does, in the form that keeps an adapter's gradients."""
    new, old = "activation_checkpointing", "gradient_checkpointing"
    name, other = (new, old) if new in _argument_names() else (old, new)
    for suffix in ("", "_kwargs"):
        if other + suffix in values:
            values.setdefault(name + suffix, values.pop(other + suffix))
    values.setdefault(f"{name}_kwargs", {"use_reentrant": False})


def _argument_names() -> set[str]:
    from transformers import TrainingArguments

    return {field.name for field in dataclasses.fields(TrainingArguments)}


def load_data(config: RunConfig) -> tuple[list[Row], list[Row], GroundingEvaluator | None]:
    """The rows to train on, the rows to evaluate on (none without `data.eval`), and what measures clicks on them.

    Raises:
        ConfigError: A file isn't there.
        SampleFileError: A file has a line that can't be used.
    """
    from .grounding import AnswerReader, GroundingEvaluator, SampleFileError, read_samples, read_sft_rows

    files = {part: _data_file(config, part) for part in ("train", "eval")}
    for part, file in files.items():
        if file is not None and not file.is_file():
            raise ConfigError(f"data.{part}: there is no file {file}.")
    train, evaluation = files["train"], files["eval"]
    assert train is not None  # see check_possible
    train_rows = read_sft_rows(train)
    if evaluation is None:
        logger.warning("No data.eval: neither the evaluation loss nor clicks are measured.")
        return train_rows, [], None
    if filecmp.cmp(train, evaluation, shallow=False):
        logger.warning("%s holds what is trained on (%s): its figures say nothing of new screens.", evaluation, train)
    eval_rows = read_sft_rows(evaluation)
    options = config.grounding
    try:
        reader = AnswerReader(options.family, options.space)
    except ValueError as error:
        raise ConfigError(f"grounding: {error}") from error
    try:
        samples = read_samples(evaluation, format="sft", reader=reader)
    except SampleFileError as error:
        logger.warning("Clicks aren't measured: %s", error)
        return train_rows, eval_rows, None
    evaluator = GroundingEvaluator(
        samples,
        family=options.family,
        space=options.space,
        batch_size=options.batch_size,
        max_new_tokens=options.max_new_tokens,
        max_samples=options.max_samples,
        max_seconds=options.max_seconds,
    )
    return train_rows, eval_rows, evaluator


def _data_file(config: RunConfig, part: str) -> Path | None:
    """`data.<part>`, or where the demo's screens are, drawn if they aren't there yet."""
    if given := getattr(config.data, part):
        return config.input_path(given)
    demo = config.demo_data
    if demo is None:
        return None
    count, seed = (demo.train_samples, demo.seed) if part == "train" else (demo.eval_samples, demo.seed + 1)
    if count == 0:
        return None
    from .demo.screens import write_samples

    # The name says what is in it, so that other numbers give other files.
    folder, name = Path(demo.output_dir), f"{part}-{count}-seed{seed}"
    if not (folder / f"{name}.jsonl").is_file():
        logger.info("Drawing %d screens into %s.", count, folder)
        write_samples(folder, name=name, count=count, seed=seed)
    return folder / f"{name}.jsonl"


def load_model(config: RunConfig, args: TrainingArguments) -> PreTrainedModel:
    """The base model with its LoRA adapter, ready for the Trainer.

    Raises:
        OSError: The checkpoint's files aren't there (from transformers).
        ConfigError: The adapter doesn't fit the model.
    """
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    dtype: Any = config.model.dtype or ("bfloat16" if has_bf16 else "float32")
    options: Row = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    for name in ("attn_implementation", "revision"):
        if (value := getattr(config.model, name)) is not None:
            options[name] = value
    if config.model.load_in_4bit:
        options |= {
            "device_map": {"": args.device},
            "quantization_config": BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=torch.bfloat16 if has_bf16 else torch.float16,
                bnb_4bit_use_double_quant=True,
            ),
        }
    model = AutoModelForImageTextToText.from_pretrained(config.model_source(), **options)
    if config.model.load_in_4bit:
        model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model, use_gradient_checkpointing=args.gradient_checkpointing
        )
    lora = config.lora.model_dump(exclude={"weights_path", "finetune_vision_layers"})
    try:
        with warnings.catch_warnings():
            # peft asks for it by its old name; nobody who trains can do anything about it.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            adapted = get_peft_model(model, LoraConfig(**lora))
    except ValueError as error:
        raise ConfigError(f"lora.target_modules: {error}") from error
    return cast("PreTrainedModel", adapted)
