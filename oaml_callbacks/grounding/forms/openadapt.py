r"""openadapt-ml: `Thought: …\nAction: CLICK(x=0.47, y=0.51)`, and its set-of-marks form `Action: CLICK([3])`.

Shares of the screen, 0-1. Written by openadapt-ml 0.17.0's `datasets/next_action.py` (`format_action`): `CLICK`,
`TYPE(text="…")`, `WAIT()`, `DONE()`, `CLICK([3])`, `TYPE([3], "…")`, `TYPE("…")`, and `ACTION(type=…)` for any other
kind; its `benchmarks/agent.py` asks for `KEY(…)`, `SCROLL(…)` and `DRAG(x1, y1, x2, y2)` too.

What counts, as in its `runtime/policy.py`: the line after the last `Action:` that isn't empty; without that word, the
whole text. There, the first action. Its own parser minds capitals and blanks, clamps points into the screen and finds
a click in `DOUBLE_CLICK(x=…)`; this one does none of that.
"""

from __future__ import annotations

import re

from ..action_types import Action
from .base import NUMBER, Form, Scale, at

_STRING = r"\"(?P<{0}>[^\"\\]*(?:\\.[^\"\\]*)*)\"|'(?P<{0}_>[^'\\]*(?:\\.[^'\\]*)*)'"
_WORD = "Action:"
# As nearly every answer goes on.
_CLICK = re.compile(r" CLICK\(x=(\d+\.\d+), y=(\d+\.\d+)\)")
# The word in any capitals, no letter before it. Written so, it is found five times as fast as with \b and IGNORECASE.
_ANSWER = re.compile(r"[Aa][Cc][Tt][Ii][Oo][Nn](?<!\w{7})\s*:\s*(?=\S)")
_ACTION = re.compile(
    rf"(?<![\w.])(?:CLICK\s*\(\s*(?:x\s*=\s*(?P<x>{NUMBER})\s*,\s*y\s*=\s*(?P<y>{NUMBER})|\[(?P<mark>\d{{1,9}})\])\s*\)"
    rf"|TYPE\s*\(\s*(?:text\s*=|\[(?P<field>\d{{1,9}})\]\s*,)?\s*(?:{_STRING.format('typed')})\s*\)"
    rf"|(?P<plain>WAIT|DONE)\s*\(\s*\)"
    rf"|ACTION\s*\(\s*type\s*=\s*(?P<type>\w+)\s*\)"
    rf"|(?P<named>KEY|SCROLL)\s*\(\s*(?P<what>[^()\n]*)\)"
    rf"|DRAG\s*\(\s*(?P<x1>{NUMBER})\s*,\s*(?P<y1>{NUMBER})\s*,\s*{NUMBER}\s*,\s*{NUMBER}\s*\))",
    re.IGNORECASE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_KINDS = {
    "click": "click", "double_click": "double_click", "right_click": "right_click", "drag": "drag",
    "scroll": "scroll", "type": "type", "key": "key", "wait": "wait", "done": "done", "hover": "hover",
}  # fmt: skip


def read(text: str, scale: Scale) -> Action | None:
    """The first action of the last line that begins with `Action:`."""
    start = text.rfind(_WORD)
    if start >= 0:
        click = _CLICK.match(text, start + len(_WORD))
        if click and (click.end() == len(text) or "action" not in text[click.end() :].lower()):
            return at("click", click[1], click[2], scale)
    start = 0
    for word in _ANSWER.finditer(text):
        start = word.end()
    found = _ACTION.search(text, start)
    # What is typed may go on beyond the line, but has to begin in it.
    if found is None or (start and "\n" in text[start : found.start()]):
        return None
    return _action(found, scale)


def _action(found: re.Match[str], scale: Scale) -> Action | None:
    group = found.groupdict()
    if group["x"]:
        return at("click", group["x"], group["y"], scale)
    if group["x1"]:
        return at("drag", group["x1"], group["y1"], scale)
    number = group["mark"] or group["field"]
    name = found[0].partition("(")[0].strip().lower()
    if name == "action":
        return Action(_KINDS.get(group["type"].lower(), "other"))
    text = group["what"] and group["what"].strip()
    for typed in (group["typed"], group["typed_"]):
        if typed is not None:
            text = _ESCAPED.sub(r"\1", typed)
    return Action(name, text=text, mark=int(number) if number else None)


OPENADAPT = Form("openadapt", read, mark="(", space="normalized")
