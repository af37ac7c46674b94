"""Boxes between tokens, 0-1000: Qwen2-VL and OS-Atlas-7B's `<|box_start|>(576,12),(592,42)<|box_end|>`, and SeeClick's
`<box>(576,12),(592,42)</box>`.

Decoding without special tokens leaves `(576,12),(592,42)`, so an answer without them is read where it holds two or
four numbers: a point or a box, as ScreenSpot-Pro's evaluators do. Qwen2-VL's evaluator takes the last box between
tokens, OS-Atlas's and SeeClick's the first.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, Form, Scale, always, at, at_numbers, in_box, last, only_numbers

_OPEN = "<|box_start|>"
_PAIR = rf"[(\[\s]*({NUMBER})\s*,\s*({NUMBER})[)\]\s]*"
_BOX = re.compile(rf"<\|box_start\|>{_PAIR},{_PAIR}<\|box_end\|>")
_POINT = re.compile(rf"[(\[]({NUMBER}), ?({NUMBER})[)\]]")  # as nearly every answer of SeeClick's is
_BOX_TAG = re.compile(rf"<box>{_PAIR},{_PAIR}</box>")


def read_last(text: str, scale: Scale) -> Action | None:
    """The last box between tokens."""
    return _action(_BOX.match(text, text.rfind(_OPEN)) or last(_BOX, text), scale)


def read_first(text: str, scale: Scale) -> Action | None:
    """The first box between tokens."""
    return _action(_BOX.match(text, text.find(_OPEN)), scale)


def read_box_tag(text: str, scale: Scale) -> Action | None:
    """The first `<box>`."""
    return _action(_BOX_TAG.search(text), scale)


def read_numbers(text: str, scale: Scale) -> Action | None:
    """The only point or box in the text, where there are no tokens."""
    if point := _POINT.fullmatch(text):
        return at("click", point[1], point[2], scale)
    return None if _OPEN in text or "<box>" in text else at_numbers("click", only_numbers(text), scale)


def _action(found: re.Match[str] | None, scale: Scale) -> Action | None:
    return None if found is None else in_box("click", list(map(float, found.groups())), scale)


LAST_BOX = Form("<|box_start|>", read_last, mark=_OPEN, space="relative1000")
FIRST_BOX = Form("<|box_start|>", read_first, mark=_OPEN, space="relative1000", is_complete=always)
BOX_TAG = Form("<box>", read_box_tag, mark="<box>", space="relative1000", is_complete=always)
NUMBERS = Form("two or four numbers", read_numbers)
