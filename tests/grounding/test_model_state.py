"""Nothing is left changed: modes, settings, adapters, random numbers, and so the losses of a training."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from torch import nn

from oaml_callbacks import GroundingEvaluator, OpenAdaptWandbCallback, read_sft_samples
from oaml_callbacks.demo.tiny_qwen import build_model
from oaml_callbacks.grounding.model_state import adapter_disabled, base_model, evaluation_mode, has_adapter, unwrapped

from .. import builders

LORA: dict[str, Any] = {"r": 4, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}


class Interrupted(Exception):
    """In the middle of an evaluation."""


class Wrapper(nn.Module):
    """As DDP and DeepSpeed's engine wrap: the model is `.module`, and has its methods by itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda model: model,
    "wrapped": Wrapper,
    "wrapped twice": lambda model: Wrapper(Wrapper(model)),
    "compiled and wrapped": lambda model: Wrapper(torch.compile(model)),  # type: ignore[arg-type]
    "compiled": torch.compile,
}


def state(model: Any, processor: Any) -> list[Any]:
    """What must be the same after an evaluation as before."""
    base = base_model(model)
    return [
        [(name, module.training) for name, module in model.named_modules()],
        [getattr(module, "gradient_checkpointing", None) for module in model.modules()],
        [(name, parameter.requires_grad) for name, parameter in model.named_parameters()],
        [getattr(module, "disable_adapters", None) for module in base.modules()],
        [str(getattr(module, "active_adapters", None)) for module in base.modules()],
        (base.config.use_cache if hasattr(base.config, "use_cache") else None, base.config.text_config.use_cache),
        (id(base.generation_config), base.generation_config.to_dict()),
        base.model.rope_deltas,
        processor.tokenizer.padding_side,
        torch.is_grad_enabled(),
        (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),
    ]


def disturb(model: Any, processor: Any) -> None:
    """Change all of it, as generating with some model or library might."""
    base = base_model(model)
    base.train()
    for module in model.modules():
        module.gradient_checkpointing = True
    base.config.text_config.use_cache = base.config.use_cache = False
    base.generation_config.max_length = 7
    base.generation_config = None
    base.model.rope_deltas = torch.ones(1)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    processor.tokenizer.padding_side = "left"
    random.random()
    np.random.rand()
    torch.rand(1)


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_everything_is_put_back(wrap: Callable[[Any], Any], raises: bool) -> None:
    model, processor = wrap(builders.lora_model(dropout=0.1)), builders.processor()
    model.train()
    unwrapped(model).get_base_model().model.visual.eval()
    base_model(model).gradient_checkpointing_enable()
    base_model(model).generation_config.do_sample = True
    before = state(model, processor)
    with suppress(Interrupted), evaluation_mode(model, processor):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        assert not base_model(model).generation_config.do_sample
        disturb(model, processor)
        if raises:
            raise Interrupted
    assert state(model, processor) == before


def test_settings_of_a_wrapper_give_way_to_greedy_decoding_too() -> None:
    model = builders.lora_model()
    model.generation_config = own = type(model.generation_config)(do_sample=True, num_beams=3)
    with evaluation_mode(model, builders.processor()):
        assert (model.generation_config.do_sample, model.generation_config.num_beams) in [(False, 1), (None, None)]
    assert model.generation_config is own


class UnslothModel(nn.Module):
    """A model with the switches that Unsloth gives its own, and what they do (unsloth 2026, models/vision.py)."""

    def __init__(self) -> None:
        super().__init__()
        self.model = build_model("qwen3_vl", builders.processor())
        self._saved_temp_tokenizer = builders.processor().tokenizer
        self.calls: list[str] = []
        self.for_inference = partial(self.switch, "for_inference", training=False, padding_side="left")
        self.for_training = partial(self.switch, "for_training", training=True, padding_side="right")

    def switch(self, name: str, *, training: bool, padding_side: str) -> None:
        self.calls.append(name)
        self.train(training)
        self._saved_temp_tokenizer.padding_side = padding_side
        os.environ["UNSLOTH_RETURN_LOGITS"] = str(int(not training))
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = training  # type: ignore[assignment]
        if training:
            del self.__dict__["_flag_for_generation"]
        else:
            self.__dict__["_flag_for_generation"] = True

    def get_base_model(self) -> Any:
        return self.model


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapper], ids=["bare", "wrapped"])
def test_unsloths_models_are_switched_by_their_own_calls(
    wrap: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSLOTH_RETURN_LOGITS", raising=False)
    inner = UnslothModel()
    inner.model.model.visual.eval()
    model, processor = wrap(inner), builders.processor()
    before = state(model, processor)
    with evaluation_mode(model, processor):
        assert inner.calls == ["for_inference"]
        assert not inner.training
    assert inner.calls == ["for_inference", "for_training"]
    assert state(model, processor) == before
    assert "UNSLOTH_RETURN_LOGITS" not in os.environ


def test_a_model_that_already_infers_stays_switched() -> None:
    model = UnslothModel()
    model.for_inference()
    with evaluation_mode(model, builders.processor()):
        pass
    assert "for_training" not in model.calls
    assert model._flag_for_generation


def several_adapters() -> Any:
    model = builders.lora_model()
    for name in ("second", "third"):
        model.add_adapter(name, LoraConfig(**LORA, modules_to_save=["lm_head"] if name == "third" else None))
    model.set_adapter("second")
    return model


def of_transformers() -> Any:
    model: Any = build_model("qwen3_vl", builders.processor())
    config = LoraConfig(**LORA, init_lora_weights=False, modules_to_save=["lm_head"])
    try:
        model.add_adapter(config)
    except ValueError:  # transformers 5.24 wants a PEFT that is newer than any
        inject_adapter_in_model(config, model)
        model._hf_peft_config_loaded = True
    return model


def frozen() -> Any:
    """An adapter of which a part alone is trained, and one layer is off."""
    model = get_peft_model(build_model("qwen3_vl", builders.processor()), LoraConfig(**LORA, init_lora_weights=False))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_A" in name and "layers.0" in name)
    layer: Any = next(module for module in model.modules() if hasattr(module, "lora_A"))
    layer.enable_adapters(False)
    return model


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("build", [several_adapters, of_transformers, frozen])
def test_adapters_are_off_and_then_as_they_were(build: Callable[[], Any], wrap: Callable[[Any], Any]) -> None:
    inner = build()
    # A new adapter changes nothing yet.
    for name, parameter in inner.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    model, processor = wrap(inner), builders.processor()
    assert has_adapter(model)
    inputs = {"input_ids": torch.tensor([[5, 6, 7]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    inner.eval()
    with torch.no_grad():
        adapted, before = inner(**inputs).logits, state(model, processor)
        with suppress(Interrupted), adapter_disabled(model):
            plain = inner(**inputs).logits
            raise Interrupted
        assert state(model, processor) == before
        assert torch.equal(inner(**inputs).logits, adapted)
    assert not torch.allclose(plain, adapted)


def test_a_model_without_an_adapter_has_none_to_switch_off() -> None:
    model = build_model("qwen3_vl", builders.processor())
    assert not has_adapter(model)
    with pytest.raises(ValueError, match="has no adapter"), adapter_disabled(model):
        pass


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_has_the_same_losses_with_and_without_grounding(
    screens: Path, tmp_path: Path, checkpointing: bool
) -> None:
    """Bit for bit, with dropout, a checkpoint that asks for sampling, a baseline, and evaluations on the way."""

    def losses(callbacks: Sequence[Any] = (), **options: Any) -> list[float]:
        model = builders.lora_model(dropout=0.3)
        base_model(model).generation_config.do_sample = True
        base_model(model).generation_config.temperature = 3.0
        args = builders.arguments(
            tmp_path,
            report_to="none",
            logging_steps=1,
            max_steps=4,
            eval_steps=2,
            gradient_checkpointing=checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
            **options,
        )
        trainer = builders.trainer(screens, args, callbacks, model=model)
        trainer.train()
        return [entry[key] for entry in trainer.state.log_history for key in ("loss", "eval_loss") if key in entry]

    samples = read_sft_samples(screens / "eval.jsonl")[:4]
    grounding = GroundingEvaluator(samples, batch_size=3, max_new_tokens=6, progress=False)
    callback = OpenAdaptWandbCallback(grounding=grounding)
    # Without W&B, choosing by the metric is what asks for it.
    measured = losses([callback], metric_for_best_model="grounding_accuracy", greater_is_better=True)
    assert callback.last_report is not None
    assert callback.baseline is not None
    assert len(measured) == 6
    assert measured == losses()
