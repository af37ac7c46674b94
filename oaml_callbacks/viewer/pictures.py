"""Screenshots and their thumbnails: what a picture's own bytes say it is decides, never its name."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from .reading import Problem, Stamp, open_inside, read_bytes, short, stamp_of

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000
"""Of a picture that a thumbnail is made of; four bytes each while it is made."""
SIDE = 320
"""Pixels of a thumbnail's longer side."""
MAX_CACHED = 16 * 2**20
"""Bytes of thumbnails that are remembered: about 2,000."""

KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(frozen=True)
class Picture:
    """A picture's bytes, what they are (`image/png`), and what tells them from others."""

    data: bytes
    kind: str
    etag: str


class Pictures:
    """Gives pictures of run folders, and thumbnails that are made once."""

    def __init__(self) -> None:
        self._cached: OrderedDict[tuple[str, Stamp], Picture] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        # Two at a time: more would only keep each other, and the pages, waiting.
        self._makers = threading.Semaphore(2)

    def picture(self, folder: Path, relative: str) -> Picture:
        """A picture as it is.

        Args:
            folder: The run folder.
            relative: Its path in it.

        Raises:
            Problem: There is none.
        """
        found = self._stamp(folder, relative)
        data = read_bytes(folder, relative, MAX_BYTES)
        return Picture(data, _kind(data, relative), _etag(found))

    def thumbnail(self, folder: Path, relative: str) -> Picture:
        """A picture made small, as JPEG; arguments and errors as for [`picture`]."""
        key = (f"{folder}/{relative}", self._stamp(folder, relative))
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
                return self._cached[key]
        with self._makers:
            data = read_bytes(folder, relative, MAX_BYTES)
            _kind(data, relative)
            small = Picture(_small(data, relative), "image/jpeg", _etag(key[1]))
        with self._lock:
            if key not in self._cached:
                self._cached[key] = small
                self._bytes += len(small.data)
            while self._bytes > MAX_CACHED:
                self._bytes -= len(self._cached.popitem(last=False)[1].data)
        return small

    def _stamp(self, folder: Path, relative: str) -> Stamp:
        if not relative.lower().endswith(ENDINGS):
            raise Problem(f"{short(relative)} is no picture")
        with open_inside(folder, relative) as file:
            return stamp_of(file)


def smaller(folder: Path, relative: str, side: int) -> bytes:
    """A picture as JPEG of at most `side` pixels a side; arguments and errors as for [`Pictures.picture`]."""
    if not relative.lower().endswith(ENDINGS):
        raise Problem(f"{short(relative)} is no picture")
    data = read_bytes(folder, relative, MAX_BYTES)
    _kind(data, relative)
    return _small(data, relative, side)


def _kind(data: bytes, relative: str) -> str:
    for head, kind in KINDS.items():
        if data.startswith(head):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise Problem(f"{short(relative)} is no picture of a kind that is shown")


def _small(data: bytes, relative: str, side: int = SIDE) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Problem(f"{short(relative)} has too many pixels")
            image.draft("RGB", (side, side))  # a JPEG is decoded at a fraction of its size
            small = image.convert("RGB")
        small.thumbnail((side, side), reducing_gap=2.0)
        file = io.BytesIO()
        small.save(file, "JPEG", quality=75)
    except Problem:
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise what they like for broken files
        raise Problem(f"{short(relative)} can't be decoded: {type(error).__name__}") from None
    return file.getvalue()


def _etag(found: Stamp) -> str:
    return f'"{found[0]:x}-{found[1]:x}-{found[2]:x}"'
