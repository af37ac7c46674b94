"""Bare points and boxes: `(966, 273)`, `[0.5, 0.25]`, `[[500,250]]`, `[10, 20, 30, 40]`.

The same text is shares of the screen from SeeClick and ShowUI, 0-1000 from UGround and UI-Venus 1.5, and pixels from
GTA1 and UI-Venus 1: only the family can tell.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, QWEN_SPACES, Form, Scale, always, at, at_numbers, in_box, last

_PAIR = rf"[(\[]\s*({NUMBER})\s*,\s*({NUMBER})\s*[)\]]"
_WHOLE = re.compile(rf"\s*(?:{_PAIR}|({NUMBER})\s*,\s*({NUMBER}))\s*")
_WHOLE_BOX = re.compile(rf"\s*[(\[]\s*({NUMBER})\s*,\s*({NUMBER})\s*,\s*({NUMBER})\s*,\s*({NUMBER})\s*[)\]]\s*")
_WHOLE_CORNERS = re.compile(rf"\s*{_PAIR}\s*,\s*{_PAIR}\s*")
_ROUND = re.compile(rf"\(\s*({NUMBER})\s*,\s*({NUMBER})\s*\)")
_DOUBLE = re.compile(rf"\[\s*\[\s*({NUMBER})\s*,\s*({NUMBER})\s*\]\s*\]")
_WHOLE_NUMBER = r"-?\d+"
_SQUARE = re.compile(rf"\[(\s*{_WHOLE_NUMBER}\s*(?:,\s*{_WHOLE_NUMBER}\s*)+)\]")
_TWO_SQUARES = re.compile(
    rf"\s*\[\s*({_WHOLE_NUMBER})\s*,\s*({_WHOLE_NUMBER})\s*\]\s*,\s*\[\s*({_WHOLE_NUMBER})\s*,\s*({_WHOLE_NUMBER})\s*\]\s*"
)


def read_whole(text: str, scale: Scale) -> Action | None:
    """A pair that is the whole answer: UGround's and ShowUI's evaluators evaluate the text as Python's."""
    found = _WHOLE.fullmatch(text)
    if found is None:
        return None
    return at("click", found[1] or found[3], found[2] or found[4], scale)


def read_whole_corners(text: str, scale: Scale) -> Action | None:
    """`(x1,y1),(x2,y2)`, the whole answer: what decoding without special tokens leaves of Qwen2-VL's boxes."""
    found = _WHOLE_CORNERS.fullmatch(text)
    return None if found is None else in_box("click", [float(number) for number in found.groups()], scale)


def read_whole_double(text: str, scale: Scale) -> Action | None:
    """`[[x,y]]`, the whole answer."""
    return read_double(text, scale) if _DOUBLE.fullmatch(text.strip()) else None


def read_whole_box(text: str, scale: Scale) -> Action | None:
    """Four numbers that are the whole answer: UI-Venus 1 (UI-Venus-Ground-7B and 72B)."""
    found = _WHOLE_BOX.fullmatch(text)
    return None if found is None else in_box("click", [float(number) for number in found.groups()], scale)


def read_round(text: str, scale: Scale) -> Action | None:
    """The first pair in round brackets, if it is of whole numbers: GTA1's README and `src/grpo_grounding.py`."""
    found = _ROUND.search(text)
    if found is None or "." in found[1] + found[2]:
        return None
    return at("click", found[1], found[2], scale)


def read_double(text: str, scale: Scale) -> Action | None:
    """The last `[[x,y]]`: OS-Atlas-4B, as ScreenSpot-Pro's `models/osatlas4b.py`."""
    found = last(_DOUBLE, text)
    return None if found is None else at("click", found[1], found[2], scale)


def read_square(text: str, scale: Scale) -> Action | None:
    """The first square brackets, or two pairs that are the whole answer: UI-Venus 1.5.

    As `models/grounding/ui_venus1_5_gd.py`, but for a box with text around it, of which it takes the first corner.
    """
    if both := _TWO_SQUARES.fullmatch(text):
        numbers = [float(number) for number in both.groups()]
    else:
        start = text.find("[")
        found = _SQUARE.match(text, start) if start >= 0 else None
        if found is None:
            return None
        numbers = [float(number) for number in found[1].split(",")]
    return at_numbers("click", numbers, scale)


WHOLE_PAIR = Form("(x, y)", read_whole, space_by_model=QWEN_SPACES)
WHOLE_CORNERS = Form("(x1,y1),(x2,y2)", read_whole_corners, space="relative1000")
WHOLE_DOUBLE = Form("[[x,y]]", read_whole_double, mark="[[", space="relative1000")
WHOLE_BOX = Form("[x1, y1, x2, y2]", read_whole_box, space_by_model=QWEN_SPACES)
ROUND_PAIR = Form("(x, y)", read_round, mark="(", is_complete=always)
DOUBLE_BRACKETS = Form("[[x,y]]", read_double, mark="[", space="relative1000")
SQUARE_BRACKETS = Form("[x,y]", read_square, mark="[")
