"""HTTP: requests in, answers or faults out."""

from __future__ import annotations

import gzip
import io
import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .graphql import operation_of
from .runs import Refused

if TYPE_CHECKING:
    from .server import Loopback

POLL_S = 0.02  # how soon a server notices that it is to stop


def bound(port: int) -> socket.socket:
    """A socket that has a port, and refuses connections until it listens."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


def bound_again(port: int, seconds: float = 5.0) -> socket.socket:
    """The same on a port that was let go a moment ago: a connection from here may have it as its own for a while."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return bound(port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        state, body = self.server.state, self._body()
        kind = _kind(self.path)
        operation = operation_of(body) if kind == "graphql" else kind
        request = state.arrived(kind, operation)
        fault = state.faults.of((kind, operation))
        if fault is not None and fault.kind in ("hang", "refuse"):
            self.close_connection = True
            if fault.kind == "refuse":
                # From a thread of its own: this one would wait for itself.
                threading.Thread(target=state.refuse, args=(fault,), daemon=True).start()
            else:
                fault.over.wait()
            return
        if fault is not None and fault.kind.isdigit():
            request.status = int(fault.kind)
            self._send(error_body(f"fault {fault.kind}"), request.status)
            return
        if fault is not None and fault.kind == "garbage":
            request.status = 200
            self._send(b"<html>not W&B</html>", 200)
            return
        with state.lock:
            try:
                answer, request.status = state.answer(kind, operation, self.path, self.headers, body), 200
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            except (Refused, ValueError) as error:
                request.status = error.status if isinstance(error, Refused) else 400
                data = error_body(str(error))
        self._send(data, request.status, half=fault is not None)

    do_PUT = do_GET = do_POST

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        return gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body

    def _send(self, data: bytes, status: int, *, half: bool = False) -> None:
        connection, self.wfile = self.wfile, io.BytesIO()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        answer, self.wfile = self.wfile.getvalue() + data, connection
        self.wfile.write(answer[: len(answer) // 2] if half else answer)
        self.close_connection = self.close_connection or half

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, state: Loopback, bound: socket.socket, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.state, self._tls = bound, state, tls
        self._open: set[socket.socket] = set()
        self.server_activate()
        threading.Thread(target=self.serve_forever, args=(POLL_S,), daemon=True).start()

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted, address = super().get_request()
        if self._tls is not None:
            # The handshake is left to the connection's own thread: a slow client keeps nobody waiting.
            accepted = self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._open.add(accepted)
        return accepted, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # W&B's service ends by dropping its connections

    def stop(self) -> None:
        """Close the socket and every connection."""
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _kind(path: str) -> str:
    if path.endswith("/file_stream"):
        return "file_stream"
    return next((kind for kind in ("graphql", "storage") if path.startswith(f"/{kind}")), path)


def error_body(message: str) -> bytes:
    return json.dumps({"errors": [{"message": message}], "data": None}).encode()
