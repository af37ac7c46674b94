"""Runs a trial's command, and ends it gently when the search that started it is gone.

    python -m oaml_callbacks.sweeps.guard LOCK GRACE COMMAND...

The search holds the other end of standard input. `INT`, `TERM` and `STOP` on it are passed on as signals; `STOP`
says that the trial is over, and not that it failed. Where the input ends, the search has died, and the command is
interrupted as by Ctrl-C, so that it saves a checkpoint. `GRACE` seconds later it is killed. `LOCK` is held for as long
as the command lives; a search that is gone on with waits for it.

The exit status is the command's; 128 and the signal's number where a signal ended it; 75 where the lock is taken.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

LOCK_TAKEN = 75
# Not SIGTERM, which says on a cluster that the machine goes away, and that the trial is to be gone on with.
STOP = signal.SIGUSR1 if sys.platform != "win32" else signal.SIGTERM
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "STOP": STOP}

if sys.platform != "win32":  # which has no such locks: nobody is ever known to hold one there
    import fcntl


def take_lock(path: str) -> int | None:
    """Open a file and lock it for this process; `None` where another has it.

    Raises:
        OSError: The file can't be opened.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError:  # a file system without locks
            pass
    return file


def main(arguments: list[str]) -> int:
    """Run it; gives the exit status."""
    path, grace, *command = arguments
    lock = take_lock(path)
    if lock is None:
        return LOCK_TAKEN
    for number in (signal.SIGINT, signal.SIGTERM):  # for the command, which may have got them too, to answer
        signal.signal(number, lambda *_: None)
    # The lock is the command's too: it may outlive its guard.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(lock,) if os.name == "posix" else ())
    threading.Thread(target=_listen, args=(process, float(grace)), daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 128 - status


def _listen(process: subprocess.Popen[bytes], grace: float) -> None:
    while line := sys.stdin.readline():
        _send(process, SIGNALS.get(line.strip(), signal.SIGTERM))
    _send(process, signal.SIGINT)
    time.sleep(grace)
    if os.name == "posix":
        os.killpg(0, signal.SIGKILL)  # a group of our own: see `TrialProcess`
    process.kill()


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if os.name == "posix":
        process.send_signal(number)
    else:
        process.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
