"""What is known of an adapter: where it comes from, how well it clicks. Its metadata in W&B and its card say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, keys
from ..clean_text import one_line
from ..secrets import redacted
from ..values import plain

if TYPE_CHECKING:
    from transformers import TrainerState, TrainingArguments

MAX_TARGETS = 200
"""Target modules that are named; where more are, they are counted."""

_FIGURES = (
    keys.GROUNDING_ACCURACY,
    keys.GROUNDING_ACCURACY_LOW,
    keys.GROUNDING_ACCURACY_HIGH,
    keys.GROUNDING_DISTANCE,
    keys.GROUNDING_PARSED,
    keys.GROUNDING_SAMPLES,
)


@dataclass(frozen=True)
class Evaluated:
    """One evaluation, of one set.

    Args:
        split: What its metrics' names begin with: `eval`, or `eval_web` of a named set.
        figures: Its grounding metrics by their plain names; none where clicks weren't measured.
    """

    split: str = "eval"
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CardFacts:
    """What is known of an adapter.

    Args:
        base_model: What it was trained on: a Hub id, or a folder.
        base_revision: The base's commit or branch, where it is known.
        lora: Its settings: `r`, `lora_alpha`, `lora_dropout`, `target_modules`, `bias`.
        step: Optimizer steps done.
        epoch: Epochs done.
        evaluated: The evaluation at that step.
        metric: What the best evaluation is chosen by, `eval_grounding_accuracy`.
        metric_value: Its value at that step.
        baseline: The base model's `grounding_accuracy` and `grounding_distance`.
        fingerprint: The evaluation set's.
        run_id: The W&B run's id.
        run_name: Its name.
        links: Its `run_url`, `viewer_url` and `dashboard_url`.
        training: The training's main settings by their names.
    """

    base_model: str = ""
    base_revision: str | None = None
    lora: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    epoch: float | None = None
    evaluated: Evaluated = Evaluated()
    metric: str | None = None
    metric_value: float | None = None
    baseline: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str | None = None
    run_id: str = ""
    run_name: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def metadata(self, sha256: Mapping[str, str]) -> dict[str, Any]:
        """The metadata of an artifact: flat, in JSON's types, a key for every fact; unknown ones are `None`.

        Args:
            sha256: The files' digests by their names.
        """
        figures = self.evaluated.figures
        baseline = {f"baseline_{name}": self.baseline.get(name) for name in _FIGURES if name in _COMPARED}
        links = {name: self.links.get(name) for name in ("run_url", keys.VIEWER_URL, keys.DASHBOARD_URL)}
        made = {
            "base_model": self.base_model,
            "base_revision": self.base_revision,
            "lora": dict(self.lora),
            "step": self.step,
            "epoch": self.epoch,
            **{name: figures.get(name) for name in _FIGURES},
            **baseline,
            "evaluation_set": self.evaluated.split if figures else None,
            "fingerprint": self.fingerprint,
            "metric": self.metric,
            "metric_value": self.metric_value,
            "run_id": self.run_id,
            **links,
            "sha256": dict(sha256),
            "writer": f"oaml-callbacks {__version__}",
        }
        return {name: _finite(value) for name, value in made.items()}


_COMPARED = (keys.GROUNDING_ACCURACY, keys.GROUNDING_DISTANCE)


def evaluated_at(history: Sequence[Mapping[str, Any]], step: int) -> dict[str, Any]:
    """All that evaluations at a step yielded, by the Trainer's names, from its log history; empty without one."""
    found: dict[str, Any] = {}
    for entry in reversed(history):
        at = entry.get("step", 0)
        if at < step:
            break
        if at == step:
            found = {**{name: value for name, value in entry.items() if name.startswith("eval_")}, **found}
    return found


def main_evaluation(metrics: Mapping[str, Any], metric: str | None) -> Evaluated:
    """The evaluation that is shown: of the set that `metric` is of, else of the one without a name, else the first.

    Args:
        metrics: All that evaluations at a step yielded.
        metric: What the best one is chosen by, `eval_web_loss`.
    """
    ends = f"_{keys.GROUNDING_ACCURACY}"
    splits = [name.removesuffix(ends) for name in metrics if name.startswith("eval") and name.endswith(ends)]
    if not splits:
        return Evaluated()
    of_metric = [split for split in splits if (metric or "").startswith(f"{split}_")]
    split = max(of_metric, key=len) if of_metric else "eval" if "eval" in splits else splits[0]
    figures = {name: metrics[f"{split}_{name}"] for name in _FIGURES if f"{split}_{name}" in metrics}
    return Evaluated(split, {name: float(value) for name, value in figures.items() if isinstance(value, Real)})


def card_facts(
    args: TrainingArguments, state: TrainerState, model: Any, *, step: int, metric: str | None, **run: Any
) -> CardFacts:
    """The facts of a Trainer's adapter as it was at `step`.

    Args:
        args: The Trainer's.
        state: The Trainer's.
        model: The model with its adapter.
        step: Optimizer steps done.
        metric: What the best evaluation is chosen by.
        **run: What the run knows: the rest of [`CardFacts`]' fields.
    """
    from ..run_folder.facts import run_facts

    metrics = evaluated_at(state.log_history, step)
    config = adapter_config(model)
    said = run_facts(args, model, name=None)
    length = "max_steps" if args.max_steps > 0 else "num_train_epochs"
    kept = ("learning_rate", "lr_scheduler_type", length, "samples_per_step", "warmup_steps", "bf16", "fp16", "seed")
    value = metrics.get(metric or "")
    epoch = next((entry.get("epoch") for entry in reversed(state.log_history) if entry.get("step") == step), None)
    if epoch is None and step == state.global_step:
        epoch = state.epoch
    known: dict[str, Any] = redacted(
        {
            "base_model": one_line(str(_base_name(config, model))),
            "base_revision": _revision(config, model),
            "lora": _lora(config),
            "training": {name: said[name] for name in kept if said.get(name) not in (None, False)},
        }
    )
    return CardFacts(
        **known,
        step=step,
        epoch=float(epoch) if isinstance(epoch, Real) else None,
        evaluated=main_evaluation(metrics, metric),
        metric=metric,
        metric_value=float(value) if isinstance(value, Real) else None,
        **run,
    )


def adapter_config(model: Any) -> Any:
    """PEFT's configuration of the model's active adapter; `None` for a model without one."""
    from ..grounding.model_state import unwrapped

    adapters = getattr(unwrapped(model), "peft_config", None)
    if not isinstance(adapters, Mapping) or not adapters:
        return None
    return adapters.get(adapter_name(model) or "", next(iter(adapters.values())))


def adapter_name(model: Any) -> str | None:
    """What the active adapter is called: its files lie in a folder of that name, unless it is `default`."""
    from ..grounding.model_state import unwrapped

    active = getattr(unwrapped(model), "active_adapter", None)
    active = active() if callable(active) else active
    if isinstance(active, (list, tuple)):
        active = active[0] if active else None
    return active if isinstance(active, str) else None


def _base_name(config: Any, model: Any) -> str:
    of_model = getattr(getattr(model, "config", None), "_name_or_path", None)
    return str(getattr(config, "base_model_name_or_path", None) or of_model or "")


def _revision(config: Any, model: Any) -> str | None:
    """The commit that the base's weights came from, else what was asked for."""
    revision = getattr(getattr(model, "config", None), "_commit_hash", None) or getattr(config, "revision", None)
    return one_line(str(revision)) if revision else None


def _lora(config: Any) -> dict[str, Any]:
    found = {name: plain(getattr(config, name, None)) for name in ("r", "lora_alpha", "lora_dropout", "bias")}
    targets = getattr(config, "target_modules", None)
    if isinstance(targets, str):
        found["target_modules"] = one_line(targets)
    else:
        named = sorted(one_line(str(name)) for name in targets or ())
        found["target_modules"] = named if len(named) <= MAX_TARGETS else f"{len(named)} modules"
    return found


def is_folder(base_model: str) -> bool:
    """Whether a base model's name is a place on a disk, and no Hub id."""
    return base_model.startswith(("/", "~", ".")) or "\\" in base_model or Path(base_model).expanduser().exists()


def _finite(value: Any) -> Any:
    """What JSON has: an infinite distance, without any readable click, is `None`."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
