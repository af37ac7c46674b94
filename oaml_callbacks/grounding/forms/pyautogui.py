"""Aguvis and OpenCUA: `pyautogui.click(x=0.5, y=0.25)`.

Aguvis: the first line that begins with `pyautogui.` or `computer.` counts. OpenCUA: the same, and where no line begins
so, the first such call anywhere. A missing closing bracket is no matter (AgentNetBench, `agent/aguvis.py` and
`agent/opencua.py`). Aguvis writes shares of the screen. So do some of OpenCUA's models, and the others whole pixels of
the resized picture: which it is, is told by whether the numbers are written with a decimal point.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, NUMBER_ENDS, PLACED, Form, Scale, at

_LINE = re.compile(r"^[ \t]*(pyautogui|computer)\.(\w+)(.*)", re.MULTILINE)
_ANYWHERE = re.compile(r"\b(pyautogui|computer)\.(\w+)(.*)")
_PLACE = re.compile(rf"\bx\s*=\s*({NUMBER})\s*,\s*y\s*=\s*({NUMBER}){NUMBER_ENDS}")
# A string that isn't closed goes to the line's end, so that its end isn't looked for again at each of its quotes.
_STRING = re.compile(r"\"([^\"\\]*(?:\\.[^\"\\]*)*)(?:\"|\\?\Z)|'([^'\\]*(?:\\.[^'\\]*)*)(?:'|\\?\Z)")
_KINDS = {
    "click": "click", "rightclick": "right_click", "middleclick": "middle_click", "doubleclick": "double_click",
    "tripleclick": "double_click", "triple_click": "double_click", "moveto": "hover", "dragto": "drag",
    "scroll": "scroll", "hscroll": "scroll", "write": "type", "typewrite": "type", "press": "key", "hotkey": "key",
    "keydown": "key", "keyup": "key", "sleep": "wait", "wait": "wait", "terminate": "done",
}  # fmt: skip


def read_line(text: str, scale: Scale) -> Action | None:
    """The first line that is a call, as Aguvis's evaluator finds it."""
    return _action(_LINE.search(text), scale)


def read_shares(text: str, scale: Scale) -> Action | None:
    """OpenCUA's first call, if its numbers have a decimal point or it has none."""
    call = _first(text)
    return None if _is_pixels(call) else _action(call, scale)


def read_pixels(text: str, scale: Scale) -> Action | None:
    """OpenCUA's first call, if its numbers are whole."""
    call = _first(text)
    return _action(call, scale) if _is_pixels(call) else None


def _first(text: str) -> re.Match[str] | None:
    if "pyautogui." not in text and "computer." not in text:
        return None
    return _LINE.search(text) or _ANYWHERE.search(text)


def _is_pixels(call: re.Match[str] | None) -> bool:
    place = _PLACE.search(call[3]) if call else None
    return place is not None and "." not in place[1] + place[2]


def _action(call: re.Match[str] | None, scale: Scale) -> Action | None:
    if call is None:
        return None
    kind = _KINDS.get(call[2].lower())
    if kind is None:
        return None
    if place := _PLACE.search(call[3]):
        return at(kind, place[1], place[2], scale)
    if kind in PLACED:
        return None  # where, isn't said in a way that the official evaluators read
    words = "+".join(double or single for double, single in _STRING.findall(call[3]))
    return Action(kind, text=words or None)


def is_complete(text: str) -> bool:
    """Whether the line of the first call has ended."""
    call = _LINE.search(text)
    return call is not None and call.end() < len(text)


AGUVIS = Form("pyautogui", read_line, space="normalized", is_complete=is_complete)
SHARES = Form("pyautogui", read_shares, mark=".", space="normalized", is_complete=is_complete)
PIXELS = Form("pyautogui in pixels", read_pixels, mark=".", space="pixels", is_complete=is_complete)
