"""The viewer's server: its pages, the pieces that they read, and pictures. Read-only."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from .guard import Guard
from .pages import KINDS, charts_library, page_names, page_path
from .pictures import Picture, Pictures
from .pieces import Pieces
from .reading import Problem, short
from .runs import Runs


def make_app(folder: Path, *, hosts: Iterable[str], token: str | None = None, port: int = 8080) -> Starlette:
    """The application that serves the runs below `folder`.

    Args:
        folder: Where the runs lie.
        hosts: Names that it is known by; see [`Guard`].
        token: See [`Guard`].
        port: Where it will listen.
    """
    pieces, pictures = Pieces(Runs(folder)), Pictures()

    # Plain functions: they read files, so Starlette runs them in threads.
    def data(request: Request) -> Response:
        piece = pieces.get(request.path_params["piece"], request.query_params)
        return _cached(request, piece.body, piece.compressed, piece.etag, "application/json")

    def picture(request: Request) -> Response:
        return _picture(request, pictures.picture(*_picture_place(pieces, request)))

    def thumbnail(request: Request) -> Response:
        return _picture(request, pictures.thumbnail(*_picture_place(pieces, request)))

    def page(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in page_names():
            raise Problem(f"there is no page {short(name)}")
        body, compressed, etag = _page(name)
        return _cached(request, body, compressed, etag, KINDS[Path(name).suffix])

    def icon(request: Request) -> Response:
        return RedirectResponse("icon.svg", status_code=308)

    return Starlette(
        routes=[
            Route("/data/{piece}", data),
            Route("/picture", picture),
            Route("/thumbnail", thumbnail),
            Route("/favicon.ico", icon),
            Route("/", page),
            Route("/{name}", page),
        ],
        middleware=[Middleware(Guard, hosts=hosts, token=token, port=port)],
        exception_handlers={Problem: _tell, 404: _nothing_there, OSError: _unreadable},
    )


def _picture_place(pieces: Pieces, request: Request) -> tuple[Path, str]:
    return pieces.picture_folder(request.query_params.get("run", "")), request.query_params.get("path", "")


def _picture(request: Request, picture: Picture) -> Response:
    return _cached(request, picture.data, None, picture.etag, picture.kind, seconds=3600)


def _cached(
    request: Request, body: bytes, compressed: bytes | None, etag: str, kind: str, *, seconds: int = 0
) -> Response:
    """Send `body`, or say that the browser has it already."""
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={seconds}" if seconds else "private, no-cache",
        "Vary": "Accept-Encoding",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = compressed, "gzip"
    return Response(body, media_type=kind, headers=headers)


@cache  # there are as many as page_names() says
def _page(name: str) -> tuple[bytes, bytes | None, str]:
    path = charts_library() if name == "plotly.min.js" else page_path(name)
    body = path.read_bytes()
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return body, gzip.compress(body, compresslevel=5, mtime=0), etag


def _tell(request: Request, error: Any) -> Response:
    return JSONResponse({"error": str(error)}, 404)


def _nothing_there(request: Request, error: Any) -> Response:
    return JSONResponse({"error": "there is nothing at this address"}, 404)


def _unreadable(request: Request, error: Any) -> Response:
    return JSONResponse({"error": f"a file can't be read: {error.strerror or 'unknown error'}"}, 404)
