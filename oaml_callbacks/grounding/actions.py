"""A model's text -> [`Action`]: what it does, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
"""`(x, y)` as shares of the screen, x from the left, y from the top."""

Status = Literal["ok", "unreadable", "refusal"]

Space = Literal["auto", "normalized", "relative1000", "pixels"]
"""What an answer's numbers are: shares 0-1, 0-1000, or pixels of the picture as the processor resized it. `auto`: what
the form of the answer and the model's family say."""


@dataclass(frozen=True)
class Action:
    """What a model's answer says to do.

    Args:
        kind: `"click"`, `"double_click"`, `"right_click"`, `"middle_click"`, `"hover"`, `"long_press"`, `"drag"`,
            `"scroll"`, `"type"`, `"key"`, `"wait"`, `"done"`, `"refusal"`, or `"other"` for an action of another name;
            `None` if the answer could not be read.
        point: Where, as shares of the screen. **Never clamped**: a model that answers 420 for 0.42 missed the screen.
            A box's centre; a drag's start. `None` for an action without a place.
        box: `(left, top, right, bottom)` as shares of the screen, where the answer gave a box.
        text: What is to be typed or pressed, or a refusal's or an answer's words.
        mark: The number of a set-of-marks element, where the answer names one.
        status: `"ok"`; `"unreadable"`: no action was found, and none is made up; or `"refusal"`.
    """

    kind: str | None = None
    point: Point | None = None
    box: tuple[float, float, float, float] | None = None
    text: str | None = None
    mark: int | None = None
    status: Status = "ok"

    @property
    def answers_where(self) -> bool:
        """Whether this is a readable answer to "where?": a place, a mark, or that there is none."""
        return self.point is not None or self.mark is not None or self.status == "refusal"


UNREADABLE = Action(status="unreadable")


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers of one kind of model: what [`parse_action`] does, with its options given once.

    Args:
        family: A model family's name: its forms alone are read. `None`: any form.
        space: What numbers are; `"auto"` as the form and the family say.
        model_type: transformers' `model_type` of the model, which decides what numbers are where a form is shared by
            families (a tool call is in pixels from Qwen2.5-VL, and in 0-1000 from Qwen3-VL).
    """

    family: str | None = None
    space: Space = "auto"
    model_type: str | None = None

    def read(self, text: str, *, resized_size: tuple[int, int] | None = None) -> Action:
        """Read one answer; see [`parse_action`]."""
        return parse_action(text)

    def is_complete(self, text: str) -> bool:
        """Whether an answer that begins with `text` is read the same however it goes on, so that it can stop here."""
        return False


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
