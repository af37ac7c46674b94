"""One file's download, from a server that does what the loopback server doesn't."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from oaml_callbacks.adapters.download import download
from oaml_callbacks.adapters.stored import ServerError, StoredFile

pytestmark = pytest.mark.newest_only


@pytest.fixture
def trickling() -> Iterator[str]:
    """The address of a server that sends a byte every 0.1 s: each comes long before silence would be noticed."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(2**16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ended.wait(0.1):
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        ended.set()
        thread.join(10)


def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(trickling: str, tmp_path: Path) -> None:
    came: list[int] = []
    file = StoredFile("README.md", 1000, "", "md5")
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"did not come in time: \d+ of 1,000 bytes"):
        download(file, trickling, tmp_path / "README.md", deadline=begun + 1, headers={}, told=came.append)
    assert time.monotonic() - begun < 5
    assert set(came) == {1}
