"""The viewer's server for tests, on a port of this machine's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from oaml_callbacks.viewer.guard import own_names
from oaml_callbacks.viewer.server import make_app


@contextmanager
def serving(folder: Path, *, token: str | None = None, hosts: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve the runs below `folder`; gives the address, which ends in a slash."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = make_app(folder, hosts={*own_names("localhost"), *hosts}, token=token, port=port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
