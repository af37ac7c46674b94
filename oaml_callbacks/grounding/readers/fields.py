"""Checks of a row's values, shared by the formats. Each raises a ValueError that says what was expected and found."""

from __future__ import annotations

import math
import numbers as kinds
from collections.abc import Mapping
from typing import Any, Literal

from ...chat import Message
from ..targets import BoxTarget, PolygonTarget
from .rows import Size

Layout = Literal["xyxy", "xywh"]
_LAYOUTS = {"xyxy": "[left, top, right, bottom]", "xywh": "[left, top, width, height]"}
_ROUNDING = 1e-6
"""How far over the edge numbers may be that were divided by the picture's size, share of the screen."""


def numbers(value: Any, name: str, count: int, meaning: str) -> list[float]:
    """`count` finite numbers."""
    try:
        found = [float(number) for number in value if is_number(number)]
        whole = len(found) == len(value) == count
    except (TypeError, OverflowError):
        whole = False
    if not whole:
        words = {1: "one number", 2: "two numbers", 4: "four numbers"}.get(count, f"{count} numbers")
        raise ValueError(f"{name} must be {words} {meaning}, found {value!r:.80}")
    if not all(math.isfinite(number) for number in found):
        raise ValueError(f"{name} must be finite, found {value!r:.80}")
    return found


def is_number(value: Any) -> bool:
    """Whether it is a real number, numpy's among them, and no truth value."""
    return not isinstance(value, bool) and isinstance(value, kinds.Real)


def box_target(value: Any, *, layout: Layout = "xyxy", size: Size | None = None, inside: bool = False) -> BoxTarget:
    """A box as its row gives it.

    Args:
        value: Four numbers.
        layout: What they are.
        size: Of the picture, where the numbers are its pixels; `None`: they are shares.
        inside: Refuse a box that reaches over the screen's edge, as a sign of numbers in the wrong unit. Without it
            such a box is kept, as the benchmarks' own evaluators keep theirs.
    """
    left, top, right, bottom = numbers(value, "bbox", 4, _LAYOUTS[layout])
    if layout == "xywh":
        right, bottom = left + right, top + bottom
    edges = in_shares([left, top, right, bottom], size)
    if inside:
        check_inside(edges, value, size, "bbox")
    try:
        return BoxTarget(*edges)
    except ValueError as error:
        raise ValueError(
            str(error) if size is None else f"{error} (bbox {value} in {size[0]} x {size[1]} pixels)"
        ) from None


def polygon_target(value: Any, *, size: Size | None = None, inside: bool = False) -> PolygonTarget:
    """A polygon: pairs of numbers, or the same numbers in one flat list."""
    listed = isinstance(value, (list, tuple))
    if listed and all(is_number(number) for number in value) and len(value) % 2 == 0:
        value = list(zip(value[::2], value[1::2], strict=True))
    elif not listed or not all(isinstance(corner, (list, tuple)) for corner in value):
        raise ValueError(f"polygon must be corners [[x, y], ...], found {value!r:.80}")
    corners = [in_shares(numbers(corner, "a polygon's corner", 2, "[x, y]"), size) for corner in value]
    if inside:
        check_inside([number for corner in corners for number in corner], value, size, "polygon")
    return PolygonTarget(tuple((x, y) for x, y in corners))


def in_shares(values: list[float], size: Size | None) -> list[float]:
    """x, y, x, y, ... over the picture's width and height."""
    return values if size is None else [number / size[index % 2] for index, number in enumerate(values)]


def check_inside(shares: list[float], value: Any, size: Size | None, name: str) -> None:
    """Refuse what reaches over the screen's edge, but for rounding."""
    if min(shares) >= -_ROUNDING and max(shares) <= 1 + _ROUNDING:
        return
    if size is None:
        raise ValueError(
            f"{name} must be in shares of the screen, 0-1, found {value!r:.80}; divide pixels by width and height"
        )
    raise ValueError(f"{name} {value!r:.80} reaches outside its picture of {size[0]} x {size[1]} pixels")


def check_messages(messages: Any) -> list[Message]:
    """A conversation, each turn with a role and a content."""
    if not isinstance(messages, (list, tuple)) or not messages:
        raise ValueError('"messages" must be a list of {"role", "content"}, with one at least')
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str) or "content" not in message:
            raise ValueError('each of "messages" must have a "role" and a "content"')
        parts = message["content"]
        if not isinstance(parts, str) and not (
            isinstance(parts, (list, tuple)) and all(isinstance(part, Mapping) for part in parts)
        ):
            raise ValueError('a message\'s "content" must be text, or a list of parts')
    return [dict(message) for message in messages]


def grouping(value: Any) -> dict[str, str]:
    """A row's groups."""
    if not isinstance(value, Mapping):
        raise ValueError(f'"groups" must be an object of names and values, found {value!r:.80}')
    return labels(**{str(name): value[name] for name in value})


def labels(**values: Any) -> dict[str, str]:
    """Groups out of a row's columns; what is empty is left out."""
    return {name: str(value) for name, value in values.items() if value is not None and str(value) != ""}
