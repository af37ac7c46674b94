"""The framing of a `.wandb` file: which bytes are which record.

LevelDB's log format (https://github.com/google/leveldb/blob/main/doc/log_format.md) with two differences: the file
opens with seven bytes of W&B's own, and the checksum is a plain CRC-32 instead of a masked CRC-32C. A file is blocks
of 32 KiB; a record is one chunk (FULL) or several (FIRST, MIDDLE..., LAST), and no chunk crosses a block's end:

    chunk := checksum (u32) | length of data (u16) | kind (u8) | data        little-endian; checksum over kind and data
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

BLOCK_BYTES = 32 * 1024
FILE_HEADER = b":W&B\xe1\xbe\x00"  # ident, magic 0xBEE1, version 0
_CHUNK_HEADER = struct.Struct("<IHB")


class _Kind(IntEnum):
    FULL = 1
    FIRST = 2
    MIDDLE = 3
    LAST = 4


def write_transaction_log(path: Path, records: Iterable[bytes]) -> None:
    """Write a `.wandb` file with these records. It appears whole, or not at all.

    Raises:
        OSError: It can't be written.
    """
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            file.write(FILE_HEADER)
            position = len(FILE_HEADER)
            for record in records:
                for chunk in _framed(record, position):
                    file.write(chunk)
                    position += len(chunk)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)  # half of it would only fill the disk
        raise


def _framed(record: bytes, position: int) -> Iterator[bytes]:
    """Yield a record's chunks, and the padding before them, for a file that is `position` bytes long."""
    start, begins = 0, True
    while begins or start < len(record):
        room = BLOCK_BYTES - position % BLOCK_BYTES
        if room < _CHUNK_HEADER.size:
            yield bytes(room)
            position += room
            continue
        data = record[start : start + room - _CHUNK_HEADER.size]
        start += len(data)
        ends = start == len(record)
        kind = (_Kind.FULL if ends else _Kind.FIRST) if begins else (_Kind.LAST if ends else _Kind.MIDDLE)
        begins = False
        chunk = _CHUNK_HEADER.pack(zlib.crc32(data, zlib.crc32(bytes([kind]))), len(data), kind) + data
        position += len(chunk)
        yield chunk


class TransactionLog:
    """The records of one `.wandb` file, as bytes, in the order of writing. Iterating reads a block at a time.

    A file that ends in the middle of a record (the writer was killed, or is still writing) yields the records that are
    whole. A block with a wrong checksum or an impossible length is left at that point, since its lengths can't be
    trusted any more, and reading goes on in the next block.

    Attributes:
        path: The file.
        damaged: Whether anything but a torn end was skipped so far; final once the iteration has ended.
        torn: Whether the file ends in the middle of a record; known once the iteration has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = self.torn = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield each whole record.

        Raises:
            ValueError: The file doesn't start as a `.wandb` file does. An empty file, or one cut within those first
                bytes, is a run killed before its first write, and has no records.
        """
        with self.path.open("rb") as file:
            block = file.read(BLOCK_BYTES)
            opening = block[: len(FILE_HEADER)]
            if not FILE_HEADER.startswith(opening):
                raise ValueError(
                    f"{self.path} is not a .wandb file that this can read: it starts with {opening!r} "
                    f"instead of {FILE_HEADER!r}. Give the run-ID.wandb file in a W&B run's folder."
                )
            start = len(FILE_HEADER)
            parts: list[bytes] | None = None  # The chunks so far of a record that has begun and not ended.
            while block:
                for chunk in self._chunks(block, start):
                    if chunk is None:
                        self.damaged, parts = True, None
                        break
                    kind, data = chunk
                    begins, ends = kind in (_Kind.FULL, _Kind.FIRST), kind in (_Kind.FULL, _Kind.LAST)
                    if begins == (parts is not None):
                        self.damaged = True  # Begins inside another record, or goes on with none.
                    if begins:
                        parts = []
                    if parts is None:
                        continue
                    parts.append(data)
                    if ends:
                        yield b"".join(parts)
                        parts = None
                block, start = file.read(BLOCK_BYTES), 0
            self.torn = self.torn or parts is not None or len(opening) < len(FILE_HEADER)

    def _chunks(self, block: bytes, start: int) -> Iterator[tuple[_Kind, bytes] | None]:
        """Yield the chunks of one block, up to its padding or a torn end; None, and no more, where it's damaged."""
        # Fewer bytes than a chunk's header are a block's trailer, or the torn end of the file.
        while start + _CHUNK_HEADER.size <= len(block):
            checksum, length, kind = _CHUNK_HEADER.unpack_from(block, start)
            if checksum == length == kind == 0:
                self.torn = len(block) < BLOCK_BYTES  # after a power cut a file may end in zeros
                return
            start += _CHUNK_HEADER.size
            end = start + length
            if end > len(block) and end <= BLOCK_BYTES:
                self.torn = True
                return  # The file's last block is short: a torn end. (A wrong length there can't be told from one.)
            data = block[start:end]
            sound = end <= BLOCK_BYTES and zlib.crc32(data, zlib.crc32(bytes([kind]))) == checksum
            if not sound or not _Kind.FULL <= kind <= _Kind.LAST:
                yield None
                return
            yield _Kind(kind), data
            start = end
        self.torn = start < len(block) < BLOCK_BYTES
