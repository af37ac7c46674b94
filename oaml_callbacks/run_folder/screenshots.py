"""[`Screenshots`]: the pictures of a run's samples, each kept once by its content, all together bounded."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..clean_text import error_text, one_line
from ..grounding.samples import GroundingSample
from ..pictures import as_jpeg
from . import layout

logger = logging.getLogger(__name__)

MAX_MB = 1024.0
"""Megabytes (2²⁰ bytes) of copied pictures in one run folder. Those that are linked take no room, and don't count."""

MAX_FILE_BYTES = 64 * 2**20
"""Of one picture's file; larger ones are made small, as those that are in no file are."""

_ENDINGS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}
"""The kinds that browsers show, by Pillow's names."""


_ORIENTATION = 0x0112  # EXIF


@dataclass(frozen=True)
class Kept:
    """A picture that is kept: its path in the run folder, and its width and height in pixels as the sample has it."""

    path: str
    size: tuple[int, int]


class Screenshots:
    """Keeps the pictures of one run, by one rule.

    A picture in a file of a kind that browsers show is kept as it is: linked where the run folder lies on the same
    disk (it takes no room then, and stays when the data set is deleted), else copied. Any other is kept as a JPEG of
    1280 pixels at most. Equal pictures are kept once. When the copies fill `max_mb`, later samples have no picture.

    Args:
        run_folder: The run folder.
        max_mb: Megabytes of copies.
    """

    def __init__(self, run_folder: Path, *, max_mb: float = MAX_MB) -> None:
        self._folder = run_folder / layout.SCREENSHOTS
        self._max_bytes = max_mb * 2**20
        self._bytes: int | None = None
        self._full = False

    def keep(self, sample: GroundingSample) -> Kept | None:
        """The sample's picture; `None` if it can't be read any more, or there is no room for it."""
        try:
            if isinstance(sample.image, Path) and (kept := self._keep_file(sample.image)) is not None:
                return kept
            image = sample.open_image()
            data, _ = as_jpeg(image)
            name = self._write(data, "jpg")
        except (OSError, ValueError) as error:
            logger.warning(
                "The picture of sample %s isn't in the run folder: %s", one_line(sample.id), error_text(error)
            )
            return None
        return Kept(f"{layout.SCREENSHOTS}/{name}", image.size) if name is not None else None

    def _keep_file(self, path: Path) -> Kept | None:
        """A file's picture as it is; `None` if it is of a kind that browsers don't show."""
        from PIL import Image

        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        data = path.read_bytes()
        try:
            with _any_size(), Image.open(io.BytesIO(data)) as image:
                kind, size = image.format, image.size
                turned = image.getexif().get(_ORIENTATION, 1) != 1
        except (Image.DecompressionBombError, SyntaxError):  # `open_image` tells what is wrong with it
            return None
        if kind not in _ENDINGS or turned:  # a browser would turn it, and the model saw it as it is
            return None
        name = self._write(data, _ENDINGS[kind], source=path)
        return Kept(f"{layout.SCREENSHOTS}/{name}", size) if name is not None else None

    def _write(self, data: bytes, ending: str, source: Path | None = None) -> str | None:
        name = f"{hashlib.blake2b(data, digest_size=10).hexdigest()}.{ending}"
        path = self._folder / name
        if path.exists():
            return name
        self._folder.mkdir(parents=True, exist_ok=True)
        if source is not None:
            try:
                # The file itself: a model hub's cache holds links, which are no files to those who follow none.
                os.link(os.path.realpath(source), path)
            except OSError:  # another disk, a file of somebody else's, a system without links
                pass
            else:
                return name
        if self._bytes is None:  # of the copies that an earlier part of the run has made
            self._bytes = sum(one.st_size for entry in os.scandir(self._folder) if (one := entry.stat()).st_nlink == 1)
        if self._bytes + len(data) > self._max_bytes:
            self._tell_full()
            return None
        new = path.with_name(f".{name}.new")
        new.write_bytes(data)
        os.replace(new, path)
        self._bytes += len(data)
        return name

    def _tell_full(self) -> None:
        if not self._full:
            self._full = True
            logger.warning(
                "The run folder holds %.0f MB of copied screenshots, as much as it may. Samples that come later are "
                "there without a picture. (Pictures in files on the same disk are linked, and take no room.)",
                self._max_bytes / 2**20,
            )


@contextmanager
def _any_size() -> Iterator[None]:
    """Let a picture's header be read whatever size it tells: nothing is decoded."""
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
