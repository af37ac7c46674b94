"""[`Interrupts`]: SIGTERM ends a command as Ctrl-C does, and neither cuts off what must be whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Ctrl-C and SIGTERM, held back but for where they may come.

    On a cluster SIGTERM says that the time is over; its default leaves behind what is half written. And an exception
    in the middle of a transaction leaves the database locked, so that what is to be noted after it can't be.

    ```
    with Interrupts() as interrupts:
        study.tell(...)          # is done to its end
        with interrupts.here():  # raises KeyboardInterrupt, also for one that came before
            process.wait()
    ```

    Handlers of somebody else stay; outside the main thread nothing is changed.
    """

    def __init__(self) -> None:
        self._came = self._raises = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
                if signal.getsignal(number) == usual:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error_type is None:
            self.check()

    @contextmanager
    def here(self) -> Iterator[None]:
        """Inside they are raised.

        Raises:
            KeyboardInterrupt: One came, now or since the last time.
        """
        self._raises = True
        try:
            self.check()
            yield
        finally:
            self._raises = False

    def check(self) -> None:
        """Raise one that came before.

        Raises:
            KeyboardInterrupt: One did.
        """
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    def _handle(self, *_: object) -> None:
        if self._raises:
            raise KeyboardInterrupt
        self._came = True
