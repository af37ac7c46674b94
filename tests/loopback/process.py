"""A server in a process of its own, for tests that kill processes which send to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from .faults import Kind
from .runs import Answer, Run
from .server import environment

_TIMEOUT_S = 20
_ROOT = Path(__file__).parents[2]


class OwnProcess:
    """A server elsewhere, spoken to through its control port.

    Attributes:
        url: Its address.
        control: The control port's address.
    """

    def __init__(self, url: str, control: str) -> None:
        self.url, self.control = url, control

    def environment(self) -> dict[str, str]:
        """Variables for a process that is to send its runs here."""
        return environment(self.url)

    def state(self) -> Answer:
        """All that it was sent; see `tests.loopback.control.state_of`."""
        return self._ask("_state")

    @property
    def runs(self) -> dict[str, Run]:
        """Its runs by their id, as they are now."""
        return {key: Run(**run) for key, run in self.state()["runs"].items()}

    def fault(
        self, kind: Kind, *, where: Collection[str] | str | None = None, after: int = 0, count: int | None = None
    ) -> None:
        """As `Loopback.fault`."""
        given = where if where is None or isinstance(where, str) else list(where)
        self._ask("_fault", kind=kind, where=given, after=after, count=count)

    def mend(self) -> None:
        """As `Loopback.mend`."""
        self._ask("_mend", {})

    def delete_run(self, run: str) -> None:
        """As `Loopback.delete_run`."""
        self._ask("_delete_run", run=run)

    def crash_run(self, run: str) -> None:
        """As `Loopback.crash_run`."""
        self._ask("_crash_run", run=run)

    def refuse_rewind(self, refuses: bool = True) -> None:
        """As setting `Loopback.refuses_rewind`."""
        self._ask("_refuses_rewind", refuses=refuses)

    def _ask(self, path: str, /, *nothing: dict[str, Any], **given: Any) -> Answer:
        body = json.dumps(given).encode() if given or nothing else None
        opener = build_opener(ProxyHandler({}))
        with opener.open(Request(f"{self.control}/{path}", body), timeout=_TIMEOUT_S) as response:
            answer: Answer = json.load(response)
        return answer


@contextmanager
def own_process(*, any_key: bool = False, tls: bool = False, port: int = 0) -> Iterator[OwnProcess]:
    """Start `python -m tests.loopback`; kill it at the end. Options as for `loopback`."""
    options = ["--port", str(port), *(["--any-key"] if any_key else []), *(["--tls"] if tls else [])]
    # Its standard input is ours: it ends with this process, however that ends.
    command = [sys.executable, "-m", "tests.loopback", "--until-input-ends", *options]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url, control = process.stdout.readline().split()
            yield OwnProcess(url, control)
        finally:
            process.kill()
