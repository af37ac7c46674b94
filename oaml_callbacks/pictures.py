"""Screenshots as small JPEG files in a run's folder, each written once, all of them together bounded."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .clean_text import error_text, one_line
from .grounding.samples import GroundingSample

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

MAX_SIDE = 1280
"""Pixels of a picture's longer side."""

MIN_SIDE = 960
"""Pixels that a side must keep to be divided by a whole number, at a tenth of the cost of any other scale. A 1080p
screen is halved: letters of 11 pixels can still be read then (looked at)."""

QUALITY = 65
"""JPEG quality: 59 kB for a halved 1080p screen that is full of text."""


@dataclass(frozen=True)
class SavedPicture:
    """A picture's file, and its width and height in pixels."""

    path: Path
    size: tuple[int, int]


class Pictures:
    """The pictures of one run.

    A picture is written when it is first asked for; asked again, the same file is named. Samples that share a
    screenshot share its file.

    Args:
        folder: Where the files go; made when there is something to write.
        max_bytes: What all files together may take. Beyond it there are no new ones, and the user is told once.
    """

    def __init__(self, folder: Path, *, max_bytes: float) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.bytes = 0
        self._saved: dict[tuple[str, str], SavedPicture | None] = {}
        self._full = False

    def of(self, sample: GroundingSample, scope: str) -> SavedPicture | None:
        """The sample's picture; `None` if it can't be opened any more, or there is no room for it.

        Args:
            sample: The sample.
            scope: Ids are told apart by it: those of two evaluation sets may be the same.
        """
        key = (scope, sample.id)
        if key not in self._saved:
            if self._full:
                return None
            try:
                data, size = as_jpeg(sample.open_image())
            except (OSError, ValueError) as error:
                logger.warning("The picture of sample %s isn't shown: %s", one_line(sample.id), error_text(error))
                self._saved[key] = None
            else:
                path = self._write(data)
                if path is None:
                    return None
                self._saved[key] = SavedPicture(path, size)
        return self._saved[key]

    def _write(self, data: bytes) -> Path | None:
        path = self.folder / f"{hashlib.sha256(data).hexdigest()[:20]}.jpg"
        if path.exists():  # another sample's, or of an earlier part of a run that was resumed
            return path
        if self.bytes + len(data) > self.max_bytes:
            self._full = True
            logger.warning(
                "The run's tables hold %.0f MB of pictures, as much as max_media_mb allows. Later tables show the "
                "pictures that are there already, and no new ones.",
                self.bytes / 2**20,
            )
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.bytes += len(data)
        return path


def as_jpeg(image: Image) -> tuple[bytes, tuple[int, int]]:
    """The picture as JPEG, at most [`MAX_SIDE`] pixels on its longer side, and its width and height then."""
    from PIL.Image import Resampling

    longer = max(image.size)
    divisor = -(-longer // MAX_SIDE)  # rounded up
    if divisor > 1 and longer // divisor >= MIN_SIDE:
        image = image.reduce(divisor)
    elif divisor > 1:
        width, height = (max(1, round(side * MAX_SIDE / longer)) for side in image.size)
        image = image.resize((width, height), Resampling.BILINEAR, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue(), image.size
