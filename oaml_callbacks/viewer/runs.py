"""[`Runs`]: the run folders below a folder."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from ..run_folder import layout
from .foreign import ForeignRun
from .own_run import OwnRun
from .reading import Problem, short

MAX_DEPTH = 3
"""Levels of folders that are looked through for runs."""
MAX_FOLDERS = 50_000
FIND_SECONDS = 1.0
"""For how long what was found is taken for what is there."""
MAX_KEPT = 2000
"""Runs whose small files are remembered."""
MAX_LOOKED_AT = 4
"""Runs whose curves and lines are remembered: 25 MB for 100,000 log events of twelve values."""

_NO_RUNS_IN = frozenset(("wandb", "node_modules", "__pycache__", "site-packages", layout.SCREENSHOTS))
_MARKS = (layout.RUN, layout.PROGRESS, layout.HISTORY, layout.EVALUATIONS)

Run = OwnRun | ForeignRun


class Runs:
    """Finds runs, and keeps what was read of them.

    Links are not followed, so nothing outside the folder is found, with one exception: `current` may be asked for, and
    is the run that it names.

    Args:
        folder: The folder to look in. It may be a run folder itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._found: dict[str, Path] = {}
        self._found_at = -FIND_SECONDS
        self._find_took = 0.0
        self._kept: dict[str, Run] = {}
        self._looked: list[Run] = []
        self.problems: list[str] = []

    def all(self) -> list[Run]:
        """All runs that are there now."""
        self._find()
        return [self._run(key) for key in self._found]

    def run(self, key: str) -> Run:
        """The run of that name: its path below the folder, or, if that tells it from all others, its last part or id.

        Raises:
            Problem: There is none, or there are several.
        """
        if key == layout.CURRENT and (target := self._current()) is not None:
            key = target
        if key not in self._found or not _is_run(self._found[key]):  # new, or gone
            self._find(again=True)
        if key in self._found and _is_run(self._found[key]):
            return self._looked_at(self._run(key))
        there = [found for found, folder in self._found.items() if _is_run(folder)]
        named = [found for found in there if found.rpartition("/")[2] == key]
        named = named or [found for found in there if self._run(found).identity() == key]
        if len(named) == 1:
            return self._looked_at(self._run(named[0]))
        if named:
            raise Problem(f"several runs are called {short(key)}: {', '.join(map(short, named[:5]))}")
        raise Problem(f"there is no run {short(key)} in {short(self.folder.name)}")

    def current(self) -> str | None:
        """The key of the run that `current` names."""
        target = self._current()
        return target if target in self._found else None

    def _current(self) -> str | None:
        try:
            target = os.readlink(self.folder / layout.CURRENT)
        except OSError:
            return None
        return target if "/" not in target and "\\" not in target else None

    def _run(self, key: str) -> Run:
        folder = self._found[key]
        kept = self._kept.pop(key, None)
        own = _is_own(folder)
        if kept is None or kept.foreign is own or kept.folder != folder:
            kept = OwnRun(folder, key) if own else ForeignRun(folder, key)
        self._kept[key] = kept  # the one asked for last stays longest
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept

    def _looked_at(self, run: Run) -> Run:
        """Note that a run is being looked at; of others than the last few the figures of every step are forgotten."""
        self._looked = [run, *(other for other in self._looked if other is not run)]
        for other in self._looked[MAX_LOOKED_AT:]:
            other.forget()
        del self._looked[MAX_LOOKED_AT:]
        return run

    def _find(self, *, again: bool = False) -> None:
        begun = time.monotonic()
        # Where looking takes long (a home directory), a tenth of the time goes into it at most.
        if begun - self._found_at < max(0.1 if again else FIND_SECONDS, 10 * self._find_took):
            return
        self.problems = []
        try:
            self._found = dict(self._below())
        except OSError as error:
            self._found, self.problems = {}, [f"the folder can't be read: {error.strerror or error}"]
        self._found_at = time.monotonic()
        self._find_took = self._found_at - begun

    def _below(self) -> Iterator[tuple[str, Path]]:
        if _is_run(self.folder):
            yield _as_text(self.folder.name), self.folder
            if _is_own(self.folder):
                return
            # openadapt-ml's trainer writes its log straight into its output folder, which may hold our runs too.
        waiting, looked = deque([("", self.folder, 0)]), 0
        while waiting:
            prefix, folder, depth = waiting.popleft()
            for entry in _folders(folder):
                looked += 1
                if looked > MAX_FOLDERS:
                    self.problems.append(f"only {MAX_FOLDERS:,} folders are looked into")
                    return
                key, path = f"{prefix}{_as_text(entry.name)}", Path(entry.path)
                if _is_run(path):
                    yield key, path
                elif depth + 1 < MAX_DEPTH and entry.name not in _NO_RUNS_IN and not _is_checkpoint(entry.name):
                    waiting.append((f"{key}/", path, depth + 1))


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [one for one in entries if not one.name.startswith(".") and one.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # not ours to read
    return sorted(found, key=lambda one: one.name)


def _is_run(folder: Path) -> bool:
    log = folder / layout.TRAINING_LOG
    return _is_own(folder) or (os.path.isfile(log) and not os.path.islink(log))


def _is_own(folder: Path) -> bool:
    own = folder / layout.OWN
    # Of os.path, since a Path's own methods raise for a folder that isn't ours to look into.
    return os.path.isdir(own) and not os.path.islink(own) and any(os.path.exists(folder / name) for name in _MARKS)


def _as_text(name: str) -> str:
    """A file's name that may not be UTF-8 as text that is."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_checkpoint(name: str) -> bool:
    return name.startswith("checkpoint-")
