"""Processes of their own for functions of the tests, forked from one that has imported everything already.

Importing torch, transformers and wandb takes ten seconds, forking a tenth of one. No thread runs in the process that
is forked: it reads lines, and does nothing else.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_WAIT_S = 120.0


class Job:
    """A function that runs in a process of its own.

    Attributes:
        folder: Where what it prints and what it returns is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def pid(self) -> int:
        """Its process's id; waits until it has one."""
        return int(_read(self.folder / "pid"))

    @property
    def printed(self) -> str:
        """What it has written to standard output and standard error."""
        path = self.folder / "printed.txt"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait(self, seconds: float = _WAIT_S) -> int:
        """Wait for its end; gives its exit status, negative for a signal."""
        return int(_read(self.folder / "status", seconds))

    def result(self, seconds: float = _WAIT_S) -> Any:
        """Wait for its end, and give what the function returned.

        Raises:
            AssertionError: It failed; the message is what it printed.
        """
        status = self.wait(seconds)
        assert status == 0, f"exit status {status}:\n{self.printed}"
        return json.loads((self.folder / "result.json").read_text(encoding="utf-8"))

    def kill(self, *, service: bool = True) -> None:
        """End it as SIGKILL does; W&B's service, its child, too, as where a machine goes down."""
        pid = self.pid
        for each in [pid, *(_children(pid) if service else ())]:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)


class Warm:
    """The process that has imported everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._count = 0

    def start(
        self,
        function: str,
        folder: Path,
        /,
        *,
        environment: Mapping[str, str] | None = None,
        at: Path | None = None,
        **arguments: Any,
    ) -> Job:
        """Start a function in a process of its own.

        Args:
            function: `module:name`. What it returns must be JSON.
            folder: The function's first argument, and where the process works.
            environment: Variables; none of W&B's is set but these.
            at: Where it works instead.
            **arguments: Further ones; JSON.
        """
        self._count += 1
        place = folder / f"job-{self._count}"
        place.mkdir(parents=True)
        given = {
            "function": function,
            "arguments": {"folder": str(folder), **arguments},
            "environment": dict(environment or {}),
            "at": str(at or folder),
            "folder": str(place),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        return Job(place)


@contextmanager
def warm(*modules: str) -> Iterator[Warm]:
    """Start the process, with these modules imported; end it at the end."""
    command = [sys.executable, "-m", "tests.warm", *modules]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield Warm(process)
        finally:
            process.kill()


def _read(path: Path, seconds: float = _WAIT_S) -> str:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path} after {seconds} s"
        time.sleep(0.02)
    return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def _children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == pid:
                found.append(int(status.parent.name))
    return found


def _serve(modules: list[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children that wait
    while line := sys.stdin.readline():
        if os.fork() == 0:
            _supervise(json.loads(line))


def _supervise(given: dict[str, Any]) -> None:
    """Start the process, wait for it, and write down how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder = Path(given["folder"])
    pid = os.fork()
    if pid == 0:
        _run(given, folder)
    _write(folder / "pid", str(pid))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _write(folder / "status", str(status))
    os._exit(0)


def _run(given: dict[str, Any], folder: Path) -> None:
    printed = os.open(folder / "printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.chdir(given["at"])
    for name in [name for name in os.environ if name.startswith(("WANDB_", "OAML_"))]:
        del os.environ[name]
    os.environ.update(given["environment"])
    if "wandb" in sys.modules:  # it makes this folder when it is imported, and whoever ends first deletes it
        importlib.import_module("wandb.sdk.data_types._private").MEDIA_TMP.__init__("wandb-media")
    module, _, name = given["function"].partition(":")
    status = 0
    try:
        result = getattr(importlib.import_module(module), name)(**given["arguments"])
        _write(folder / "result.json", json.dumps(result))
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - as Python itself does it: told, and then the process ends
        traceback.print_exc()
        status = 1
    # As at a process's own end: what wandb and the package have registered.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1:])
