"""What files a LoRA adapter consists of, and whether they are what they say; without torch, and without running any.

PEFT writes an adapter into a checkpoint beside the optimizer, the random states and the training's arguments. Those
are pickles, which run what they say when they are read: none of them is an adapter's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clean_text import one_line
from ..errors import UserError
from .safetensors_header import SafetensorsError, Tensor, read_header

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
CARD = "README.md"

SMALL_FILES = (
    CONFIG,
    CARD,
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
)
"""What an adapter may have beside its weights: what it answers with needs the processor that it was trained with."""

CHAT_TEMPLATES = "additional_chat_templates"
"""The folder of further chat templates, one `NAME.jinja` each."""

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib")
"""Ends of names of files that run code when they are read, or may."""

MAX_SMALL_FILE = 20 * 2**20
"""Bytes of a processor, tokenizer or template file. Qwen's tokenizer, the largest, has 11 MB."""

MAX_CONFIG = 2**20
"""Bytes of an adapter's config."""

MAX_WEIGHTS = 16 * 2**30
"""Bytes of an adapter's weights: four times what rank 64 takes on all layers of a 72B model in float32."""

MAX_TEMPLATES = 20
"""Further chat templates."""

PEFT_TYPES = ("LORA", "ADALORA")
"""The kinds of adapters that are known; DoRA, rsLoRA and the like are LORA with a switch."""

MAX_RANK = 1_000_000
"""More than any layer is wide."""

MAX_ALPHA = 1e9
"""A scale's numerator; no training sets one of this size."""

_CODE_CONFIGS = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)
_TEMPLATE_NAME = re.compile(rf"{CHAT_TEMPLATES}/[0-9A-Za-z_-][0-9A-Za-z_.-]{{0,99}}\.jinja")
_LORA_KEY = re.compile(r"(^|\.)lora_")
_CHUNK = 2**20


class AdapterError(UserError):
    """A folder that holds no adapter, or one that isn't what it says, or that could do harm."""


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter's files say.

    Args:
        base_model: The name or path of the model that it was trained on; `None` where its config has none.
        revision: The base model's revision, where the config has one.
        r: The rank, 1 or more.
        lora_alpha: The scale's numerator.
        target_modules: The adapted modules: names, or one regular expression.
        peft_type: One of `PEFT_TYPES`.
        bytes: Size of the weights' file.
        tensors: How many tensors it has.
        parameters: How many numbers these are in all.
    """

    base_model: str | None
    revision: str | None
    r: int
    lora_alpha: float
    target_modules: tuple[str, ...] | str | None
    peft_type: str
    bytes: int
    tensors: int
    parameters: int


def is_adapter_file(name: str) -> bool:
    """Whether a file of this name, relative to its folder and with `/`, is one of an adapter's."""
    return name == WEIGHTS or name in SMALL_FILES or _TEMPLATE_NAME.fullmatch(name) is not None


def max_bytes(name: str) -> int:
    """How large an adapter's file of this name may be."""
    return MAX_WEIGHTS if name == WEIGHTS else MAX_CONFIG if name == CONFIG else MAX_SMALL_FILE


def adapter_files(folder: Path) -> dict[str, Path]:
    """The files in `folder` that are an adapter's, by name, the weights first.

    Processor, tokenizer and template files over `MAX_SMALL_FILE` are left out, as links are, and whatever else lies
    there: an optimizer's state, random states, a training's arguments, weights of a base model, pickles.
    """
    names = [WEIGHTS, *SMALL_FILES]
    templates = folder / CHAT_TEMPLATES
    if templates.is_dir() and not templates.is_symlink():
        found = sorted(f"{CHAT_TEMPLATES}/{path.name}" for path in templates.iterdir())
        names += [name for name in found if is_adapter_file(name)][:MAX_TEMPLATES]
    files = {}
    for name in names:
        path = folder / name
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= max_bytes(name):
            files[name] = path
    return files


def check_adapter(folder: Path) -> AdapterFacts:
    """Whether `folder` holds a LoRA adapter that is safe to load, in safetensors.

    Read are the config, and the weights' header, against which the file's size is held; no weight is.

    Raises:
        AdapterError: It doesn't, and why.
    """
    for name in (CONFIG, WEIGHTS):
        path = folder / name
        if path.is_symlink():
            raise AdapterError(f"{path} is a link. An adapter's files are files of its own folder: copy it there.")
        if not path.is_file():
            raise _missing(folder, name)
    config = read_config(folder / CONFIG)
    tensors = check_weights(folder / WEIGHTS, config)
    target = config.get("target_modules")
    return AdapterFacts(
        base_model=config.get("base_model_name_or_path") or None,
        revision=config.get("revision") or None,
        r=config["r"],
        lora_alpha=config["lora_alpha"],
        target_modules=tuple(target) if isinstance(target, list) else target,
        peft_type=config["peft_type"],
        bytes=(folder / WEIGHTS).stat().st_size,
        tensors=len(tensors),
        parameters=sum(tensor.numbers for tensor in tensors.values()),
    )


def check_weights(path: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of an adapter's weights by name.

    Args:
        path: The file.
        config: What the adapter's config has.

    Raises:
        AdapterError: It is too large, no safetensors, or holds something else than an adapter's weights, whole.
    """
    size = path.stat().st_size
    if size > MAX_WEIGHTS:
        raise AdapterError(f"{path} has {size:,} bytes: no adapter has more than {MAX_WEIGHTS:,}.")
    try:
        tensors = read_header(path)
    except SafetensorsError as error:
        raise AdapterError(str(error)) from None
    _check_keys(path, tensors, config)
    return tensors


def check_no_code(files: Mapping[str, Path]) -> None:
    """Refuse a processor or tokenizer that names code of its own (`auto_map`): it would be fetched and run.

    At any depth: in processor_config.json the parts of a processor have their settings, and so their code, one deeper.

    Raises:
        AdapterError: One does, or isn't JSON.
    """
    for name in _CODE_CONFIGS:
        if name in files and _names_code(read_object(files[name])):
            raise AdapterError(
                f"{files[name]} names code of its own (auto_map), which loading it would run. An adapter from "
                "elsewhere brings none: use the base model's processor, and delete the file."
            )


def read_config(path: Path) -> dict[str, Any]:
    """An adapter's config, checked.

    Raises:
        AdapterError: It isn't JSON, isn't a LoRA adapter's, has a value of another type, or names code to be run.
    """
    config = read_object(path)
    kind = config.get("peft_type")
    if kind not in PEFT_TYPES:
        raise AdapterError(f"{path}: peft_type is {_shown(kind)}. Expected a LoRA adapter: {' or '.join(PEFT_TYPES)}.")

    def check(name: str, right: bool, expected: str) -> None:
        if not right:
            raise AdapterError(f"{path}: {name} is {_shown(config.get(name))}. Expected {expected}.")

    rank, alpha, target = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    check("r", type(rank) is int and 0 < rank <= MAX_RANK, "a rank, 1 or more")
    number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool) and abs(alpha) <= MAX_ALPHA
    check("lora_alpha", number, "a number")
    for name in ("base_model_name_or_path", "revision"):
        check(name, isinstance(config.get(name), (str, type(None))), "text")
    for name in ("target_modules", "modules_to_save"):
        value = config.get(name)
        names = isinstance(value, list) and all(isinstance(item, str) for item in value)
        check(name, value is None or isinstance(value, str) or names, "names of modules")
    if target is None and not config.get("target_parameters"):
        raise AdapterError(f"{path} names no target_modules: it adapts nothing.")
    # PEFT imports what these two name. A model without a task type has the first, from transformers.
    mapping = config.get("auto_mapping")
    library = mapping.get("parent_library") if isinstance(mapping, dict) else mapping
    known = library is None or (isinstance(library, str) and library.partition(".")[0] == "transformers")
    check("auto_mapping", known, "nothing, or a class of transformers: PEFT would import and run it")
    megatron = config.get("megatron_core")
    check("megatron_core", megatron in (None, "megatron.core"), "megatron.core: PEFT would import and run it")
    return config


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file's object.

    Raises:
        AdapterError: It's no JSON object, or has more than `MAX_SMALL_FILE` bytes.
    """
    limit = max_bytes(path.name)
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise AdapterError(f"{path} has more than {limit:,} bytes.")
    try:
        # Spelled out, since Python's reader would take UTF-16 too, which who loads it doesn't.
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{path} is no JSON: {one_line(str(error))}") from None
    if not isinstance(value, dict):
        raise AdapterError(f"{path} holds {_shown(value)}. Expected a JSON object.")
    return value


def adapter_digest(files: Mapping[str, Path]) -> str:
    """SHA-256, hexadecimal, over the files' names and contents; the same for the same files in any order."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{file_digest(files[name], 'sha256')}\n".encode())
    return digest.hexdigest()


def file_digest(path: Path, algorithm: str) -> str:
    """A file's digest, hexadecimal; `algorithm` is one of hashlib's."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _check_keys(path: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Refuse weights that aren't an adapter's: whoever loads them would get, or give away, a whole model."""
    lora = [name for name in tensors if _LORA_KEY.search(name)]
    if not lora:
        raise AdapterError(f"{path} has no LoRA weights: none of its {len(tensors)} tensors is called lora_…")
    for name in lora:
        shape = tensors[name].shape
        least = 1 if name.endswith(".bias") else 2  # PEFT's `lora_bias`
        if re.search(r"\.lora_[AB](\.|$)", name) and (len(shape) < least or not all(shape)):
            raise AdapterError(
                f"{path}: {one_line(name)} has the shape {list(shape)}. A LoRA matrix has two or more dimensions: it "
                "was saved in parts, or while a part of it was elsewhere."
            )
    strange = [name for name in tensors if not _LORA_KEY.search(name) and not _belongs(name, config)]
    if strange:
        raise AdapterError(
            f"{path} has weights that are no adapter's: {one_line(strange[0])}"
            f"{f' and {len(strange) - 1} more' if len(strange) > 1 else ''}. Its config names no such module to save."
        )


def _belongs(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a tensor that isn't LoRA's is trained beside it, by the config."""
    parts = name.split(".")
    saved = config.get("modules_to_save") or ()
    saved = [saved] if isinstance(saved, str) else saved
    if any(f".{module}." in f".{name}." for module in saved) or "modules_to_save" in parts:
        return True
    if parts[-1] == "bias" and config.get("bias", "none") != "none":
        return True
    if config.get("trainable_token_indices") and ("token_adapter" in parts or parts[-1].startswith("trainable_token")):
        return True
    # PEFT saves embeddings beside an adapter of theirs, and where the vocabulary has grown.
    return parts[-1] == "weight" and bool({"embed_tokens", "lm_head", "embed_in", "embed_out", "wte"} & set(parts))


def _names_code(config: Any) -> bool:
    left = [config]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if one.get("auto_map") is not None:
                return True
            left += one.values()
        elif isinstance(one, list):
            left += one
    return False


def _missing(folder: Path, name: str) -> AdapterError:
    if not folder.is_dir():
        return AdapterError(f"there is no folder {folder}.")
    pickles = sorted(
        path.name for path in folder.iterdir() if path.suffix in PICKLES and path.name.startswith("adapter_model")
    )
    if name == WEIGHTS and pickles:
        return AdapterError(
            f"{folder / pickles[0]} is a pickle, which runs what it says when it is read. Only {WEIGHTS} is taken: "
            "save the adapter again, with a PEFT of today (save_pretrained)."
        )
    return AdapterError(f"{folder} holds no adapter: {name} is missing. PEFT's save_pretrained writes it.")


def _shown(value: Any) -> str:
    return one_line(repr(value), 100)
