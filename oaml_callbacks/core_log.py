"""[`CoreLog`]: what W&B's service tells in a run's `debug-internal.log` of how its uploads go, read as it grows.

The SDK offers nothing that says whether rows arrive: `run.log` returns before they are sent, and a run that gave up
uploading looks like any other. The service writes one JSON object a line (seen with wandb 0.31).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .clean_text import cut

CORE_LOG = Path("logs", "debug-internal.log")
"""Where it lies in a run's folder."""

MAX_READ = 2**24
"""Bytes that are read at once; of more, the newest."""

MAX_REASON = 200

_DROPPED = ("EOF", "connection reset", "broken pipe", "connection broken", "malformed")
"""How a connection ends that is dropped before the answer: what was asked may have been done."""

Kind = Literal["sent", "retrying", "gave_up", "refused", "unwritten"]


@dataclass(frozen=True)
class UploadEvent:
    """One thing that the service told.

    Args:
        kind: `sent`: rows, or a sign of life, reached the server. `retrying`: a request failed, and will be made
            again. `gave_up`: rows won't be sent any more. `refused`: something else won't be, such as an artifact.
            `unwritten`: a row could not be written to disk.
        reason: What went wrong.
    """

    kind: Kind
    reason: str = ""


class CoreLog:
    """Reads what is new in the log of one run.

    Args:
        path: The log; it need not be there yet.

    Attributes:
        arrived: So many rows of this run's file the server has confirmed.
        connected: Whether the server has answered at all.
        has_hole: Whether rows were answered by somebody who isn't W&B's server.
        closed: Whether the service has closed the run's file, a moment after `run.finish` has returned.
    """

    def __init__(self, path: Path) -> None:
        self.arrived = 0
        self.connected = self.closed = self.has_hole = False
        self._path = path
        self._offset = 0
        self._first_line: int | None = None
        self._sending = self._before = self._unanswered = 0

    @property
    def is_sure(self) -> bool:
        """Whether the server has the rows that have `arrived`, and no more."""
        return not self.has_hole and self._unanswered <= self.arrived

    def read(self) -> list[UploadEvent]:
        """What the service told since the last call; nothing if the log can't be read."""
        try:
            with open(self._path, "rb") as log:
                end = log.seek(0, 2)
                start = log.seek(max(self._offset, end - MAX_READ))
                data = log.read()
        except OSError:
            return []
        complete = data.rfind(b"\n") + 1  # a line may be half written
        self._offset = start + complete
        lines = (_parsed(line) for line in data[:complete].splitlines())
        events = [self._event(told) for told in lines if told is not None]
        return [event for event in events if event is not None]

    def _event(self, told: dict[str, Any]) -> UploadEvent | None:
        message = told.get("msg")
        self.closed = self.closed or message == "stream: all finished"
        if message == "filestream: sending request":
            offset, count = told.get("history_offset"), told.get("history_lines")
            self._sending = 0
            if isinstance(offset, int) and isinstance(count, int):
                # The lines of a run that is gone on with don't begin at 0.
                self._first_line = offset if self._first_line is None else self._first_line
                self._sending = offset + count - self._first_line
            return None
        if message == "filestream: request sent" and str(told.get("status")).startswith("2"):
            self._before, self.connected = self.arrived, True
            if not self.has_hole:
                self.arrived = max(self.arrived, self._sending)
            return UploadEvent("sent")
        if str(message).startswith("filestream: json decode error") and self._sending:
            # Somebody else has answered: W&B's service takes the rows for sent, and never sends them again.
            self.arrived, self.has_hole = self._before, True
        if message == "api: retrying error" and any(word in str(told.get("error")) for word in _DROPPED):
            self._unanswered = max(self._unanswered, self._sending)
        return _trouble(told)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _trouble(told: dict[str, Any]) -> UploadEvent | None:
    message, error = str(told.get("msg", "")), str(told.get("error") or told.get("status") or "")
    if message == "filestream: request sent":
        return UploadEvent("retrying", _short(error))
    if message.startswith("api: retrying"):
        return UploadEvent("retrying", _short(f"HTTP {error}" if error.isdigit() else error))
    if not str(told.get("level", "")).startswith("ERROR"):
        return None
    if message.startswith("writer: failed to save record"):
        return UploadEvent("unwritten", _short(message))
    # Of its own telemetry, which is no part of the run, and of numbers about the machine.
    if "analytics" in message or message.startswith(("monitor", "otel")):
        return None
    kind: Kind = "gave_up" if message.startswith("filestream") else "refused"
    return UploadEvent(kind, _short(f"{message}: {error}" if error else message))


def _short(reason: str) -> str:
    # Of `… giving up after 1 attempt(s): context canceled\nwhile retrying: HTTP 500` the last says why.
    return cut(reason.rpartition("while retrying: ")[2].strip(), MAX_REASON)
