"""SIGTERM as Ctrl-C, for as long as a command has something to end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from oaml_callbacks.interrupts import Interrupts


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
    """It ends the waiting, and what was begun is ended in order, which the default of SIGTERM doesn't allow."""
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


@pytest.mark.usefixtures("usual")
def test_another_thread_changes_nothing() -> None:
    """Python sets handlers from the main thread alone."""
    seen: list[object] = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.here():
            seen.extend((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler, signal.SIG_DFL]


def _interrupted_and_broken() -> None:
    signal.raise_signal(signal.SIGINT)
    raise ZeroDivisionError
