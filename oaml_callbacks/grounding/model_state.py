"""A model as an evaluation needs it, and everything put back afterwards."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What evaluating, or Unsloth's switches, set on modules. Qwen-VL keeps a generation's `rope_deltas`.
_MODULE_STATE = ("training", "gradient_checkpointing", "rope_deltas", "_flag_for_generation")
# What Unsloth's `for_inference` and `for_training` set beside the model (unsloth 2026, models/vision.py).
_UNSLOTH_ENVIRONMENT = ("UNSLOTH_RETURN_HIDDEN_STATES", "UNSLOTH_RETURN_LOGITS")
_MISSING = object()


def unwrapped(model: Any) -> Any:
    """The model inside DDP, FSDP 1, DeepSpeed's engine and `torch.compile`, in any order; adapters stay on."""
    from torch import nn

    while True:
        compiled, inside = getattr(model, "_orig_mod", None), getattr(model, "module", None)
        if isinstance(compiled, nn.Module):
            model = compiled
        elif isinstance(inside, nn.Module) and not hasattr(type(model), "generate"):
            model = inside
        else:
            return model


def base_model(model: Any) -> Any:
    """The model inside all wrappers and PEFT's own: the one that has the configuration."""
    model = unwrapped(model)
    while callable(inner := getattr(model, "get_base_model", None)):
        model = unwrapped(inner())
    return model


def has_adapter(model: Any) -> bool:
    """Whether the model has an adapter to switch off: PEFT's, or one that transformers' `add_adapter` put in."""
    model = unwrapped(model)
    return callable(getattr(model, "disable_adapter", None)) or bool(getattr(model, "_hf_peft_config_loaded", False))


@contextmanager
def adapter_disabled(model: Any) -> Iterator[None]:
    """The base model of an adapted one: adapters switched off, and each layer's as it was afterwards.

    PEFT, switching adapters on again, switches on those that were off, sets `requires_grad` of all parameters of the
    active ones and unsets that of the others; transformers' `enable_adapters` leaves modules that are trained whole
    off.

    Args:
        model: Adapted by PEFT or by transformers' `add_adapter`, and wrapped or not: see [`has_adapter`].

    Raises:
        ValueError: It has no adapter.
    """
    inner = unwrapped(model)
    if not has_adapter(inner):
        raise ValueError(f"{type(inner).__name__} has no adapter to switch off. Ask has_adapter(model) first.")
    gradients = [(parameter, parameter.requires_grad) for parameter in inner.parameters()]
    layers = [
        (module, module.disable_adapters)
        for module in inner.modules()
        if hasattr(module, "enable_adapters") and isinstance(getattr(module, "disable_adapters", None), bool)
    ]
    try:
        if callable(getattr(inner, "disable_adapter", None)):
            with inner.disable_adapter():
                yield
        else:
            for layer, _ in layers:
                layer.enable_adapters(False)
            yield
    finally:
        for layer, disabled in layers:
            if layer.disable_adapters != disabled:
                layer.enable_adapters(not disabled)
        for parameter, requires_grad in gradients:
            parameter.requires_grad_(requires_grad)


@contextmanager
def evaluation_mode(model: torch.nn.Module, processor: Any = None) -> Iterator[None]:
    """The model in evaluation mode, without gradients, decoding greedily; everything as it was at the end.

    Put back, also after an exception: each module's training and gradient checkpointing flags, `use_cache` of the
    configurations, the generation settings, the tokenizer's padding side, which parameters are trained, and the random
    numbers of Python, NumPy and torch. Models of Unsloth's are switched to inference and back by their own calls,
    which there is no trying without a GPU. Quantised models stay as they are: nothing is cast or moved.

    Generating in training mode with gradient checkpointing gives wrong text without an error.
    """
    import torch

    with ExitStack() as put_back:
        put_back.enter_context(_random_numbers(model))
        put_back.enter_context(_attributes(model, processor))
        put_back.enter_context(_plain_generation(model, processor))
        put_back.enter_context(_unsloth_inference(model))
        model.eval()
        put_back.enter_context(torch.no_grad())
        yield


@contextmanager
def _attributes(model: torch.nn.Module, processor: Any) -> Iterator[None]:
    inner = unwrapped(model)
    tokenizers = (getattr(processor, "tokenizer", None), getattr(inner, "_saved_temp_tokenizer", None))
    places = [(owner, "padding_side") for owner in (processor, *tokenizers) if owner is not None]
    for module in model.modules():
        places += [(module, name) for name in _MODULE_STATE]
        places += [(config, "use_cache") for config in _configurations(module)]
    kept = [(owner, name, vars(owner).get(name, _MISSING)) for owner, name in places]
    gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    environment = {name: os.environ.get(name) for name in _UNSLOTH_ENVIRONMENT}
    try:
        yield
    finally:
        for owner, name, value in kept:
            if vars(owner).get(name, _MISSING) is not value:
                if value is _MISSING:
                    vars(owner).pop(name)
                else:
                    vars(owner)[name] = value
        for parameter, requires_grad in gradients:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
        for name, setting in environment.items():
            if setting is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = setting


def _configurations(module: torch.nn.Module) -> list[Any]:
    """A module's configuration and those nested in it, such as `text_config`."""
    config = vars(module).get("config")
    nested = [getattr(config, name, None) for name in getattr(config, "sub_configs", ())]
    return [found for found in (config, *nested) if found is not None]


@contextmanager
def _plain_generation(model: torch.nn.Module, processor: Any) -> Iterator[None]:
    """Plain greedy decoding, whatever sampling, beams or penalties the checkpoint's own settings ask for."""
    from transformers import GenerationConfig

    own = base_model(model).generation_config
    tokenizer = getattr(processor, "tokenizer", None)
    ends = [own.eos_token_id] if isinstance(own.eos_token_id, int) else list(own.eos_token_id or ())
    # A checkpoint's settings may lack the token that its chat template, and so its training, ends answers with.
    if (end := getattr(tokenizer, "eos_token_id", None)) is not None and end not in ends:
        ends.append(end)
    pad = own.pad_token_id if own.pad_token_id is not None else getattr(tokenizer, "pad_token_id", None)
    plain = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=ends or None, pad_token_id=pad, use_cache=True
    )
    # A wrapper may have settings of its own, which it hands down.
    kept = [(m, m.generation_config) for m in model.modules() if vars(m).get("generation_config") is not None]
    for module, _ in kept:
        module.generation_config = plain  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, settings in kept:
            module.generation_config = settings


@contextmanager
def _unsloth_inference(model: Any) -> Iterator[None]:
    switches = ("for_inference", "for_training")
    candidates = (model, unwrapped(model), base_model(model))
    found = next((m for m in candidates if all(callable(getattr(m, name, None)) for name in switches)), None)
    if found is None:
        yield
        return
    infers_already = hasattr(found, "_flag_for_generation")
    found.for_inference()
    try:
        yield
    finally:
        if not infers_already:
            found.for_training()


@contextmanager
def _random_numbers(model: torch.nn.Module) -> Iterator[None]:
    import numpy as np
    import torch

    on_device: Any = None
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if device.type not in ("cpu", "meta"):
        module: Any = torch.get_device_module(device)
        if hasattr(module, "get_rng_state_all"):
            on_device = (module.set_rng_state_all, module.get_rng_state_all())
        elif hasattr(module, "get_rng_state"):
            on_device = (module.set_rng_state, module.get_rng_state())
    python, numpy, on_cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(on_cpu)
        if on_device is not None:
            restore, state = on_device
            restore(state)
