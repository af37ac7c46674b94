"""The header of a safetensors file, read and held against the file, without torch and without reading a weight."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clean_text import one_line
from ..errors import UserError

MAX_HEADER = 100 * 10**6
"""Bytes of a header, as the format has it."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""The types of numbers, and how many bits one has."""

MAX_DIMENSIONS = 64
"""Of a tensor, as torch has it. The product of a million of them would take hours."""

_STARTS = {
    b"PK\x03\x04": "a zip file, as torch.save writes, with a pickle in it",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer of Git LFS: the file itself wasn't fetched",
    b"<": "a page of HTML or XML",
}


class SafetensorsError(UserError):
    """A file that isn't safetensors, or a damaged one."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file.

    Args:
        dtype: One of `BITS`.
        shape: Its dimensions, none for a single number.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        SafetensorsError: The file is something else (a pickle, a zip), or its header doesn't fit it: tensors that
            overlap, that leave a gap, or that end before or after the file does.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(32)
        length = int.from_bytes(start[:8], "little")
        if len(start) < 8 or length > min(MAX_HEADER, size - 8):
            raise _other(path, start, "its header would be longer than the file")
        file.seek(8)
        data = file.read(length)
    try:
        # Spelled out, since Python's reader would take UTF-16 too.
        header = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _other(path, start, f"its header is no JSON ({one_line(str(error))})") from None
    if not isinstance(header, dict):
        raise _other(path, start, "its header is no JSON object")
    header.pop("__metadata__", None)
    tensors, spans = {}, []
    for name, value in header.items():
        tensors[name], span = _tensor(path, name, value)
        spans.append(span)
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise SafetensorsError(f"{path} is damaged: its tensors overlap, or leave a gap at byte {end:,}.")
        end = last
    if end != size - 8 - length:
        raise SafetensorsError(
            f"{path} is damaged: its tensors have {end:,} bytes, and the file {size - 8 - length:,} for them."
        )
    return tensors


def _tensor(path: Path, name: str, value: Any) -> tuple[Tensor, tuple[int, int]]:
    if isinstance(value, dict):
        dtype, shape, span = (value.get(key, []) for key in ("dtype", "shape", "data_offsets"))
        if isinstance(dtype, str) and dtype in BITS and _counts(shape) and _counts(span) and len(span) == 2:
            tensor = Tensor(dtype, tuple(shape))
            if (span[1] - span[0]) * 8 == tensor.numbers * BITS[dtype]:
                return tensor, (span[0], span[1])
    raise SafetensorsError(f"{path} is damaged: its header says of {one_line(name)} {one_line(repr(value), 100)}.")


def _counts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_DIMENSIONS
        and all(type(item) is int and 0 <= item < 2**63 for item in value)
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands there twice")
    return result


def _other(path: Path, start: bytes, why: str) -> SafetensorsError:
    """What the file is instead. A safetensors file may begin with a pickle's first byte too: this is asked last."""
    what = next((what for first, what in _STARTS.items() if start.startswith(first)), None)
    if what is None and start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        what = "a pickle, which runs what it says when it is read"
    return SafetensorsError(f"{path} is no safetensors file: {f'it is {what}' if what else why}.")
