"""Markdown in which text of others stays text, for what W&B renders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from ..clean_text import one_line
from ..links import LinkError, check_url

_ACTIVE = re.compile(r"([\\`*_{}\[\]()+.!|~$#-])")


def plain(text: str, length: int = 80) -> str:
    """Text of anyone's on one line: no markup, no HTML, no end of a table's cell."""
    words = one_line(text, length)
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    words = _ACTIVE.sub(r"\\\1", words)
    # An address becomes a link by itself in most dialects, but not with its colon written so.
    return words.replace("://", "&#58;//").replace("www\\.", "www&#46;")


def link(text: str, url: str | None) -> str:
    """A link; where `url` is none to click on, the text."""
    try:
        address = check_url("a link", url) if url else None
    except LinkError:
        address = None
    return plain(text) if address is None else f"[{plain(text)}]({quote(address, safe=':/?&=%#~+,;@.-_')})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(text: str) -> str:
    """Text of anyone's as code on one line."""
    shown = one_line(text).replace("`", "'").replace("|", "¦")
    return f"`{shown}`"
