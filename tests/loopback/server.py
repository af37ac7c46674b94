"""The server itself: HTTP in, the runs and artifacts it was sent out."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote

from .artifact_downloads import PREFIX as DOWNLOADS
from .artifact_downloads import ArtifactDownloads
from .artifacts import Artifacts, Version
from .certificate import tls_context
from .faults import Fault, Faults, Kind
from .graphql import answer
from .runs import ENTITY, PROJECT, Answer, Refused, Runs
from .sweeps import Sweeps
from .views import Views
from .wire import Server, bound, bound_again

API_KEY = "a" * 40


@dataclass
class Request:
    """A request that arrived.

    Attributes:
        kind: ``graphql``, ``file_stream`` or ``storage``; else its path.
        operation: The GraphQL operation's name, or the kind again.
        status: What it was answered; ``None`` where it got no answer, or none yet.
        at: When it arrived, in seconds since the epoch.
    """

    kind: str
    operation: str
    status: int | None
    at: float


class Loopback:
    """A W&B server on the loopback device: what it was sent, and what is wrong with it.

    Attributes:
        url: Its address.
        runs: Runs by their id.
        requests: Every request, in order.
        operations: Names of the GraphQL operations, in order.
        downloads: Artifacts on their way back.
        sweeps: What agents run.
        views: Saved reports and workspaces.
        lock: Held while a request is answered.
    """

    def __init__(self, *, any_key: bool = False, tls: bool = False, port: int = 0) -> None:
        self.runs = Runs()
        self.requests: list[Request] = []
        self.operations: list[str] = []
        self.lock = threading.RLock()
        self.faults = Faults()
        self.any_key = any_key
        self._artifacts = Artifacts()
        self.downloads = ArtifactDownloads(self._artifacts, self.runs)
        self.sweeps = Sweeps()
        self.views = Views(self.runs)
        self._broken = False
        self._tls = tls_context() if tls else None
        self._port = bound(port)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._port.getsockname()[1]}"
        self._artifacts.url = self.url
        self._server: Server | None = None
        self._switch = threading.RLock()

    # What it was sent ----------------------------------------------------------------------------------------------

    @property
    def history(self) -> list[Any]:
        """Rows of all runs."""
        return [row for run in self.runs.values() for row in run.history]

    @property
    def versions(self) -> list[Version]:
        """Versions of artifacts, deleted ones too."""
        return self._artifacts.versions

    @property
    def uploads(self) -> dict[str, bytes]:
        """Uploaded bytes by their key."""
        return self._artifacts.uploads

    def of(self, name: str) -> list[Version]:
        """The versions of an artifact that are there."""
        return self._artifacts.of(name)

    def content(self, version: Version, path: str) -> bytes:
        """A file of a version."""
        return self._artifacts.content(version, path)

    @property
    def registered(self) -> dict[str, list[Version]]:
        """The versions that were linked to each registry's collection."""
        return self._artifacts.links.registered

    def environment(self) -> dict[str, str]:
        """Variables for a process that is to send its runs here."""
        return environment(self.url)

    # What is done to it --------------------------------------------------------------------------------------------

    def fault(
        self, kind: Kind, *, where: Collection[str] | str | None = None, after: int = 0, count: int | None = None
    ) -> Fault:
        """From now on something is wrong; see `Fault`. Several at once: the first that hits a request.

        Raises:
            ValueError: The kind isn't known, or `count` was given for ``refuse``.
        """
        fault = self.faults.add(kind, where=where, after=after, count=count)
        if kind == "refuse" and not after:
            self.refuse(fault)
        return fault

    def mend(self) -> None:
        """Nothing is wrong any more. Requests that hang lose their connection; the port is the same."""
        self._broken = False
        self.faults.clear()
        self.listen()

    @property
    def broken(self) -> bool:
        """While true, every request is answered with a server's error."""
        return self._broken

    @broken.setter
    def broken(self, broken: bool) -> None:
        self.mend()
        if broken:
            self.fault("500")
        self._broken = broken

    @property
    def refuses_rewind(self) -> bool:
        """While true, a rewind is answered as by a server that doesn't know of it."""
        return self.runs.refuses_rewind

    @refuses_rewind.setter
    def refuses_rewind(self, refuses: bool) -> None:
        self.runs.refuses_rewind = refuses

    def delete_run(self, run: str) -> None:
        """Delete a run, as somebody does in W&B's pages: its id stays taken."""
        with self.lock:
            self.runs[run].deleted = True

    def crash_run(self, run: str) -> None:
        """Call a run crashed, as W&B does when it was not heard of for five minutes."""
        with self.lock:
            self.runs[run].state = "crashed"

    # Its socket ----------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Accept connections. Does nothing if it does."""
        with self._switch:
            if self._server is None:
                self._server = Server(self, self._port, self._tls)

    def stop_listening(self) -> None:
        """Refuse connections and drop those that there are. Does nothing if it doesn't listen."""
        with self._switch:
            server, self._server = self._server, None
            if server is not None:
                address = self._port.getsockname()
                server.stop()
                # Bound without listening: connections are refused, and nobody else gets the port.
                self._port = bound_again(address[1])

    def refuse(self, fault: Fault) -> None:
        """Stop listening, unless the fault was mended meanwhile."""
        with self._switch:
            if not fault.over.is_set():
                self.stop_listening()

    def close(self) -> None:
        """Stop for good."""
        self.faults.clear()
        with self._switch:
            server, self._server = self._server, None
            if server is not None:
                server.stop()  # its socket is the port
            else:
                self._port.close()

    # Requests ------------------------------------------------------------------------------------------------------

    def arrived(self, kind: str, operation: str) -> Request:
        """Note a request."""
        request = Request(kind, operation, None, time.time())
        with self.lock:
            self.requests.append(request)
            if kind == "graphql":
                self.operations.append(operation)
        return request

    def answer(self, kind: str, operation: str, path: str, headers: Message, body: bytes) -> Answer | bytes:
        """What a request without a fault is answered: an object, or a file's bytes.

        Raises:
            Refused: The answer is an error.
        """
        if path.startswith(DOWNLOADS):
            return self.downloads.content(path)
        if kind == "storage":
            self.uploads[unquote(path).removeprefix("/storage/")] = body
            return {}
        if not self.any_key and headers["Authorization"] != _authorization(API_KEY):
            raise Refused("invalid API key", status=401)
        if kind == "graphql":
            given = json.loads(body).get("variables") or {}
            return {
                "data": answer(
                    operation,
                    given,
                    runs=self.runs,
                    artifacts=self._artifacts,
                    downloads=self.downloads,
                    sweeps=self.sweeps,
                    views=self.views,
                )
            }
        if kind == "file_stream":
            run = self.runs.at(*[unquote(part) for part in path.split("/")[2:5]])
            if run is None:
                raise Refused("run not found", status=404)
            self.runs.stream(run, json.loads(body), shared="X-WANDB-USE-ASYNC-FILESTREAM" in headers)
            return {"stopped": True} if run.stopped else {}
        raise Refused("not found", status=404)


def environment(url: str) -> dict[str, str]:
    """Variables for a process that is to send its runs to a server."""
    return {
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": API_KEY,
        "WANDB_ENTITY": ENTITY,
        "WANDB_PROJECT": PROJECT,
        "WANDB_MODE": "online",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@contextmanager
def loopback(*, any_key: bool = False, tls: bool = False, port: int = 0) -> Iterator[Loopback]:
    """Start a server in this process; stop it at the end.

    Args:
        any_key: Take every API key, and none; otherwise any but `API_KEY` is answered 401.
        tls: Speak https, with a certificate that nobody knows (needs the program `openssl`).
        port: Where it listens; 0 is a free port.
    """
    server = Loopback(any_key=any_key, tls=tls, port=port)
    server.listen()
    try:
        yield server
    finally:
        server.close()


def _authorization(key: str) -> str:
    return f"Basic {base64.b64encode(f'api:{key}'.encode()).decode()}"
