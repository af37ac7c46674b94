"""Our own format: one JSON object a line, with a picture, a request and a target.

```json
{"image": "a.png", "instruction": "Open the menu", "bbox": [0.02, 0.01, 0.06, 0.05], "groups": {"type": "icon"}}
{"image": "a.png", "instruction": "Open the menu", "point": [42, 31], "tolerance": 0.05, "units": "pixels"}
{"image": "b.png", "messages": [{"role": "user", "content": "Click Undo"}], "refusal": true, "id": "undo-7"}
```

Exactly one of `bbox` ([left, top, right, bottom]), `polygon` ([[x, y], ...]), `point` with `tolerance`, `mark` (a
set-of-marks number) and `refusal`: true says what is right. Numbers are shares of the screen, or the picture's pixels
with `"units": "pixels"`; a tolerance is always a share. `groups`, `answer` and `id` may be there, and `image_size`
([width, height]), which saves opening the picture for its size. Other keys are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...chat import Message
from ..samples import GroundingSample
from ..targets import MarkTarget, PointTarget, RefusalTarget, Target
from .fields import box_target, check_inside, check_messages, grouping, in_shares, numbers, polygon_target
from .format import Format, ReadOptions
from .rows import Row, Size


def sample(row: Row, options: ReadOptions) -> GroundingSample:
    """The sample that a row describes."""
    picture = row.picture("image")
    units = row.get("units")
    if units not in (None, "shares", "pixels"):
        raise ValueError(f'"units" must be "shares" or "pixels", found {units!r:.80}')
    size = row.size(picture, "image_size") if units == "pixels" else None
    answer = row.get("answer")
    if answer is not None and not isinstance(answer, str):
        raise ValueError(f'"answer" must be text, found {answer!r:.80}')
    return GroundingSample(
        id=row.id,
        image=picture,
        messages=_messages(row, options),
        target=_target(row, size),
        groups={} if row.get("groups") is None else grouping(row["groups"]),
        answer=answer,
    )


def _messages(row: Row, options: ReadOptions) -> tuple[Message, ...]:
    if (row.get("messages") is None) == (row.get("instruction") is None):
        raise ValueError('give either an "instruction" or "messages"')
    if row.get("messages") is None:
        return options.messages(row["instruction"])
    messages = check_messages(row["messages"])
    if messages[-1]["role"] != "user":
        raise ValueError('"messages" must end with the user\'s turn; what is to be answered goes into "answer"')
    return tuple(messages)


def _point(row: Row, size: Size | None) -> PointTarget:
    if row.get("tolerance") is None:
        raise ValueError(
            'a "point" needs a "tolerance" beside it, such as 0.05: the share of the screen it may miss by'
        )
    x, y = in_shares(numbers(row["point"], "point", 2, "[x, y]"), size)
    check_inside([x, y], row["point"], size, "point")
    (tolerance,) = numbers([row["tolerance"]], "tolerance", 1, "above 0")
    return PointTarget(x, y, tolerance)


def _mark(row: Row, size: Size | None) -> MarkTarget:
    mark = row["mark"]
    if not isinstance(mark, int) or isinstance(mark, bool):
        raise ValueError(f'"mark" must be a whole number, found {mark!r:.80}')
    return MarkTarget(mark)


_TARGETS: dict[str, Callable[[Row, Size | None], Target]] = {
    "bbox": lambda row, size: box_target(row["bbox"], size=size, inside=True),
    "polygon": lambda row, size: polygon_target(row["polygon"], size=size, inside=True),
    "point": _point,
    "mark": _mark,
    "refusal": lambda row, size: RefusalTarget(),
}


def _target(row: Row, size: Size | None) -> Target:
    def is_given(name: str) -> bool:
        value: Any = row.get(name)
        return value is not None and not (name == "refusal" and value is False)

    given = [name for name in _TARGETS if is_given(name)]
    if len(given) != 1:
        names = ", ".join(f'"{name}"' for name in _TARGETS)
        found = " and ".join(f'"{name}"' for name in given) or "none"
        raise ValueError(f"exactly one of {names} must say what is right, found {found}")
    if given == ["refusal"] and row["refusal"] is not True:
        raise ValueError(f'"refusal" must be true or false, found {row["refusal"]!r:.80}')
    return _TARGETS[given[0]](row, size)


FORMAT = Format("jsonl", sample)
