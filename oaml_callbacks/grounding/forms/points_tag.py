"""Qwen2.5-VL and Qwen3-VL: `<points x1="966" y1="546" alt="a">a</points>`.

Qwen's cookbook parses it as XML, so an element that isn't closed doesn't count. Of several points, the first counts.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, QWEN_SPACES, Form, Scale, at

_TAG = re.compile(r"<points\s([^<>]*)>")
_X = re.compile(rf"(?<!\w)x1\s*=\s*[\"']\s*({NUMBER})\s*[\"']")
_Y = re.compile(rf"(?<!\w)y1\s*=\s*[\"']\s*({NUMBER})\s*[\"']")


def read(text: str, scale: Scale) -> Action | None:
    """The first point of the first element."""
    tag = _TAG.search(text)
    if tag is None or not (tag[1].endswith("/") or text.find("</points>", tag.end()) >= 0):
        return None
    x, y = _X.search(tag[1]), _Y.search(tag[1])
    return at("click", x[1], y[1], scale) if x and y else None


POINTS_TAG = Form("<points>", read, mark="<points", space_by_model=QWEN_SPACES)
