"""Text of others, such as models' answers and names in data, made fit to be written: shown as text, and nothing else.

What is written keeps its letters and markup. Changed is what would be more than text where it is shown or sent: halves
of characters, control characters, and those that turn the direction of writing.
"""

from __future__ import annotations

import hashlib
import re

from .secrets import redacted_text

MAX_ERROR = 1000
"""Characters of an error's text in a log line."""

MAX_ID = 200
"""Characters of a sample's id, and of other names, where they are written."""

_HIDDEN_MARGIN = 4096
"""Characters beyond a cut that are looked at too: a secret that the cut goes through must be known as one."""

# C0 and C1 but for tab and newline, halves of characters, line and paragraph separators, marks of direction.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text`, in which nothing acts: `\\x1b` and the like are spelled out, halves of characters become `�`.

    Newlines and tabs stay; `\\r\\n` becomes `\\n`. Any result can be written as UTF-8.
    """
    if text.isprintable():
        return text
    return _UNFIT.sub(_spelled, text.replace("\r\n", "\n"))


def cut(text: str, length: int) -> str:
    """`text` without secrets and cleaned; of a longer one `length` characters and a mark that says how long it was."""
    if len(text) <= length:
        return clean_text(redacted_text(text))
    # What is thrown away isn't gone through: a megabyte would take long.
    window = length + _HIDDEN_MARGIN
    kept = redacted_text(text[:window])
    if len(text) > window:
        kept = kept[: max(0, len(kept) - _HIDDEN_MARGIN)]
    return f"{clean_text(kept[:length])} …[cut: {len(text):,} characters]"


def one_line(text: str, length: int = MAX_ID) -> str:
    """`text` as a name: on one line, cleaned, without secrets; of a long one the beginning and a digest of it all."""
    if len(text) <= length:
        return _on_one_line(clean_text(redacted_text(text)))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_on_one_line(cut(text, length - 12).partition(' …[cut: ')[0])}…{digest}"


def error_text(error: BaseException) -> str:
    """An error as a log line tells it: its type, and its text without secrets, cleaned and cut."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error of somebody's own may fail at its own text
        text = "its text can't be had"
    return f"{type(error).__name__}: {cut(text, MAX_ERROR)}"


def _spelled(found: re.Match[str]) -> str:
    code = ord(found.group())
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _on_one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\t", "\\t")
