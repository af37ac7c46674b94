"""A model's text -> [`Action`]: what it does, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "unreadable"]


@dataclass(frozen=True)
class Action:
    """What a model's answer says to do.

    Args:
        kind: `"click"`, `"type"`, `"wait"` or `"done"`; `None` if the answer could not be read.
        point: `(x, y)` as shares of the screen, x from the left, y from the top. **Never clamped**: a model that
            answers 420 for 0.42 missed the screen. `None` for an action without a place.
        text: What is to be typed, for `"type"`.
        status: `"ok"`, or `"unreadable"`: no action was found, and none is made up.
    """

    kind: str | None = None
    point: tuple[float, float] | None = None
    text: str | None = None
    status: Status = "ok"


UNREADABLE = Action(status="unreadable")

_NUMBER = r"([-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))"
_ACTION = re.compile(
    rf"\b(?P<click>CLICK)\s*\(\s*x\s*=\s*{_NUMBER}\s*,\s*y\s*=\s*{_NUMBER}\s*\)"
    r"|\bTYPE\s*\(\s*text\s*=\s*\"(?P<text>(?:[^\"\\]|\\.)*)\"\s*\)"
    r"|\b(?P<plain>WAIT|DONE)\s*\(\s*\)",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"\baction\s*:", re.IGNORECASE)


def parse_action(text: str) -> Action:
    """Read an answer in openadapt-ml's form.

    The form is `Thought: …` and then `Action: CLICK(x=0.47, y=0.51)`, `TYPE(text="…")`, `WAIT()` or `DONE()`, x and y
    being shares of the screen, 0-1 (openadapt-ml 0.17.0, `datasets/next_action.py`). Capitals and blanks do not
    matter. What counts is the first action after the last `Action:`; without that word, the first action in the text.

    Returns:
        The action, or one with `status="unreadable"`. Any string is taken; nothing is raised.
    """
    answer = text
    for marker in _ANSWER.finditer(text):
        answer = text[marker.end() :]
    match = _ACTION.search(answer)
    if match is None:
        return UNREADABLE
    if match["click"]:
        return Action(kind="click", point=(float(match[2]), float(match[3])))
    if match["plain"]:
        return Action(kind=match["plain"].lower())
    return Action(kind="type", text=re.sub(r"\\(.)", r"\1", match["text"]))
