"""[`Heartbeat`]: calls a function every few seconds, beside a training, for as long as its process lives."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Heartbeat:
    """A thread that beats; none in a forked child, and none that keeps a process from ending.

    Args:
        beat: What is called; it must not raise.
        seconds: Between two beats.
    """

    def __init__(self, beat: Callable[[], None], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to beat, at once, if it doesn't yet."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stopped.clear()
        self._thread = threading.Thread(target=self._go, name="oaml-run-folder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; a beat that is under way is waited for, a second at most, since what follows is the last word."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)
        self._thread = None

    def _go(self) -> None:
        self._beat()
        while not self._stopped.wait(self._seconds):
            self._beat()
