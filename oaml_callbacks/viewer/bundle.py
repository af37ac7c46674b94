"""Pages that are opened from a disk: their modules in the page itself, since a browser loads none from a file.

An import map names each module (`oaml/dom.js`), and the address that it gives for the name *is* the module's text. In
the text every `from "./dom.js"` becomes `from "oaml/dom.js"`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from typing import Any

from .pages import page_path

_IMPORT = re.compile(r'(\bfrom\s+|\bimport\s+)"\./([\w-]+\.js)"')
_STYLESHEET = re.compile(r'<link rel="stylesheet" href="([\w-]+\.css)"\s*/?>')
_MODULE = re.compile(r'<script type="module" src="([\w-]+\.js)"></script>')
_ICON = re.compile(r'<link rel="icon"[^>]*>\s*')


def bundled(page: str, *, source: str, inline_styles: bool, pieces: Mapping[str, Any] | None = None) -> str:
    """A page with its modules in it.

    Args:
        page: `viewer.html`, …
        source: What `source.js` is told: `files` for pieces that lie beside the page, `page` for those in it.
        inline_styles: Put the stylesheets in, too.
        pieces: The pieces of a page that has them in it.
    """
    text = page_path(page).read_text(encoding="utf-8")
    main = _MODULE.search(text)
    assert main is not None, page
    modules = {f"oaml/{name}": _as_url(_with_names(name)) for name in _needed(main.group(1))}
    import_map = json.dumps({"imports": modules}, separators=(",", ":"))
    start = f'import "oaml/{main.group(1)}";'
    held = [f'<script type="importmap">{import_map}</script>']
    if pieces is not None:
        held.append(f'<script type="application/json" id="pieces">{_as_element(pieces)}</script>')
    held.append(f'<script type="module">{start}</script>')
    text = text[: main.start()] + "\n".join(held) + text[main.end() :]
    if inline_styles:
        text = _ICON.sub("", _STYLESHEET.sub(lambda found: f"<style>{_style(found.group(1))}</style>", text))
    policy = _policy([import_map, start], beside="" if pieces is not None else "'self' file: ")
    head = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    text = re.sub(r"(<head>)", lambda found: f"{found.group(1)}\n{head}", text, count=1)
    return re.sub(r"<html\b", f'<html data-source="{source}"', text, count=1)


def _needed(main: str) -> list[str]:
    """A page's module, and all that it and these import."""
    found, waiting = [], [main]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += [match.group(2) for match in _IMPORT.finditer(_module(name))]
    return sorted(found)


def _module(name: str) -> str:
    return page_path(name).read_text(encoding="utf-8")


def _with_names(name: str) -> str:
    return _IMPORT.sub(lambda found: f'{found.group(1)}"oaml/{found.group(2)}"', _module(name))


def _as_url(text: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(text.encode()).decode()}"


def _style(name: str) -> str:
    return page_path(name).read_text(encoding="utf-8")


def _as_element(value: Any) -> str:
    """JSON in which no text can end the element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: list[str], *, beside: str) -> str:
    """What such a page may do: its own scripts, by their digests, and what is `beside` it, if that is to be loaded.

    `data:` is where the modules are. Who could write an element into the page could write a script so; what keeps
    others from that is that their text never becomes an element (`dom.js`).
    """
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {beside}data: {digests}; style-src {beside}'unsafe-inline'; "
        f"img-src {beside}data: blob:; base-uri 'none'; form-action 'none'"
    )
