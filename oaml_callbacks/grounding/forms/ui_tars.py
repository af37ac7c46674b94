r"""UI-TARS: `Thought: …\nAction: click(start_box='(500,250)')`, or `click(point='<point>966 273</point>')` since 1.5.

Read as `codes/ui_tars/action_parser.py` does: what follows the last `Action:`, up to `)` and an empty line, must be
one call in Python's syntax, whose closing bracket may be missing; so of several actions the first after the last
`Action:` counts. Version 1 writes 0-1000 and 1.5 pixels, in either form: the model decides, not the form.
"""

from __future__ import annotations

import re

from ..action_types import Action, Space
from .base import NUMBER, PLACED, Form, Scale, at, at_numbers

_ANSWER = "Action:"
# As nearly every answer goes on.
_CLICK = re.compile(rf" click\(start_box='\(({NUMBER}),({NUMBER})\)'\)\Z")
_CALL = re.compile(r"\s*(\w+)\s*\(")
_ARGUMENT = re.compile(r"[\s,]*(\w+)\s*=\s*(?:'([^'\\]*(?:\\.[^'\\]*)*)'|\"([^\"\\]*(?:\\.[^\"\\]*)*)\")", re.DOTALL)
_END = re.compile(r"\s*(?:\)(?:\s*\Z|\n\n)|\Z)")
_POINT = re.compile(rf"<point>\s*({NUMBER})[\s,]+({NUMBER})\s*</point>")
_BOX = re.compile(rf"[(\[]?\s*({NUMBER})\s*,\s*({NUMBER})\s*(?:,\s*({NUMBER})\s*,\s*({NUMBER})\s*)?[)\]]?")
_KINDS = {
    "click": "click", "left_single": "click", "left_double": "double_click", "right_single": "right_click",
    "long_press": "long_press", "hover": "hover", "drag": "drag", "select": "drag", "scroll": "scroll",
    "type": "type", "hotkey": "key", "press": "key", "press_home": "key", "press_back": "key", "wait": "wait",
    "finished": "done", "call_user": "other", "open_app": "other",
}  # fmt: skip
_SPACES: dict[str, Space] = {"qwen2_vl": "relative1000", "qwen2_5_vl": "pixels"}


def read(text: str, scale: Scale) -> Action | None:
    """The first call after the last `Action:`."""
    start = text.rfind(_ANSWER)
    if start < 0:
        return None
    start += len(_ANSWER)
    if click := _CLICK.match(text, start):
        return at("click", click[1], click[2], scale)
    return _any_call(text, start, scale)


def _any_call(text: str, start: int, scale: Scale) -> Action | None:
    call = _CALL.match(text, start)
    if call is None or call[1] not in _KINDS:
        return None
    arguments: dict[str, str] = {}
    end = call.end()
    while argument := _ARGUMENT.match(text, end):
        arguments.setdefault(argument[1], argument[2] if argument[2] is not None else argument[3])
        end = argument.end()
    if not _END.match(text, end):
        return None
    kind = _KINDS[call[1]]
    words = next((arguments[name] for name in ("content", "key", "hotkey", "direction") if name in arguments), None)
    place = next((arguments[name] for name in ("start_box", "point", "start_point") if name in arguments), None)
    if not place:
        return None if kind in PLACED or (kind == "type" and words is None) else Action(kind, text=words)
    place = place.strip().removeprefix("<|box_start|>").removesuffix("<|box_end|>").strip()
    found = _POINT.fullmatch(place) or _BOX.fullmatch(place)
    if found is None:
        return None
    return at_numbers(kind, [float(number) for number in found.groups() if number is not None], scale, words)


UI_TARS = Form("UI-TARS's click(start_box=… or point=…)", read, mark=_ANSWER, space_by_model=_SPACES)
