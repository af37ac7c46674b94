"""Qwen2.5-VL and Qwen3-VL: `[{"point_2d": [966, 546], "label": "x"}]`, and the same with `bbox_2d`.

As in Qwen's cookbooks (`spatial_understanding.ipynb`, `2d_grounding.ipynb`): where there is a ```json fence, what
comes after it; objects that are cut off before their closing brace don't count. Of several objects, the first counts.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, QWEN_SPACES, Form, Scale, at_numbers

_FENCE = "```json"
_PLACE = re.compile(
    rf"[\"'](?:point|bbox)_2d[\"']\s*:\s*\[\s*({NUMBER})\s*,\s*({NUMBER})\s*(?:,\s*({NUMBER})\s*,\s*({NUMBER})\s*)?\]"
)
_REST = re.compile(r"[^{}\"]*(?:\"[^\"\\]*(?:\\.[^\"\\]*)*\"[^{}\"]*)*\}", re.DOTALL)


def read(text: str, scale: Scale) -> Action | None:
    """The first object with a place."""
    place = _PLACE.search(text, max(text.find(_FENCE), 0))
    if place is None or not _REST.match(text, place.end()):
        return None
    return at_numbers("click", [float(number) for number in place.groups() if number is not None], scale)


JSON_OBJECTS = Form("point_2d or bbox_2d", read, mark="_2d", space_by_model=QWEN_SPACES)
