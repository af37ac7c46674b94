"""One HTML file that holds all it needs: it opens from a disk, in a frame and on paper, and asks no network."""

from __future__ import annotations

import base64
import hashlib
import html
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ..clean_text import clean_text
from ..errors import UserError
from ..links import LinkError, check_url
from ..viewer.pages import page_path

STYLE = """
body { line-height: 1.5; }
main { margin: 0 auto; max-width: 68rem; padding: 28px 24px 48px; }
h1 { font-size: 1.7rem; overflow-wrap: anywhere; text-wrap: balance; }
h2 { font-size: 1.15rem; margin-bottom: 8px; }
h3 { font-size: 0.95rem; }
p, ul, ol, dl { margin: 0; }
main > * + * { margin-top: 20px; }
p + p { margin-top: 8px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: 7px 10px; text-align: left; vertical-align: top; }
thead th { border-top: 0; color: var(--muted); font-size: 0.82rem; font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; min-width: 6rem; overflow-wrap: anywhere; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
th.number, td.number { text-align: right; white-space: nowrap; }
code { overflow-wrap: anywhere; }
.small { font-size: 0.87rem; }

@media (max-width: 600px) {
  main { padding: 18px 12px 32px; }
  h1 { font-size: 1.35rem; }
}

@media print {
  @page { margin: 14mm 12mm; }
  html { background: #fff; font-size: 13px; }
  main { max-width: none; padding: 0; }
  main > * + * { margin-top: 14px; }
  .panel { box-shadow: none; }
  .scroll { overflow: visible; }
  h1, h2, h3 { break-after: avoid; }
  tr, figure, .keep { break-inside: avoid; }
  thead { display: table-header-group; }
  a { color: inherit; }
  .chip, .bar, svg, figure { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
"""What such pages have beyond the viewer's own look (`base.css`): a column to read, tables, paper."""


def one_page(title: str, body: str, *, style: str = "", scripts: Sequence[str] = ()) -> str:
    """A complete page that loads nothing from anywhere.

    It has the viewer's colours and parts (`panel`, `muted`, `number`, `chip right`, …; see `base.css`), light or dark
    as the reader's browser is, and light on paper. Its policy allows styles, pictures that are in it (`data:`), and
    the given scripts: text that got into it as an element could still run nothing.

    Args:
        title: The page's title, as text; not shown in the page, which has its own heading.
        body: HTML of the page's column, the inside of its `main`. Text of others must be in it by [`esc`] alone.
        style: CSS of the page's own.
        scripts: Scripts of the page's own; each is put in as it is, as a module, and allowed by its digest. Data come
            to them in the body.

    Returns:
        HTML. In a frame it shows as it does by itself.

    Raises:
        ValueError: A script or the style would end its own element (`</script`, `</style`).
    """
    for text, end in ((style, "</style"), *((script, "</script") for script in scripts)):
        if end in text.lower():
            raise ValueError(f"{end}> in it ends the element that holds it; write it in another way, <\\/…")
    modules = "".join(f'<script type="module">{script}</script>\n' for script in scripts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_policy(scripts))}">\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(title)}</title>\n"
        f"<style>{_base()}{STYLE}{style}</style>\n"
        f"</head>\n<body>\n<main>\n{body}\n</main>\n{modules}</body>\n</html>\n"
    )


class PageError(UserError):
    """A page that can't be written where it was wanted."""


def write_one_page(text: str, out: Path) -> int:
    """Write a page to where `--html` says; whoever looks sees the old one or the new one.

    Args:
        text: The page.
        out: Where to; its folder is made.

    Returns:
        Its bytes.

    Raises:
        PageError: It can't be written there.
    """
    if out.is_dir():
        raise PageError(f"--html {out} is a folder; expected the name of a file, {out / 'report.html'}.")
    data, beside = text.encode(), out.with_name(f".{out.name[:200]}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        what = "can't be written" if out.parent.is_dir() else f"the folder {out.parent} can't be made"
        raise PageError(f"--html {out}: {what} ({error.strerror or error}).") from None
    return len(data)


def esc(text: object) -> str:
    """Text of anyone's, for an element or a quoted attribute of a page: shown as it is, and nothing more."""
    return html.escape(clean_text(str(text)))


def link(url: str | None, text: str) -> str:
    """A link that opens beside the page, which may be in a frame; where `url` is none to click on, the text alone.

    Args:
        url: http(s), without credentials, or `None`.
        text: What is read, as text.
    """
    try:
        address = check_url("a link", url) if url else None
    except LinkError:
        address = None
    if address is None:
        return esc(text)
    return f'<a href="{esc(address)}" target="_blank" rel="noopener noreferrer">{esc(text)}</a>'


@lru_cache(maxsize=1)
def _base() -> str:
    return page_path("base.css").read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    allowed = f"script-src {' '.join(digests)}; " if digests else ""
    return (
        f"default-src 'none'; {allowed}style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
