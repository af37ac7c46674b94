"""[`RunLock`]: whether somebody on this machine is writing to a run. A process that dies lets go of its lock."""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path

if sys.platform != "win32":  # which has no such locks: nobody is ever known to hold one there
    import fcntl

NAME = "oaml.lock"


class RunLock:
    """Held while a run is open.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        if sys.platform != "win32":
            try:
                self._file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _held.add(self)
            except OSError:
                self.release()  # a file system without locks, or a full one: nobody can tell then

    def release(self) -> None:
        """Let go."""
        _held.discard(self)
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_locked(folder: Path) -> bool:
    """Whether a process holds the run's lock."""
    if sys.platform != "win32":
        try:
            file = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # others may ask at the same time, or own the file
        except OSError:
            return True
        finally:
            os.close(file)
    return False


_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _let_go() -> None:
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    # A forked child, such as a DataLoader's worker, has the file open too, and may outlive the training by a moment.
    # Closing it there doesn't take the lock from who holds it here.
    os.register_at_fork(after_in_child=_let_go)
