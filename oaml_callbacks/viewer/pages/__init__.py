"""The pages' files, as they are installed."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CHARTS = "plotly.min.js"


@lru_cache(maxsize=1)
def page_names() -> frozenset[str]:
    """The files that a browser may ask for."""
    return frozenset((*(path.name for path in FOLDER.iterdir() if path.suffix in KINDS), CHARTS))


def page_path(name: str) -> Path:
    """Where one of [`page_names`] lies."""
    return FOLDER / name


def charts_library() -> Path:
    """Plotly's own bundle, where it is installed; nothing of its Python side is imported.

    Raises:
        ImportError: It isn't installed.
    """
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise ImportError('The charts need plotly: pip install "oaml-callbacks[viewer]"')
    return Path(found.origin).parent / "package_data" / CHARTS
