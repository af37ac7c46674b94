"""What the parsers of answers share: what a parser is, numbers, and the actions made of them."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise

from ..action_types import Action, Space

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
"""A number, as a regular expression. No exponents: no family writes them outside JSON."""

NUMBER_ENDS = r"(?!\.?\w)"
"""What a number without a bracket behind it ends with: 1e9 isn't a 1."""

THINK_END = "</think>"

Scale = tuple[float, float]
"""What numbers are divided by, x's and y's, to be shares of the screen."""

Read = Callable[[str, Scale], "Action | None"]
"""A parser: the answer's text, and what its numbers are divided by. `None`: the form isn't there."""

PLACED = frozenset({"click", "double_click", "right_click", "middle_click", "hover", "long_press", "drag"})
"""Kinds of actions that need a place: without one that can be read, there is no action."""


def never(text: str) -> bool:
    """The answer may always go on to something that counts instead."""
    return False


def always(text: str) -> bool:
    """What is found first counts, and was closed when it was found."""
    return True


@dataclass(frozen=True)
class Form:
    """One way of writing an answer.

    Args:
        name: What warnings call it.
        read: Finds the action that counts, in time linear in the text's length.
        mark: Words that no answer of this form lacks: where they are missing, `read` isn't called.
        space: What its numbers are, whoever wrote them. `None`: it depends on the family.
        space_by_model: What they are by transformers' `model_type`, where no family is given.
        is_complete: Whether what `read` finds stays the same however the text goes on.
    """

    name: str
    read: Read
    mark: str = ""
    space: Space | None = None
    space_by_model: Mapping[str, Space] = field(default_factory=dict)
    is_complete: Callable[[str], bool] = never


QWEN_SPACES: Mapping[str, Space] = {
    "qwen2_5_vl": "pixels",
    "qwen3_vl": "relative1000",
    "qwen3_vl_moe": "relative1000",
}
"""Qwen2.5-VL, and what was trained from it, writes pixels of the resized picture; Qwen3-VL the same in 0-1000."""

REFUSAL = Action("refusal", status="refusal")


def at(kind: str, x: str | float, y: str | float, scale: Scale, text: str | None = None) -> Action | None:
    """An action at a point; `None` if the numbers are too large to be any.

    `-1, -1` is a refusal, whoever answers it: UI-Venus is trained to, and OSWorld-G's evaluator takes negative numbers
    for one from every model.
    """
    x, y = float(x), float(y)
    if x == -1 == y:
        return REFUSAL
    return Action(kind, (x / scale[0], y / scale[1]), None, text) if math.isfinite(x + y) else None


def in_box(kind: str, edges: list[float], scale: Scale, text: str | None = None) -> Action | None:
    """An action at a box's centre. Corners may be swapped; four times -1 is a refusal."""
    x1, y1, x2, y2 = edges
    width, height = scale
    if x1 == y1 == x2 == y2 == -1:
        return REFUSAL
    if not math.isfinite(x1 + y1 + x2 + y2):
        return None
    if x1 > x2:
        x1, x2 = x2, x1
    if y1 > y2:
        y1, y2 = y2, y1
    box = (x1 / width, y1 / height, x2 / width, y2 / height)
    return Action(kind, ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height), box, text)


def at_numbers(kind: str, numbers: list[float], scale: Scale, text: str | None = None) -> Action | None:
    """An action at two numbers, or in a box of four; `None` for any other count."""
    if len(numbers) == 2:
        return at(kind, numbers[0], numbers[1], scale, text)
    return in_box(kind, numbers, scale, text) if len(numbers) == 4 else None


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of a pattern."""
    found = deque(pattern.finditer(text), maxlen=1)
    return found.pop() if found else None


_STANDING_ALONE = re.compile(rf"(?<![\w.]){NUMBER}{NUMBER_ENDS}")
_BETWEEN = re.compile(r"[\s,()\[\]]*")


def only_numbers(text: str) -> list[float]:
    """The numbers of a text that holds two or four of them, with nothing but brackets and commas between; else none.

    The evaluators of SeeClick and its successors take any two or four numbers, the 2 of `point_2d` and those of prose
    included; a pair that isn't written as one is no answer here.
    """
    found = list(islice(_STANDING_ALONE.finditer(text), 5))
    if len(found) not in (2, 4):
        return []
    for before, after in pairwise(found):
        if not _BETWEEN.fullmatch(text, before.end(), after.start()):
            return []
    return [float(number.group()) for number in found]
