"""A model's text -> [`Action`]: what it does, and where."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import get_args

from ..suggest import did_you_mean, nearest
from .action_types import UNREADABLE, Action, Point, Space, Status
from .families import ANY_FAMILY, FAMILIES
from .forms.base import Form, Read, Scale
from .screen import SCALES

__all__ = ["UNREADABLE", "Action", "AnswerReader", "Point", "Space", "Status", "parse_action"]

logger = logging.getLogger(__name__)

Size = tuple[int, int]
_ONE: Scale = (1.0, 1.0)

_Step = tuple[str, Read, Form, "Space | None", "Scale | None"]
"""A form, its mark and parser first; what its numbers are (`None`: nothing says it); what divides them, if fixed."""

# Unicode's full-width forms stand 0xFEE0 above the plain ones; U+3000 and U+2212 are a blank and a minus.
_FULL_WIDTH = {ord(plain) + 0xFEE0: plain for plain in "()[]{}<>,:=.\"'-+0123456789"} | {0x3000: " ", 0x2212: "-"}

_warned: set[str] = set()  # forms, once a process each


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers of one kind of model: what [`parse_action`] does, with its options given once.

    Args:
        family: A model family's name: its forms alone are read. `None`: any form.
        space: What numbers are; `"auto"` as the form and the family say.
        model_type: transformers' `model_type` of the model, which decides what numbers are where a form is shared by
            families (a tool call is in pixels from Qwen2.5-VL, and in 0-1000 from Qwen3-VL) and no family is given.

    Raises:
        ValueError: No such family or space.
    """

    family: str | None = None
    space: Space = "auto"
    model_type: str | None = None
    _steps: tuple[_Step, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.family is not None and self.family not in FAMILIES:
            raise ValueError(_unknown("family", self.family, list(FAMILIES)))
        if self.space not in get_args(Space):
            raise ValueError(_unknown("space", self.space, list(get_args(Space))))
        object.__setattr__(self, "_steps", tuple(self._plan()))

    def _plan(self) -> Iterator[_Step]:
        """What to try, in order."""
        family = FAMILIES[self.family] if self.family is not None else None
        for form in family.forms if family else ANY_FAMILY:
            space: Space | None = self.space
            if space == "auto":
                space = form.space or (family.space if family else form.space_by_model.get(self.model_type or ""))
            yield form.mark, form.read, form, space, SCALES.get(space or "")

    def read(self, text: str, *, resized_size: Size | None = None) -> Action:
        """Read one answer; see [`parse_action`]."""
        if resized_size is None:
            if self.space == "pixels":
                raise ValueError(
                    'space="pixels" needs resized_size=(width, height): the size of the picture as the processor '
                    "resized it (grounding.screen.ResizedSizes finds it)."
                )
        elif not (len(resized_size) == 2 and resized_size[0] > 0 < resized_size[1]):
            raise ValueError(f"resized_size must be a positive (width, height), found {resized_size!r}")
        if text.isascii():
            return self._read(text, resized_size)
        plain = text.translate(_FULL_WIDTH)
        action = self._read(plain, resized_size)
        if action.text is None or plain == text:
            return action
        # What is typed stays as it was written, where that can be read, too.
        written = self._read(text, resized_size)
        same = (written.kind, written.point, written.mark) == (action.kind, action.point, action.mark)
        return written if same else action

    def _read(self, text: str, resized_size: Size | None) -> Action:
        for mark, read, form, space, fixed in self._steps:
            if mark not in text:
                continue
            scale = fixed or (resized_size if space == "pixels" else None)
            action = read(text, scale or _ONE)
            if action is None:
                continue
            if scale is None and action.point is not None:
                _warn(form, space)
                return UNREADABLE
            return action
        return UNREADABLE

    def is_complete(self, text: str) -> bool:
        """Whether an answer that begins with `text` is read the same however it goes on, so that it can stop here.

        Only the form that is tried first can say so: any other gives way to it, should it still come.
        """
        form = self._steps[0][2]
        return form.mark in text and form.is_complete(text) and form.read(text, _ONE) is not None


def parse_action(
    text: str, *, family: str | None = None, space: Space = "auto", resized_size: Size | None = None
) -> Action:
    r"""Read a model's answer.

    With a `family`, its own forms are read by its own evaluator's rules ([`FAMILIES`] has them, with their sources).
    Without one, every form that cannot be mistaken wherever it stands is tried, and then bare points and boxes, if
    they are the whole answer ([`ANY_FAMILY`]).

    Full-width brackets, commas, colons and digits count as the plain ones. Points are never clamped to the screen.

    Args:
        text: The answer, as generated. Any string is taken.
        family: A model family's name.
        space: What the numbers are. `"auto"`: what the form and the family say, never what the numbers look like.
            Where they don't say it, the answer is unreadable, and a warning says so, once per process and form.
        resized_size: `(width, height)` of the picture in pixels as the model's processor resized it. Answers in pixels
            can't be read without it.

    Returns:
        The action, or one with `status="unreadable"`.

    Raises:
        ValueError: No such family or space, `space="pixels"` without `resized_size`, or one that isn't a size.
    """
    return _reader(family, space).read(text, resized_size=resized_size)


@lru_cache(maxsize=64)
def _reader(family: str | None, space: Space) -> AnswerReader:
    return AnswerReader(family, space)


def _warn(form: Form, space: Space | None) -> None:
    if form.name in _warned:
        return
    _warned.add(form.name)
    if space == "pixels":
        logger.warning(
            "Answers of the form %s are in pixels of the resized picture, whose size isn't known here, so they count "
            "as unreadable. Pass resized_size=(width, height), or space= if the numbers are something else.",
            form.name,
        )
    else:
        logger.warning(
            "Answers of the form %s are in another space from one model family to the next, so they count as "
            'unreadable. Say which: family= (%s), or space="normalized", "relative1000" or "pixels".',
            form.name,
            ", ".join(FAMILIES),
        )


def _unknown(what: str, found: str, known: list[str]) -> str:
    hint = did_you_mean(nearest(str(found), known))
    return f"{what}={found!r} isn't known: expected one of {', '.join(known)}{hint or '.'}"
