"""[`Preemption`]: SIGTERM, told to whoever tracks a training, without getting in the way of anybody else.

Spot machines, Slurm, Kubernetes and `kill` say with SIGTERM that the process will end soon. What was there before,
such as the Trainer's own checkpoint (`enable_jit_checkpoint=True`), goes on untouched.
"""

from __future__ import annotations

import _thread
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""How long Ctrl-C may have to wait, while the last seconds are used."""

GRACE_SECONDS = 5.0
"""How long a process lives on that SIGTERM would have killed at once; Slurm and Kubernetes send SIGKILL after 30 s."""


class Preemption:
    """Watches for SIGTERM while a training goes on.

    The callables run in a thread of their own: a signal interrupts the main thread anywhere, also inside W&B or
    `logging` with a lock held. So the handler itself calls neither, and waits for nothing without a limit.

    What was there before goes on as it was:

    - A Python handler is called at each SIGTERM, at once, with the arguments of ours.
    - Where there was none, so that SIGTERM kills, the process still dies of it (exit status -15), at most `grace`
      seconds later. Further SIGTERMs within these seconds change nothing: a launcher often passes on a second one.
    - Where SIGTERM is ignored, or handled by C code, nothing is installed. A process that ignores it goes on training,
      so a run marked as preempted would be a lie; and a handler of C's can't be called from here.
    - A handler that is installed over ours and calls it decides alone whether the process lives. In our place it would
      have found nothing to call, so ours doesn't end the process then.
    - A forked child, such as a DataLoader's worker, does what it would have done without us.

    Like every handler in Python, ours runs when the main thread comes back to Python code: a training that hangs in C
    code outlives SIGTERM, and needs the SIGKILL that follows it.

    Args:
        on_signal: Called once, at the first SIGTERM.
        before_death: Called after it in the same thread, if the process is about to die of the signal. It is given the
            seconds that are left; the process dies when it returns, or when they are over.
        grace: Seconds for both, 0 or more.
    """

    signalled: bool
    """Whether SIGTERM arrived while this was watching."""

    def __init__(
        self,
        on_signal: Callable[[], None],
        *,
        before_death: Callable[[float], None] | None = None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self.signalled = False
        self.grace = grace
        self._on_signal = on_signal
        self._before_death = before_death
        self._told = threading.Lock()  # taken once, and never given back
        self._pid = 0

    def watch(self) -> None:
        """Watch from now on. Does nothing outside the main thread, where Python lets nobody install a handler.

        Safe to call again, and worth it where somebody may have installed a handler since: both are called then.
        """
        if threading.current_thread() is not threading.main_thread():
            logger.debug("SIGTERM is not watched for: this is not the main thread.")
            return
        previous = signal.getsignal(signal.SIGTERM)
        if previous == signal.SIG_IGN or previous is None or (previous == signal.SIG_DFL and _handled_by_c()):
            what = "ignored" if previous == signal.SIG_IGN else "handled by C code"
            logger.debug("SIGTERM is not watched for: it is %s.", what)
            return
        self._pid = os.getpid()
        if self not in _watchers:
            _watchers.append(self)
        if not isinstance(previous, _Handler):
            signal.signal(signal.SIGTERM, _Handler(previous if callable(previous) else None))

    def release(self) -> None:
        """Stop watching, and put back what was there before, if nobody else watches.

        Where another handler was installed since, or outside the main thread, ours stays and only passes signals on.
        """
        if self in _watchers:
            _watchers.remove(self)  # first: a signal may arrive right here
        if not _watchers:
            _put_back()

    def watches_here(self) -> bool:
        """Whether it was this process that called [`watch`], and not the one that it was forked from."""
        return self._pid == os.getpid()

    def tell(self, deadline: float | None) -> threading.Lock | None:
        """Call what is to be called now, in a thread. For the handler.

        Args:
            deadline: When the process will die, by `time.monotonic()`; `None` if it won't.

        Returns:
            A lock that is free as soon as it's done; `None` where there is nothing to wait for.
        """
        tells = self._told.acquire(blocking=False)
        self.signalled = True
        if not tells and deadline is None:
            return None
        done = threading.Lock()
        done.acquire()
        try:
            # Not `threading.Thread`, whose start waits for the thread: that may need a lock of `threading` which the
            # interrupted code holds.
            _thread.start_new_thread(self._call, (tells, deadline, done))
        except RuntimeError:  # no thread to be had, or the interpreter is shutting down
            return None
        return done

    def _call(self, tells: bool, deadline: float | None, done: threading.Lock) -> None:
        try:
            if tells:
                _call_safely(self._on_signal)
            if deadline is not None and self._before_death is not None:
                _call_safely(self._before_death, max(0.0, deadline - time.monotonic()))
        finally:
            done.release()


_watchers: list[Preemption] = []


class _Handler:
    """Our handler of SIGTERM, and what was there before it.

    A new one is made each time one is installed. Somebody's handler that was installed in between may call the older
    one, which then goes on to what was there before that; were it the same, the two would call each other for good.
    """

    def __init__(self, previous: Callable[[int, FrameType | None], Any] | None) -> None:
        self.previous = previous
        self._dying = 0  # the process that waits in here, and dies then

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        chained = signal.getsignal(signum) is not self
        if self.previous is not None:
            _tell_all(dying=False)
            self.previous(signum, frame)
        elif chained:
            _tell_all(dying=False)  # a later handler called ours, and decides
        elif self._dying != os.getpid():  # or else another call of this waits, further up this very stack
            self._dying = os.getpid()
            try:
                for done, deadline in _tell_all(dying=True):
                    _wait(done, deadline)
            finally:  # Ctrl-C ends the wait
                signal.signal(signum, signal.SIG_DFL)
                os.kill(os.getpid(), signum)


def _tell_all(*, dying: bool) -> list[tuple[threading.Lock, float]]:
    """Tell all who watch in this process. Returns what to wait for, and until when, by `time.monotonic()`."""
    begun, told = time.monotonic(), []
    for watcher in list(_watchers):
        deadline = begun + watcher.grace
        if watcher.watches_here() and (done := watcher.tell(deadline if dying else None)):
            told.append((done, deadline))
    return told


def _wait(done: threading.Lock, deadline: float) -> None:
    """Wait in short stretches: another thread may have been given Ctrl-C, which then interrupts no waiting of this."""
    while (left := deadline - time.monotonic()) > 0 and not done.acquire(timeout=min(left, WAIT_SECONDS)):
        pass


def _call_safely(action: Callable[..., None], *arguments: float) -> None:
    try:
        action(*arguments)
    except Exception as error:  # noqa: BLE001 - nobody waits for this thread who could be told otherwise
        logger.warning("What was to be done at SIGTERM failed: %s: %s", type(error).__name__, error)


def _handled_by_c() -> bool:
    """Whether the system knows of a handler where Python knows none, such as `faulthandler`'s. Told by Linux alone."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            caught = next((line for line in status if line.startswith("SigCgt:")), "SigCgt: 0")
    except OSError:
        return False
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def _put_back() -> None:
    """Put back what was there before ours, if ours is the one that SIGTERM calls."""
    if threading.current_thread() is not threading.main_thread():
        return
    if isinstance(ours := signal.getsignal(signal.SIGTERM), _Handler):
        signal.signal(signal.SIGTERM, ours.previous or signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    # A child that runs C code, and no handler of Python's, then dies of SIGTERM at once, as it would without us.
    os.register_at_fork(after_in_child=_put_back)
