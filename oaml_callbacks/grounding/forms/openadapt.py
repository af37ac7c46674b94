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
    rf"|TYPE\s*\(\s*(?:text\s*=\s*|\[(?P<field>\d{{1,9}})\]\s*,\s*)?(?:{_STRING.format('typed')})\s*\)"
    rf"|(?P<plain>WAIT|DONE)\s*\(\s*\)"
    rf"|ACTION\s*\(\s*type\s*=\s*(?P<type>\w+)\s*\)"
    rf"|(?P<named>KEY|SCROLL)\s*\((?P<what>(?!\s*\w+\s*=)[^()\n]*)\)"
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
    start = text.rfind(_WORD) + len(_WORD)
    rest = text[start:]
    if start < len(_WORD) or "action" in rest.lower() or not rest.strip():
        start = 0  # not the last one, or none: look for it in any spelling
        for word in _ANSWER.finditer(text):
            start = word.end()
        found = _ACTION.search(text, start)
    elif click := _CLICK.match(text, start):
        return at("click", click[1], click[2], scale)
    else:
        found = _ACTION.search(text, start)
    # What is typed may go on beyond the line, but has to begin in it.
    if found is None or (start and "\n" in text[start : found.start()].lstrip()):
        return None
    return _action(found, scale)


def _action(found: re.Match[str], scale: Scale) -> Action | None:
    last = found.lastgroup or ""
    if last in ("y", "y1"):
        kind, first = ("click", "x") if last == "y" else ("drag", "x1")
        return at(kind, found[first], found[last], scale)
    if last == "mark":
        return Action("click", mark=int(found["mark"]))
    if last in ("typed", "typed_"):
        mark = int(found["field"]) if found["field"] else None
        return Action("type", text=_ESCAPED.sub(r"\1", found[last]), mark=mark)
    if last == "what":
        return Action(found["named"].lower(), text=found["what"].strip())
    if last == "type":
        return Action(_KINDS.get(found["type"].lower(), "other"))
    return Action(found["plain"].lower())


OPENADAPT = Form("openadapt", read, mark="(", space="normalized")
