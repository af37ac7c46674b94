"""The sections of a run's configuration file, as pydantic models: names, types, ranges, defaults."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model


class Section(BaseModel):
    """A section: its keys and no others."""

    # Strict: `max_steps: true` and `r: "16"` are mistakes to report, not values to convert.
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class ModelSection(Section):
    """`model:`, the base model.

    Args:
        name: A Hub id, or a checkpoint's folder.
        load_in_4bit: Quantise the base to 4 bits (NF4); needs a CUDA GPU and bitsandbytes.
        min_pixels: Pictures are enlarged to at least this many pixels. Default: the checkpoint's own setting.
        max_pixels: Pictures are shrunk to at most this many pixels. Default: the checkpoint's own setting.
        dtype: What the base's weights are loaded as. Default: bfloat16 where the GPU has it, else float32.
        attn_implementation: As in `from_pretrained`: `sdpa`, `flash_attention_2`, `eager`.
        revision: Branch, tag or commit on the Hub.
    """

    name: str
    load_in_4bit: bool = False
    min_pixels: int | None = Field(default=None, gt=0)
    max_pixels: int | None = Field(default=None, gt=0)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = None
    attn_implementation: str | None = None
    revision: str | None = None


class LoraSection(Section):
    """`lora:`, as in `peft.LoraConfig`; what is left out has openadapt-ml's default.

    Args:
        weights_path: Where the adapter is saved at the end. Default: `final` in `training.output_dir`.
        finetune_vision_layers: openadapt-ml's, for Unsloth; without effect here (see `RunConfig.notices`).
    """

    r: int = Field(default=16, gt=0)
    lora_alpha: int = Field(default=32, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    bias: Literal["none", "all", "lora_only"] = "none"
    target_modules: list[str] | str = ["q_proj", "k_proj", "v_proj", "o_proj"]
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"
    weights_path: str | None = None
    finetune_vision_layers: bool = False


class DataSection(Section):
    """`data:`, JSONL files in SFT form (`images`, `messages`; a `bbox` where clicks are graded).

    Paths are relative to the configuration file; those given on the command line, to the current folder.
    """

    train: str | None = None
    eval: str | None = None


class DemoDataSection(Section):
    """`demo_data:`, screens drawn where `data:` gives no files; drawn once for each number and seed.

    Args:
        output_dir: Where they are written, relative to the current folder.
        train_samples: Screens to train on.
        eval_samples: Screens to evaluate on, of another seed; 0 for none.
        seed: What decides the screens.
    """

    output_dir: str = "demo_data"
    train_samples: int = Field(default=512, gt=0)
    eval_samples: int = Field(default=64, ge=0)
    seed: int = Field(default=0, ge=0)


class SyntheticDataSection(Section):
    """`synthetic_data:`, openadapt-ml's own generator's settings: read, so that its files load, and not acted on."""

    num_sessions: int = 10
    seed: int | None = None
    output_dir: str | None = None
    use_som: bool = False
    scenario: str = "login"


class WandbSection(Section):
    """`wandb:`, where a run goes and what it is called. Tracking itself is switched on by `--wandb` or `report_to`.

    Args:
        log_adapter: Log the adapter of the `best` evaluation so far, of every `checkpoint`, or of the `end`.
        keep_last: Versions of it that stay on W&B's server, beside the best and those that somebody named or linked.
        registry: The registry's collection that the best adapter is linked to, `organisation/collection`.
        registry_threshold: Link it only if its grounding accuracy is above this, 0-1.
        viewer_url: Template of the page that shows this run's clicks, such as `https://host/{run_id}`.
        dashboard_url: Template of the page that shows this run's curves.
        start_timeout: Seconds that W&B may take to open the run, before it goes on offline.
        finish_timeout: Seconds that the run's end may take.
        strict: End the training where W&B fails, instead of going on without it.
        alerts: Send W&B alerts: NaN loss, accuracy below the base model's, unreadable answers, the end.
        new_run: With `--resume`, a run of its own instead of the checkpoint's.
        runs_dir: Where run folders go, for `oaml view`; an empty text for none.
    """

    project: str | None = None
    entity: str | None = None
    run_name: str | None = None
    group: str | None = None
    tags: list[str] = Field(default_factory=list)
    notes: str | None = None
    log_adapter: Literal["best", "checkpoint", "end"] | None = None
    keep_last: int = Field(default=3, gt=0)
    registry: str | None = None
    registry_threshold: float | int | None = Field(default=None, ge=0, le=1)
    viewer_url: str | None = None
    dashboard_url: str | None = None
    start_timeout: float = Field(default=30.0, gt=0)
    finish_timeout: float = Field(default=60.0, gt=0)
    strict: bool = False
    alerts: bool = False
    new_run: bool = False
    runs_dir: str | None = None


class GroundingSection(Section):
    """`grounding:`, how clicks are measured at each evaluation.

    Args:
        batch_size: Samples per `generate` call.
        max_new_tokens: Where an answer is cut off.
        max_samples: Evaluate on this many of the samples, the same ones each time, drawn from all. Default: all.
        max_seconds: Begin no further batch of an evaluation after this long.
        family: Whose forms the answers are in, such as `qwen3_vl` or `ui_tars`. Default: any form.
        space: What the answers' numbers are. Default: what the form and the family say.
        baseline: Measure the base model, adapter off, before the first step.
        max_rows: Samples shown in each evaluation's table; 0 for none.
        max_media_mb: Megabytes of pictures that a run's tables may hold.
        embeddings: Log the table's samples as vectors, for W&B's 2-D projection.
        embed: Log the last evaluation as a page that shows its clicks.
    """

    batch_size: int = Field(default=16, gt=0)
    max_new_tokens: int = Field(default=128, gt=0)
    max_samples: int | None = Field(default=None, gt=0)
    max_seconds: float | int = Field(default=600.0, gt=0)
    family: str | None = None
    space: Literal["auto", "normalized", "relative1000", "pixels"] = "auto"
    baseline: bool = True
    max_rows: int = Field(default=32, ge=0)
    max_media_mb: float | int = Field(default=256.0, ge=0)
    embeddings: bool = False
    embed: bool = False


class EarlyStopping(Section):
    """openadapt-ml's `early_stop_*` keys of `training:`; a 0 switches a rule off. Patiences count logged losses.

    Args:
        early_stop_loss: Stop when the logged loss is at or below this ...
        early_stop_patience: ... this many times in a row.
        early_stop_min_delta: Stop when the loss doesn't fall by more than this below the best so far ...
        early_stop_plateau_patience: ... this many times in a row.
    """

    early_stop_loss: float = Field(default=0.0, ge=0)
    early_stop_patience: int = Field(default=5, gt=0)
    early_stop_min_delta: float = Field(default=0.0, ge=0)
    early_stop_plateau_patience: int = Field(default=5, gt=0)


SECTIONS: Mapping[str, type[BaseModel]] = {
    "model": ModelSection,
    "lora": LoraSection,
    "data": DataSection,
    "demo_data": DemoDataSection,
    "synthetic_data": SyntheticDataSection,
    "wandb": WandbSection,
    "grounding": GroundingSection,
}


@lru_cache(maxsize=1)
def training_section() -> type[BaseModel]:
    """`training:` as a model: the fields of the installed transformers' TrainingArguments, and openadapt-ml's."""
    import dataclasses

    from transformers import TrainingArguments

    hints = get_type_hints(TrainingArguments)
    fields = {f.name: _plain(hints[f.name]) for f in dataclasses.fields(TrainingArguments) if f.init}
    # Each version has one of the two forms of warmup; configuration files may have either.
    fields |= {"warmup_steps": int | float, "max_seq_length": int | None}
    definitions: dict[str, Any] = {name: (hint, None) for name, hint in fields.items()}
    definitions["warmup_ratio"] = (float, Field(default=None, ge=0, lt=1))
    return cast("type[BaseModel]", create_model("TrainingSection", __base__=EarlyStopping, **definitions))


def _plain(hint: Any) -> Any:
    """A field's type in what YAML has: an enumeration as its values, a class of transformers' own as anything."""
    if get_origin(hint) in (Union, UnionType):
        members = get_args(hint)
        for member in members:
            if isinstance(member, type) and issubclass(member, enum.Enum):
                values = tuple(str(item.value) for item in member)
                choice: Any = Literal[values]
                # YAML reads a bare `no` as false; transformers' strategies call it "no".
                return Annotated[choice, BeforeValidator(_no)] if "no" in values else choice
        return Union[tuple(_plain(member) for member in members)]  # noqa: UP007  # made at run time
    if hint is float:
        return int | float  # keeps 10 a 10
    origin = get_origin(hint) or hint
    if origin is list and any(isinstance(arg, type) and issubclass(arg, enum.Enum) for arg in get_args(hint)):
        return list[str]
    return hint if origin in (str, int, float, bool, list, dict, NoneType, Literal) else Any


def _no(value: Any) -> Any:
    return "no" if value is False else value
