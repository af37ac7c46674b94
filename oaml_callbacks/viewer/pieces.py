"""[`Pieces`]: what the pages read, as JSON, each piece made once for as long as its files stay the same.

| piece | parameters | what it is |
| --- | --- | --- |
| `runs` | | the runs that are there, newest first |
| `run` | `run` | what a run is and where it stands, with its evaluations' figures |
| `history` | `run` | its curves |
| `samples` | `run`, `set` | how many samples an evaluation set has, and the groups of all of them |
| `ids` | `run`, `set` | their ids |
| `sample_block` | `run`, `set`, `block` | 200 samples |
| `verdicts` | `run`, `evaluation` | the verdict on every sample of an evaluation, and the click's offset |
| `answers` | `run`, `evaluation`, `block` | the answers to 200 samples |
| `track` | `run`, `set`, `block` | the clicks on 20 samples over all evaluations |

The server gives them by URL, a static copy has them as files, an embedded page holds some of them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from .lines import Changed
from .reading import Problem, short
from .runs import Run, Runs

MAX_CACHED = 24 * 2**20
"""Bytes of pieces that are remembered."""
COMPRESSED_FROM = 2000
"""Bytes from which on a piece is compressed: less fits into one packet, or nearly."""


@dataclass(frozen=True)
class Piece:
    """A piece as it is sent.

    Args:
        body: JSON.
        compressed: The same, compressed; `None` where that isn't worth it.
        etag: Tells it from any other body.
    """

    body: bytes
    compressed: bytes | None
    etag: str

    @classmethod
    def of(cls, value: Any) -> Piece:
        """The piece of a value."""
        body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
        compressed = gzip.compress(body, compresslevel=5, mtime=0) if len(body) >= COMPRESSED_FROM else None
        return cls(body, compressed, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')

    @property
    def size(self) -> int:
        """Bytes that it takes, with what is needed to find it."""
        return len(self.body) + len(self.compressed or b"") + 1000


@dataclass(frozen=True)
class _Kind:
    """A piece of a run: what its method is called with, and which method gives the stamps of its files.

    The latter is called with the first of the parameters, which names the files.
    """

    parameters: tuple[str, ...] = ()
    stamps: str | None = None


_KINDS: Mapping[str, _Kind] = {
    "run": _Kind(),
    "history": _Kind(stamps="history_stamps"),
    "samples": _Kind(("set",), "set_stamps"),
    "ids": _Kind(("set",), "set_stamps"),
    "sample_block": _Kind(("set", "block"), "set_stamps"),
    "verdicts": _Kind(("evaluation",), "evaluation_stamps"),
    "answers": _Kind(("evaluation", "block"), "evaluation_stamps"),
    "track": _Kind(("set", "block"), "track_stamps"),
}
"""By the names of [`OwnRun`]'s and [`ForeignRun`]'s methods."""

NAMES = ("runs", *_KINDS)

_NO_ROW = dict.fromkeys(("project", "model", "outcome", "step", "max_steps", "started_at", "seen_at", "samples")) | {
    "accuracy": {"last": None, "best": None, "baseline": None},
    "evaluations": 0,
    "foreign": False,
}


class Pieces:
    """Makes pieces. May be asked by several threads; one makes a piece while the others wait.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._lock = RLock()
        self._cached: OrderedDict[tuple[str, ...], tuple[Any, Piece]] = OrderedDict()
        self._bytes = 0

    def get(self, name: str, parameters: Mapping[str, str]) -> Piece:
        """A piece.

        Args:
            name: One of [`NAMES`].
            parameters: By their names, as text.

        Raises:
            Problem: There is no such piece, or it can't be made of what is there.
        """
        with self._lock:
            if name == "runs":
                return Piece.of(self.run_list())
            kind = _KINDS.get(name)
            if kind is None:
                raise Problem(f"there is no piece {short(name)}")
            run = self.runs.run(parameters.get("run", ""))
            arguments = [_argument(parameters, one) for one in kind.parameters]
            try:
                try:
                    return self._of_run(run, name, kind, arguments)
                except Changed:  # the training was just writing; it doesn't do so twice in a moment
                    return self._of_run(run, name, kind, arguments)
            except OSError as error:
                raise Problem(f"a file of the run can't be read: {error.strerror or error}") from None

    def picture_folder(self, run: str) -> Path:
        """Where the paths of a run's pictures begin.

        Raises:
            Problem: There is no such run.
        """
        with self._lock:  # by its id a run is looked for in files that a piece may be made of meanwhile
            return self.runs.run(run).picture_folder()

    def run_list(self) -> dict[str, Any]:
        """The piece `runs`, as a value."""
        runs = self.runs.all()
        current = self.runs.current()
        rows = [{**_row(run), "current": run.key == current} for run in runs]
        rows.sort(key=lambda row: (-(row["started_at"] or row["seen_at"] or 0), row["key"]))
        return {"runs": rows, "problems": self.runs.problems, "folder": short(self.runs.folder.name)}

    def _of_run(self, run: Run, name: str, kind: _Kind, arguments: list[str | int]) -> Piece:
        make = getattr(run, name)
        if kind.stamps is None:
            return Piece.of(make(*arguments))
        key = (name, run.key, *map(str, arguments))
        stamps = getattr(run, kind.stamps)(*arguments[:1])
        if key in self._cached and self._cached[key][0] == stamps:
            self._cached.move_to_end(key)
            return self._cached[key][1]
        piece = Piece.of(make(*arguments))
        self._keep(key, stamps, piece)
        return piece

    def _keep(self, key: tuple[str, ...], stamps: Any, piece: Piece) -> None:
        if key in self._cached:
            self._bytes -= self._cached.pop(key)[1].size
        self._cached[key] = (stamps, piece)
        self._bytes += piece.size
        while self._bytes > MAX_CACHED and len(self._cached) > 1:
            self._bytes -= self._cached.popitem(last=False)[1][1].size


def _row(run: Run) -> dict[str, Any]:
    try:
        return run.row()
    except (Problem, OSError):  # one run's trouble, and not the list's
        return {"key": run.key, "id": run.key, "name": run.key, "state": "unknown", "problems": 1, **_NO_ROW}


def _argument(parameters: Mapping[str, str], name: str) -> str | int:
    value = parameters.get(name, "")
    if name != "block":
        return value
    if not (value.isascii() and value.isdigit() and len(value) < 8):
        raise Problem(f"block must be a number from 0 on, found {short(value)}")
    return int(value)
