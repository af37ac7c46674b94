"""Where adapters wait for their upload: a folder in the run's own, where an offline run has them until it is sent."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .adapter_files import CARD

logger = logging.getLogger(__name__)

MAX_STAGED_BYTES = 4 * 2**30
"""Bytes of staged adapters in a run's folder. Beyond it, those that W&B's server has are removed, and of further ones
only the best and the newest are kept, and logged when the training ends."""

_CHUNK = 2**20


@dataclass
class Staged:
    """An adapter's files, copied.

    Args:
        folder: Where they are.
        sha256: Their digests, hexadecimal, by their names.
        bytes: Their sizes in all.
        digest: W&B's own digest, once it is logged.
        aliases: What it was logged with.
    """

    folder: Path
    sha256: Mapping[str, str]
    bytes: int
    digest: str | None = None
    aliases: set[str] = field(default_factory=set)

    @property
    def files(self) -> dict[str, Path]:
        """The copies by their names."""
        return {name: self.folder / name for name in self.sha256}

    def holds_the_same_as(self, other: Staged) -> bool:
        """Whether both are one adapter; their cards may differ."""
        return _without_card(self.sha256) == _without_card(other.sha256)

    def remove(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Staging:
    """The staged adapters of one run, with a limit on what they take.

    Args:
        folder: Where they go; made when there is one.
        max_bytes: See [`MAX_STAGED_BYTES`].
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._made = len(list(folder.iterdir())) if folder.is_dir() else 0
        self._logged: list[Staged] = []

    def place(self, name: str) -> Path:
        """A new folder in it.

        Raises:
            OSError: It can't be made.
        """
        while True:
            self._made += 1
            place = self.folder / f"{self._made:04d}-{name}"
            if not place.exists():
                place.mkdir(parents=True)
                return place

    def copy(self, files: Mapping[str, Path], name: str) -> Staged:
        """Copy files: the Trainer removes its checkpoints, and writes into files that are there.

        Raises:
            OSError: They can't be read or written; nothing is left then.
        """
        place = self.place(name)
        try:
            return self.take(place, {name: _copy(path, place / name) for name, path in files.items()})
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def take(self, place: Path, sha256: Mapping[str, str]) -> Staged:
        """What lies in `place`, which is staged already."""
        return Staged(place, sha256, sum((place / name).stat().st_size for name in sha256))

    def make_room_for(self, staged: Staged, *, arrived: frozenset[str]) -> bool:
        """Remove what the server has, but for the newest and the best, until another one fits.

        Args:
            staged: What is to be logged.
            arrived: W&B's digests of what its server has.

        Returns:
            Whether it fits, and so may be logged now.
        """
        for one in self._logged[:-1]:
            if self._bytes() + staged.bytes <= self.max_bytes:
                break
            if one.digest in arrived and "best" not in one.aliases:
                one.remove()
                self._logged.remove(one)
        return self._bytes() + staged.bytes <= self.max_bytes

    def logged(self, staged: Staged, aliases: set[str]) -> None:
        """Note that it is logged with these aliases, which others lose, and must stay."""
        for one in self._logged:
            one.aliases -= aliases
        staged.aliases |= aliases
        if all(one is not staged for one in self._logged):
            self._logged.append(staged)

    def _bytes(self) -> int:
        return sum(one.bytes for one in self._logged)


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of files, hexadecimal, by their names.

    Raises:
        OSError: One can't be read.
    """
    return {name: _copy(path, None) for name, path in files.items()}


def _copy(path: Path, to: Path | None) -> str:
    """Copy a file, or only read it; gives its SHA-256."""
    digest = hashlib.sha256()
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, open(to if to is not None else os.devnull, "wb") as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            if to is not None:
                target.write(chunk)
    return digest.hexdigest()


def _without_card(sha256: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in sha256.items() if name != CARD}
