"""SIGTERM as Ctrl-C, for as long as a command has something to end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from oaml_callbacks.interrupts import Interrupts, sigterm_interrupts


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


@pytest.fixture
def usual() -> Iterator[None]:
    """Ctrl-C as Python has it; a shell's background process, as the tests may be, ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.mark.usefixtures("usual")
@BOTH
def test_one_that_comes_early_waits(number: signal.Signals) -> None:
    """For the next place where it may be raised, and is raised once."""
    with Interrupts() as interrupts:
        with interrupts.here():
            pass
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt), interrupts.here():
            pytest.fail("it had come before")
        interrupts.check()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.usefixtures("usual")
@BOTH
def test_one_that_comes_where_it_may_is_raised_at_once(number: signal.Signals) -> None:
    """It ends the waiting."""
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.here():
            signal.raise_signal(number)
        signal.raise_signal(number)  # held back again
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


@pytest.mark.usefixtures("usual")
def test_none_is_lost_at_the_end() -> None:
    """And none takes the place of the error that has ended it."""
    with pytest.raises(KeyboardInterrupt), Interrupts():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), Interrupts():
        _interrupted_and_broken()


@pytest.mark.usefixtures("usual")
def test_handlers_of_somebody_else_stay() -> None:
    """A script may have its own for one of them."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGTERM)
            interrupts.check()
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted_and_broken() -> None:
    signal.raise_signal(signal.SIGINT)
    raise ZeroDivisionError
