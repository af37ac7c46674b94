"""W&B's agent in a process that ends in order when the one that started it dies: `python -m`, with its arguments."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _end_with(parent: int) -> None:
    """Ask Linux for Ctrl-C when the parent dies, be it by SIGKILL. Elsewhere the agent then goes on."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:  # it has died already
        raise SystemExit(1)


def main() -> None:
    """Run `wandb agent` with the arguments behind the parent's process id."""
    parent, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with(int(parent))
    try:
        from wandb.cli.cli import cli

        cli(["agent", *arguments], prog_name="wandb")
    except KeyboardInterrupt:  # before W&B's agent listens for it
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
