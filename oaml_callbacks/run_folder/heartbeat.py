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
        self.seconds = seconds
        self._beat = beat
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to beat, at once, if it doesn't yet.

        Raises:
            RuntimeError: The process may have no more threads.
        """
        if self._thread is not None and self._thread.is_alive() and not self._stopped.is_set():
            return
        self._stopped = threading.Event()  # one of its own: the last thread may still be at its last beat
        self._thread = threading.Thread(target=self._go, args=(self._stopped,), name="oaml-run-folder", daemon=True)
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End it.

        Args:
            wait: Wait for a beat that is under way, a second at most.
        """
        self._stopped.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _go(self, stopped: threading.Event) -> None:
        self._beat()
        while not stopped.wait(self.seconds):
            self._beat()
