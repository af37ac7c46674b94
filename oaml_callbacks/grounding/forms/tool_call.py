r"""Qwen2.5-VL and Qwen3-VL: `<tool_call>\n{"name": "computer_use", "arguments": {…}}\n</tool_call>`.

Read as ScreenSpot-Pro's `models/qwen2_5vl.py` does: the first tool call counts; its JSON must be whole, its closing
tag may be missing; two numbers are a point, four a box. A line of such JSON without tags is read where there is no tag
(OpenCUA's AgentNetBench, `agent/qwen25vl.py`).
"""

from __future__ import annotations

import re
from typing import Any

from ..action_types import Action
from .base import PLACED, QWEN_SPACES, Form, Scale, at, at_numbers
from .json_text import decode, numbers_of

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
# As nearly every answer is: reading these needs no JSON parser.
_CLICK = re.compile(
    rf'\s*\{{"name": "(?:computer|mobile)_use", "arguments": \{{"action": "(?:left_)?click", '
    rf'"coordinate": \[(\d[\d.]*), (\d[\d.]*)\]\}}\}}\s*{_CLOSE}'
)
_UNTAGGED = re.compile(r'^[ \t]*(?=\{\s*"name"\s*:\s*"(?:computer|mobile)_use")', re.MULTILINE)
_KINDS = {
    "click": "click", "left_click": "click", "right_click": "right_click", "middle_click": "middle_click",
    "double_click": "double_click", "triple_click": "double_click",  # as Qwen's cookbook carries it out
    "mouse_move": "hover", "long_press": "long_press", "left_click_drag": "drag", "swipe": "drag",
    "scroll": "scroll", "hscroll": "scroll", "type": "type", "key": "key", "system_button": "key",
    "wait": "wait", "terminate": "done",
}  # fmt: skip


def read(text: str, scale: Scale) -> Action | None:
    """The first tool call, if it can be read."""
    start = text.find(_OPEN)
    if start < 0:
        untagged = _UNTAGGED.search(text)
        return None if untagged is None else _call(text, untagged.end(), scale)
    start += len(_OPEN)
    click = _CLICK.match(text, start)
    if click:
        try:
            return at("click", click[1], click[2], scale)
        except ValueError:  # two points in one number
            return None
    while start < len(text) and text[start].isspace():
        start += 1
    return _call(text, start, scale)


def _call(text: str, start: int, scale: Scale) -> Action | None:
    decoded = decode(text, start)
    if decoded is None:
        return None
    call, end = decoded
    close = text.find(_CLOSE, end)
    if "}" in text[end : close if close >= 0 else len(text)]:
        return None  # more than one JSON value: refused by the official evaluators
    arguments = call.get("arguments") if isinstance(call, dict) else None
    if not isinstance(arguments, dict) or not isinstance(arguments.get("action"), str):
        return None
    kind = _KINDS.get(arguments["action"], "other")
    if "coordinate" not in arguments:
        return None if kind in PLACED else Action(kind, text=_words(arguments))
    return at_numbers(kind, numbers_of(arguments["coordinate"]), scale, _words(arguments))


def _words(arguments: dict[str, Any]) -> str | None:
    for name in ("text", "keys", "button", "status"):
        value = arguments.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "+".join(str(key) for key in value)
    return None


def is_complete(text: str) -> bool:
    """Whether the first tool call is closed."""
    start = text.find(_OPEN)
    return start >= 0 and text.find(_CLOSE, start) >= 0


TOOL_CALL = Form("tool call", read, mark='"arguments"', space_by_model=QWEN_SPACES, is_complete=is_complete)
