"""What tests in other processes ask of the server: a second port, which no fault concerns."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .runs import Answer
from .server import Loopback
from .wire import POLL_S


def state_of(server: Loopback) -> Answer:
    """All that a server was sent, as JSON can carry it; uploads are the sizes of their contents in bytes."""
    with server.lock:
        return {
            "url": server.url,
            "runs": {key: asdict(run) for key, run in server.runs.items()},
            "operations": list(server.operations),
            "requests": [asdict(request) for request in server.requests],
            "versions": [asdict(version) for version in server.versions],
            "uploads": {key: len(content) for key, content in server.uploads.items()},
        }


@contextmanager
def control(server: Loopback, *, port: int = 0) -> Iterator[str]:
    """Serve `GET /_state` and `POST /_fault`, `/_mend`, `/_delete_run`, `/_crash_run`, `/_refuses_rewind`.

    A POST's body is a JSON object: the keywords of the method of that name. Gives the address.
    """

    def refuses_rewind(*, refuses: bool) -> None:
        server.refuses_rewind = refuses

    actions: dict[str, Callable[..., Any]] = {
        "/_fault": server.fault,
        "/_mend": server.mend,
        "/_delete_run": server.delete_run,
        "/_crash_run": server.crash_run,
        "/_refuses_rewind": refuses_rewind,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(state_of(server), 200 if self.path == "/_state" else 404)

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
            try:
                actions[self.path](**given)
            except (KeyError, TypeError, ValueError) as error:
                self._send({"error": f"{type(error).__name__}: {error}"}, 400)
            else:
                self._send({}, 200)

        def _send(self, answer: Answer, status: int) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, args=(POLL_S,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
