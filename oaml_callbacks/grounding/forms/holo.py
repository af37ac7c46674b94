"""Holo: `{"x": 500, "y": 250}` (Holo2, 0-1000), `{"action": "click_absolute", "x": 966, "y": 273}` (Holo1.5, pixels),
and `Click(966, 273)` (Holo1 and 1.5, pixels).

The JSON must be the whole answer, as in ScreenSpot-Pro's `models/holo1_5.py`; a chain of thought before `</think>` and
a ```json fence are taken off.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, QWEN_SPACES, THINK_END, Form, Scale, at
from .json_text import decode

_FENCED = re.compile(r"```(?:json)?\s*(\{[^`]*)```")
_CLICK = re.compile(rf"\s*Click\s*\(\s*({NUMBER})\s*,\s*({NUMBER})\s*\)\s*", re.IGNORECASE)


def read_json(text: str, scale: Scale) -> Action | None:
    """An object with x and y that is the whole answer."""
    answer = text.rpartition(THINK_END)[2].strip()
    if fenced := _FENCED.fullmatch(answer):
        answer = fenced[1].strip()
    decoded = decode(answer, 0)
    if decoded is None or decoded[1] != len(answer) or not isinstance(decoded[0], dict):
        return None
    x, y = decoded[0].get("x"), decoded[0].get("y")
    return at("click", x, y, scale) if type(x) is float and type(y) is float else None


def read_click(text: str, scale: Scale) -> Action | None:
    """`Click(x, y)`, the whole answer."""
    found = _CLICK.fullmatch(text.rpartition(THINK_END)[2])
    return None if found is None else at("click", found[1], found[2], scale)


XY_OBJECT = Form('{"x": …, "y": …}', read_json, mark='"x"', space_by_model=QWEN_SPACES)
CLICK = Form("Click(x, y)", read_click, space_by_model=QWEN_SPACES)
