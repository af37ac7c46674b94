"""What goes into a run's config: what transformers' own integration puts there, and what else decides the numbers."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from . import __version__
from .secrets import redacted
from .values import plain

if TYPE_CHECKING:
    from transformers import TrainingArguments

PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "wandb", "datasets", "pillow", "tokenizers")
GIT_TIMEOUT = 5.0
"""Seconds that git may take, for the commit and for the state of the tree each; a huge tree is then left unknown."""


def trainer_config(args: TrainingArguments, model: Any) -> dict[str, Any]:
    """The Trainer's arguments, the model's config and PEFT's, under the keys of transformers' own W&B integration.

    Secrets are left out, and the home directory is `~`: there it differs from stock's.
    """
    config: dict[str, Any] = args.to_dict()  # type: ignore[no-untyped-call]
    model_config = getattr(model, "config", None)
    if model_config is not None:
        config = {**(model_config if isinstance(model_config, dict) else model_config.to_dict()), **config}
    if getattr(model, "peft_config", None) is not None:
        config = {"peft_config": model.peft_config, **config}
    if hasattr(model, "num_parameters"):
        config["model/num_parameters"] = model.num_parameters()
    cleaned: dict[str, Any] = redacted(config)
    return cleaned


def provenance(processor: Any = None, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What decides a run's numbers and isn't among the Trainer's arguments; see README's table, `oaml.*`.

    Args:
        processor: The model's processor or tokenizer.
        config: The training configuration as it was given.
    """
    facts: dict[str, Any] = {"versions": _versions(), "git": _git()}
    template = getattr(processor, "chat_template", None)
    if template:
        # Some models have several templates, by name.
        text = template if isinstance(template, str) else repr(sorted(template.items()))
        facts["chat_template_sha256"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if (image_processor := getattr(processor, "image_processor", None)) is not None:
        facts["image_processor"] = _pixel_limits(image_processor)
    if config is not None:
        facts["config"] = redacted(plain(config))
    return facts


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "oaml-callbacks": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _git() -> dict[str, Any] | None:
    """The commit of the working directory, and whether its tree has changes; `None` outside a repository."""
    commit = _run_git("rev-parse", "HEAD")
    status = _run_git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)} if commit else None


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments], capture_output=True, timeout=GIT_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git, no repository, no commit yet, or a tree too large to look through in time
    return done.stdout.decode(errors="replace").strip()


def _pixel_limits(image_processor: Any) -> dict[str, Any]:
    names = ("min_pixels", "max_pixels", "size", "patch_size", "merge_size")
    limits: dict[str, Any] = {name: getattr(image_processor, name, None) for name in names}
    if hasattr(limits["size"], "items"):  # a dict, or a class of transformers' own with a place for every kind of size
        limits["size"] = {name: value for name, value in limits["size"].items() if value is not None}
    return {name: value for name, value in limits.items() if value is not None}
