"""SIGTERM as Ctrl-C, for as long as a command has something to end in order."""

from __future__ import annotations

import signal
import threading

import pytest

from oaml_callbacks.interrupts import sigterm_interrupts


def test_sigterm_is_ctrl_c_inside_and_itself_afterwards() -> None:
    """The default handler ends a process at once, and leaves behind what was half written."""
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_somebody_else_stays() -> None:
    """Such as that of the script which calls us."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with sigterm_interrupts():
            signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_changes_nothing() -> None:
    """Python sets handlers from the main thread alone."""
    seen: list[object] = []

    def work() -> None:
        with sigterm_interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
