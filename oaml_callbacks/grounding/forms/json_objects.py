"""Qwen2.5-VL and Qwen3-VL: `[{"point_2d": [966, 546], "label": "x"}]`, and the same with `bbox_2d`.

As in Qwen's cookbooks (`spatial_understanding.ipynb`, `2d_grounding.ipynb`): where there is a ```json fence, what
comes after it; objects that are cut off before their closing brace don't count. Of several objects, the first counts.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, QWEN_SPACES, REFUSAL, Form, Scale, at_numbers, is_refusal

_FENCE = "```json"
_PLACE = re.compile(
    rf"[\"'](?:point|bbox)_2d[\"']\s*:\s*\[\s*({NUMBER})\s*,\s*({NUMBER})\s*(?:,\s*({NUMBER})\s*,\s*({NUMBER})\s*)?\]"
)
_REST = re.compile(r"[^{}\"]*(?:\"[^\"\\]*(?:\\.[^\"\\]*)*\"[^{}\"]*)*\}", re.DOTALL)


def read(text: str, scale: Scale) -> Action | None:
    """The first object with a place."""
    found = _object(text)
    if found is None:
        return None
    numbers = [float(number) for number in found.groups() if number is not None]
    return REFUSAL if is_refusal(numbers) else at_numbers("click", numbers, scale)


def _object(text: str) -> re.Match[str] | None:
    found = _PLACE.search(text, max(text.find(_FENCE), 0))
    return found if found is not None and _REST.match(text, found.end()) else None


def is_complete(text: str) -> bool:
    """Whether the first object after a fence is closed: without one, a fence may follow."""
    return _FENCE in text and _object(text) is not None


JSON_OBJECTS = Form("point_2d or bbox_2d", read, mark="_2d", space_by_model=QWEN_SPACES, is_complete=is_complete)
