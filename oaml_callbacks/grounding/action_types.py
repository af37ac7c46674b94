"""What an answer says to do: the types that the parsers of `forms/` make and everything else reads."""

from __future__ import annotations

from typing import Literal, NamedTuple

Point = tuple[float, float]
"""`(x, y)` as shares of the screen, x from the left, y from the top."""

Status = Literal["ok", "unreadable", "refusal"]

Space = Literal["auto", "normalized", "relative1000", "pixels"]
"""What an answer's numbers are: shares 0-1, 0-1000, or pixels of the picture as the processor resized it. `auto`: what
the form of the answer and the model's family say."""


class Action(NamedTuple):
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
