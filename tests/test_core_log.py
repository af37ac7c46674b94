"""What is made of the log of W&B's service, line by line, as it grows."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from oaml_callbacks import core_log
from oaml_callbacks.core_log import CoreLog, UploadEvent

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone

GAVE_UP = (
    'filestream: error making HTTP request: context canceled\nwhile retrying: Post "http://127.0.0.1:1/file_stream": '
    "dial tcp 127.0.0.1:1: connect: connection refused"
)


def line(message: str, *, level: str = "INFO", **more: Any) -> str:
    """A line as the service writes it."""
    return json.dumps({"time": "2026-11-26T00:19:59.03Z", "level": level, "msg": message, **more}) + "\n"


def sending(offset: int, count: int) -> str:
    return line("filestream: sending request", total_files=1, history_offset=offset, history_lines=count)


def retrying(error: str) -> str:
    return line("api: retrying error", error=error)


SENT = line("filestream: request sent", status="200 OK")
ALIVE = line("filestream: sending request", total_files=0, uploaded_len=1)
NO_JSON = line("filestream: json decode error: invalid character 'D' looking for beginning of value", level="ERROR")


class Growing:
    """A log that lines are appended to, and its reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = CoreLog(path)

    def add(self, *texts: str) -> list[UploadEvent]:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(texts))
        return self.log.read()


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path / "debug-internal.log")


# The file ------------------------------------------------------------------------------------------------------------


def test_a_log_that_is_not_there_yet(tmp_path: Path, growing: Growing) -> None:
    """Nothing is known, until there is one; a folder in its place is no error either."""
    assert growing.log.read() == []
    assert not growing.log.connected
    assert growing.add(SENT) == [UploadEvent("sent")]
    assert CoreLog(tmp_path).read() == []


def test_each_line_is_read_once_when_it_is_whole(growing: Growing) -> None:
    """A line that is half written is waited for, whatever byte it ends at."""
    text = sending(0, 3) + SENT
    seen: list[UploadEvent] = []
    for letter in text:
        seen += growing.add(letter)
        assert growing.log.connected == bool(seen)
    assert seen == [UploadEvent("sent")]
    assert growing.log.arrived == 3
    assert growing.log.read() == []


def test_lines_that_are_none_of_its(growing: Growing) -> None:
    """No JSON, other JSON, bytes that are no text, empty lines: they are passed over, and what follows is read."""
    growing.path.write_bytes(
        b'\xff\xfe\x00\n\n{"msg": \n[1]\nnull\n3\n"text"\n{}\n{"msg": null}\n{"msg": 3, "level": 4}\n'
    )
    assert growing.log.read() == []
    assert growing.add(line("filestream: sending request", history_offset="0", history_lines=None), SENT) == [
        UploadEvent("sent")
    ]
    assert growing.log.arrived == 0


def test_of_a_log_that_is_too_long_the_newest_is_read(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no line twice afterwards."""
    monkeypatch.setattr(core_log, "MAX_READ", 1000)
    assert len(growing.add(SENT * 100)) == 1000 // len(SENT)
    assert growing.add(SENT) == [UploadEvent("sent")]


def test_lines_that_are_written_while_it_reads_are_read_once(growing: Growing) -> None:
    """The service doesn't wait for its reader."""
    count = 20_000

    def write() -> None:
        with growing.path.open("w", encoding="utf-8", buffering=1000) as file:
            for _ in range(count):
                file.write(SENT)

    writer, seen = threading.Thread(target=write), 0
    writer.start()
    while writer.is_alive():
        seen += len(growing.log.read())
    assert seen + len(growing.log.read()) == count


# What has arrived ----------------------------------------------------------------------------------------------------


def test_rows_have_arrived_when_the_server_has_confirmed_them(growing: Growing) -> None:
    """Not when they are sent; a sign of life confirms none."""
    growing.add(sending(0, 3))
    assert (growing.log.arrived, growing.log.connected, growing.log.is_sure) == (0, False, True)
    growing.add(SENT, ALIVE, SENT, sending(3, 2))
    assert (growing.log.arrived, growing.log.connected, growing.log.is_sure) == (3, True, True)
    growing.add(SENT)
    assert growing.log.arrived == 5


def test_of_a_run_that_is_gone_on_with_the_rows_of_its_own_file_count(growing: Growing) -> None:
    """The server's lines go on where the earlier file ended."""
    growing.add(sending(40, 3), SENT, sending(43, 1), SENT)
    assert growing.log.arrived == 4


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "<nil>"])
def test_a_refused_request_brings_nothing(growing: Growing, status: str) -> None:
    """Rows that were answered with an error aren't on the server; that nothing else is there, is known too."""
    events = growing.add(sending(0, 3), line("filestream: request sent", status=status))
    assert events == [UploadEvent("retrying", status)]
    assert (growing.log.arrived, growing.log.connected, growing.log.is_sure) == (0, False, True)


@pytest.mark.parametrize(
    ("error", "sure"),
    [
        ('Post "http://h/file_stream": EOF', False),
        ("read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer", False),
        ('net/http: HTTP/1.x transport connection broken: malformed MIME header: missing colon: "Dat"', False),
        ("write: broken pipe", False),
        ("dial tcp 127.0.0.1:38639: connect: connection refused", True),
    ],
)
def test_an_answer_that_never_came_leaves_it_open(growing: Growing, error: str, sure: bool) -> None:
    """The rows may be there, until a later answer confirms them; a server that can't be reached has taken none."""
    growing.add(sending(0, 2), SENT, sending(2, 3))
    (event,) = growing.add(retrying(error))
    assert event.kind == "retrying"
    assert (growing.log.arrived, growing.log.is_sure) == (2, sure)
    growing.add(SENT)
    assert (growing.log.arrived, growing.log.is_sure) == (5, True)


def test_a_dropped_request_about_something_else_leaves_nothing_open(growing: Growing) -> None:
    """Where every row was confirmed, or none has been sent."""
    growing.add(retrying("EOF"))
    assert growing.log.is_sure
    growing.add(sending(0, 2), SENT, retrying("EOF"), ALIVE, retrying("EOF"))
    assert growing.log.is_sure


def test_an_answer_of_somebody_else_makes_a_hole(growing: Growing) -> None:
    """W&B's service takes the rows for sent; they are not, nor is it known where later ones went."""
    growing.add(sending(0, 2), SENT, sending(2, 3), SENT)
    assert growing.log.arrived == 5
    (event,) = growing.add(NO_JSON)
    assert event.kind == "gave_up"
    assert (growing.log.arrived, growing.log.has_hole, growing.log.is_sure) == (2, True, False)
    growing.add(sending(5, 3), SENT)
    assert (growing.log.arrived, growing.log.has_hole, growing.log.is_sure) == (2, True, False)


def test_an_answer_of_somebody_else_to_a_sign_of_life_makes_none(growing: Growing) -> None:
    """There were no rows in it."""
    growing.add(sending(0, 2), SENT, ALIVE, SENT, NO_JSON)
    assert (growing.log.arrived, growing.log.has_hole, growing.log.is_sure) == (2, False, True)


def test_the_file_is_closed(growing: Growing) -> None:
    """The service says so, at its very end."""
    growing.add(line("stream: finishing up"), line("writer: Close: closed"))
    assert not growing.log.closed
    growing.add(line("stream: all finished"))
    assert growing.log.closed


# What is told of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "event"),
    [
        (SENT, UploadEvent("sent")),
        (retrying("no route to host"), UploadEvent("retrying", "no route to host")),
        (line("api: retrying HTTP error", status=429), UploadEvent("retrying", "HTTP 429")),
        (
            line(f"filestream: fatal error: {GAVE_UP}", level="ERROR+4"),
            UploadEvent("gave_up", GAVE_UP.split("while retrying: ")[1]),
        ),
        (
            line("sender: failed", level="ERROR", error="no such run"),
            UploadEvent("refused", "sender: failed: no such run"),
        ),
        (line("writer: failed to save record: no space left on device", level="ERROR"), "unwritten"),
        (line("monitor: error sampling metrics", level="ERROR"), None),
        (line("otel: exporter failed", level="ERROR"), None),
        (line("analytics: failed to send", level="ERROR"), None),
        (line("api: something new", level="WARN"), None),
        (line("stream: started"), None),
    ],
)
def test_a_line_is_told_as(growing: Growing, told: str, event: UploadEvent | str | None) -> None:
    """Only what concerns the run's upload, with the innermost reason."""
    events = growing.add(told)
    if isinstance(event, str):
        assert [one.kind for one in events] == [event]
    else:
        assert events == ([event] if event is not None else [])


def test_a_reason_is_short(growing: Growing) -> None:
    """An answer may be a whole page."""
    (event,) = growing.add(line("sender: " + "x" * 10_000, level="ERROR"))
    assert len(event.reason) < core_log.MAX_REASON + 50  # and a note of what was left out
