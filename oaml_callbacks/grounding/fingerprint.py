"""[`fingerprint`]: which samples and which rules an evaluation's numbers come from, as one string."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .readers.dataset_rows import DatasetPicture
from .samples import GroundingSample
from .targets import Target

_VERSION = "oaml-fingerprint-1"
_CHUNK = 1 << 20
_SHOWN_AFTER_SECONDS = 3


def fingerprint(samples: Sequence[GroundingSample], *, rules: Mapping[str, Any]) -> str:
    """A string that two evaluations share if, and only if, their numbers can be compared.

    It follows from every sample's messages, target, groups and picture, and from the rules. A picture counts by its
    file's bytes, or, where it is in memory, by its size and its pixels as the model gets them; so the same screenshot
    as a file and as a PIL image differ. One that can't be read counts as missing. What does not count: ids and answers
    (they change no grade), the samples' order, and where the files lie and what they are called.

    One picture is in memory at a time. A progress bar shows where it takes longer than a few seconds.

    Args:
        samples: The samples.
        rules: How they are asked and graded, such as `{"family": "qwen3_vl", "max_new_tokens": 128}`: values of JSON.

    Returns:
        64 hexadecimal digits (SHA-256).

    Raises:
        TypeError: A rule or a message holds something that is no value of JSON.
    """
    from tqdm.auto import tqdm

    shown = os.environ.get("RANK", "0") == "0"
    pictures: dict[Path, str] = {}
    digests = []
    for sample in tqdm(
        samples, desc="Fingerprint", unit="sample", delay=_SHOWN_AFTER_SECONDS, leave=False, disable=not shown
    ):
        content = {
            "messages": sample.messages,
            "target": _target(sample.target),
            "groups": sample.groups,
            "picture": _picture(sample, pictures),
        }
        digests.append(hashlib.sha256(_canonical(content)).hexdigest())
    return hashlib.sha256(_canonical([_VERSION, rules, sorted(digests)])).hexdigest()


def _canonical(value: Any) -> bytes:
    """The one way to write a value as JSON, whatever the order of its keys and whether its lists are tuples."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        # `datasets` fills up rows with None; they mean the same without.
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _target(target: Target) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(target)] if dataclasses.is_dataclass(target) else vars(target)
    held = {name: getattr(target, name) for name in names}
    return {"kind": type(target).__name__, **{name: _floats(value) for name, value in held.items()}}


def _floats(value: Any) -> Any:
    """Numbers as floats: a box of 0 and 1 is the box of 0.0 and 1.0."""
    if isinstance(value, (list, tuple)):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, int) else value


def _picture(sample: GroundingSample, known: dict[Path, str]) -> str:
    """A picture's digest; `known` keeps those of files, which many samples may share."""
    image = sample.image
    try:
        if isinstance(image, Path):
            if image not in known:
                known[image] = _file(image)
            return known[image]
        if isinstance(image, DatasetPicture) and (encoded := image.encoded()) is not None:
            return hashlib.sha256(encoded).hexdigest()
        picture = sample.open_image()
        return hashlib.sha256(b"%d %d " % picture.size + picture.tobytes()).hexdigest()
    except (OSError, ValueError):
        return "missing"


def _file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
