"""Whether a disk is full: W&B's service tells it in a log on that very disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOM = 4096
"""Bytes: with less, the next write fails."""


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written there; `False` if it can't be found out."""
    try:
        if hasattr(os, "statvfs") and os.geteuid() == 0:
            told = os.statvfs(folder)
            return told.f_bfree * told.f_frsize < ROOM  # some blocks are left to root alone
        return shutil.disk_usage(folder).free < ROOM
    except OSError:
        return False
