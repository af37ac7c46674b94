"""JSON inside an answer."""

from __future__ import annotations

import json
from typing import Any

_DECODER = json.JSONDecoder(parse_int=float)  # int() refuses thousands of digits, float() makes them infinite


def decode(text: str, start: int) -> tuple[Any, int] | None:
    """The JSON value that begins at `start`, and where it ends; `None` if there is none. Numbers are floats."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def numbers_of(value: Any) -> list[float]:
    """A list of numbers as it is; empty for anything else."""
    return value if isinstance(value, list) and all(type(number) is float for number in value) else []
