"""[`Guard`]: who may ask, and what every answer says of itself.

Three things are kept out: other machines (the server listens on the loopback alone, or wants a token), other sites in
the same browser (a page whose name was made to lead here, "DNS rebinding", has another `Host`), and scripts in what is
shown (the Content-Security-Policy allows the pages' own files alone).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# 'unsafe-inline' is for styles alone: the charts' library sets some on its elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


class Guard:
    """Middleware that stands before everything else.

    Args:
        app: What answers.
        hosts: Names that a `Host` header may have. With a token, any address in numbers may be there too: a name is
            what rebinding needs.
        token: What the first link must have as `?token=`; the answer sets a cookie, and leads to the same place
            without it. `None`: nothing is asked for.
        port: Where the server listens. A cookie's name has it: browsers send cookies to all ports of a host.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str | None, port: int) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._token = token
        self._cookie = f"oaml_viewer_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = self._refuse(scope)
        await (refused or self._app)(scope, receive, _with_headers(send))

    def _refuse(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return _refusal(405, "Nothing can be changed here: GET and HEAD alone.", {"Allow": "GET, HEAD"})
        if not self._knows(headers.get("host", "")):
            return _refusal(421, "This server isn't known by that name. --allow-host NAME lets it be.")
        return None if self._token is None else self._ask_token(scope, headers)

    def _knows(self, header: str) -> bool:
        host = host_of(header)
        if host in self._hosts:
            return True
        return self._token is not None and _is_address(host)

    def _ask_token(self, scope: Scope, headers: Headers) -> Response | None:
        assert self._token is not None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if given and _equal(given[-1], self._token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            # A path of two slashes would lead to another host.
            path = "/" + scope["path"].lstrip("/\\")
            answer = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
            # Lax, so that a link on W&B's page, which has no token, opens here too.
            answer.set_cookie(self._cookie, _proof(self._token), httponly=True, samesite="lax", path="/")
            return answer
        cookie = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if _equal(cookie, _proof(self._token)):
            return None
        return _refusal(403, "A token is needed: open the link that `oaml view` has printed.")


def host_of(header: str) -> str:
    """The host of a `Host` header, without its port and in lower case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def own_names(host: str) -> set[str]:
    """The names by which a server that listens on `host` is known."""
    names = {*LOOPBACK, host}
    if host not in LOOPBACK:
        names |= {socket.gethostname(), socket.getfqdn()}
    return names


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _proof(token: str) -> str:
    """What the cookie holds: who reads it doesn't know the token."""
    return hmac.new(token.encode(), b"oaml viewer cookie", hashlib.sha256).hexdigest()


def _refusal(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": error}, status, headers=headers)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sent
