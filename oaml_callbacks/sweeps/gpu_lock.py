"""One agent on a GPU: a lock on each GPU that this process sees. A process that dies lets go of its locks.

Two trainings on one GPU run out of its memory, or take twice as long; neither says why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .sweep_file import SweepError

if sys.platform != "win32":  # which has no such locks: agents aren't kept apart there
    import fcntl

ASK_SECONDS = 10.0
"""How long `nvidia-smi` may take to list the GPUs."""
MAX_GPUS = 64
_PLAIN = re.compile(r"[^A-Za-z0-9-]+")


class GpuTaken(SweepError):
    """Another agent has the GPU.

    Attributes:
        gpu: Which, as [`visible_gpus`] names it.
        pid: The other's process; `None` where that isn't to be seen: what a killed one started still has the lock.
    """

    def __init__(self, gpu: str, pid: int | None) -> None:
        whose = (
            f"process {pid}"
            if pid is not None
            else "not to be seen here: killed, with a trial that still ends, or in a container"
        )
        end = f"end the other (kill -INT {pid})" if pid is not None else "wait for it"
        super().__init__(
            f"another agent has GPU {gpu} ({whose}). Give this one another GPU, such as CUDA_VISIBLE_DEVICES=1 before "
            f"the command, {end}, or let both use it: --share-gpu"
        )
        self.gpu = gpu
        self.pid = pid


def installed_gpus() -> list[str]:
    """The UUIDs of this machine's NVIDIA GPUs, in the order of their numbers; empty where none are to be found."""
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in asked.stdout.splitlines() if line.strip()][:MAX_GPUS]


def visible_gpus(installed: Callable[[], Sequence[str]] = installed_gpus) -> list[str]:
    """The GPUs that a training started here would use.

    Args:
        installed: Lists the machine's, by number.

    Returns:
        Their UUIDs, or what `CUDA_VISIBLE_DEVICES` calls those that nothing is known of.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = list(installed())
    if given is None:
        return there
    gpus = []
    for entry in [part.strip() for part in given.split(",")][:MAX_GPUS]:
        if not entry or entry.startswith("-"):  # as CUDA reads it: what follows doesn't count
            break
        if entry.isdigit():
            gpus.append(there[int(entry)] if int(entry) < len(there) else entry)
        else:  # the beginning of a UUID is enough
            gpus.append(next((uuid for uuid in there if uuid.startswith(entry)), entry))
    return gpus


@contextmanager
def gpu_locks(gpus: Sequence[str]) -> Iterator[list[int]]:
    """Hold the locks of these GPUs; gives their files, to be kept open by who is to hold them too.

    Raises:
        GpuTaken: Another process of this user holds one.
    """
    with ExitStack() as stack:
        files = []
        for gpu in sorted(set(gpus)):  # in one order, so that of two agents one gets all
            file = _locked(gpu)
            if file is not None:
                stack.callback(os.close, file)
                files.append(file)
        yield files


def lock_path(gpu: str) -> Path:
    """The file that is locked for a GPU, for this user on this machine."""
    user = os.getuid() if sys.platform != "win32" else 0
    return Path(tempfile.gettempdir()) / f"oaml-gpu-{user}-{_PLAIN.sub('-', gpu)[:100]}.lock"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True


def _locked(gpu: str) -> int | None:
    if sys.platform == "win32":
        return None
    path = lock_path(gpu)
    try:
        # Not through a link: others may write to the folder, too.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SweepError(f"{path}: GPU {gpu} can't be locked: {error.strerror}; --share-gpu does without") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(file, 32, 0)
        os.close(file)
        raise GpuTaken(gpu, int(holder) if holder.isdigit() and _lives(int(holder)) else None) from None
    except OSError:  # a file system without locks: agents aren't kept apart
        os.close(file)
        return None
    return file
