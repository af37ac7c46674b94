"""Small real trainings for tests: a Trainer, a random-weight Qwen3-VL with real LoRA, drawn screens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainingArguments

from oaml_callbacks import GroundingEvaluator, read_sft_samples
from oaml_callbacks.grounding import read_sft_rows
from oaml_callbacks.testing import RecordedRun, read_run

if TYPE_CHECKING:
    from oaml_callbacks import OpenAdaptWandbCallback


BASE = Path(__file__).parents[1] / "configs" / "demo" / "tiny-qwen3-vl"


@cache
def processor() -> Any:
    from oaml_callbacks.demo.tiny_qwen import build_processor

    return build_processor("qwen3_vl")


def lora_model(seed: int = 0, *, dropout: float = 0.0) -> Any:
    """A random-weight tiny Qwen3-VL under a LoRA adapter; the same seed gives the same weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    from oaml_callbacks.demo.tiny_qwen import build_model

    torch.manual_seed(seed)
    model = build_model("qwen3_vl", processor())
    config = LoraConfig(
        r=4, lora_dropout=dropout, target_modules=r".*language_model.*\.(q_proj|v_proj)", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def trained() -> tuple[Any, Any]:
    """The processor and the model of the demo's trained base, which answers in clicks, under a new LoRA adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    from oaml_callbacks.processors import load_processor

    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    config = LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)", task_type="CAUSAL_LM")
    return load_processor(str(BASE)), get_peft_model(model, config)


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    """Five log events and two evaluations in ten steps, unless `options` say otherwise."""
    defaults: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "max_steps": 10,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 4,
        "logging_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 5,
        "save_strategy": "no",
        "learning_rate": 1e-3,
        "report_to": "wandb",
        "remove_unused_columns": False,
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 0,
    }
    return TrainingArguments(**{**defaults, **options})


def trainer(screens: Path, args: TrainingArguments, callbacks: Sequence[Any] = (), **options: Any) -> Trainer:
    """A Trainer over the screens in `screens`, evaluating on the first four of its evaluation rows."""
    from oaml_callbacks.sft import SFTCollator, SFTDataset

    defaults: dict[str, Any] = {
        "model": lora_model() if "model_init" not in options else None,
        "train_dataset": SFTDataset(read_sft_rows(screens / "train.jsonl")),
        "eval_dataset": SFTDataset(read_sft_rows(screens / "eval.jsonl")[:4]),
        "data_collator": SFTCollator(processor()),
        "processing_class": processor(),
    }
    return Trainer(args=args, callbacks=list(callbacks), **{**defaults, **options})


def sft_trainer(folder: Path, train: Any, evaluation: Any, callback: Any, **options: Any) -> Any:
    """TRL's Trainer on rows with pictures, on a CPU; an evaluation after two steps."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    defaults: dict[str, Any] = {
        "output_dir": str(folder / "out"),
        "report_to": "wandb",
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "logging_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "no",
        "max_length": None,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "dataset_num_proc": None,
        "gradient_checkpointing": False,
    }
    return SFTTrainer(
        model=lora_model(),
        args=SFTConfig(**{**defaults, **options}),
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=processor(),
        callbacks=[callback],
    )


def evaluator(screens: Path, count: int = 4) -> GroundingEvaluator:
    """A grounding evaluator over the first `count` evaluation screens; answers are cut short, to save time."""
    return GroundingEvaluator(
        read_sft_samples(screens / "eval.jsonl")[:count], batch_size=4, max_new_tokens=4, progress=False
    )


def read_back(callback: OpenAdaptWandbCallback, folder: Path) -> RecordedRun:
    """Finish the callback's run and read what W&B wrote of it."""
    import wandb

    callback.close()
    wandb.teardown()  # the service closes the run's file a moment after finish() has returned
    return read_run(folder)
