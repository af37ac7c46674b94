"""`.wandb` files that are written again: what was written is read, whole or up to a torn end, or nothing is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaml_callbacks.testing import offline_wandb, read_run
from oaml_callbacks.transaction_log import BLOCK_BYTES, FILE_HEADER, TransactionLog, write_transaction_log

pytestmark = pytest.mark.newest_only  # of other packages it is about wandb alone

HEADER = 7
"""Bytes of a chunk's header, and of the file's."""


def written(folder: Path, records: list[bytes]) -> Path:
    path = folder / "run-x.wandb"
    write_transaction_log(path, records)
    return path


def read(path: Path) -> tuple[list[bytes], bool, bool]:
    """The records, and whether the file is damaged or torn."""
    log = TransactionLog(path)
    return list(log), log.damaged, log.torn


def to_block_end(left: int, before: int = len(FILE_HEADER)) -> bytes:
    """A record that leaves so many bytes of the block in which it ends."""
    return b"x" * (BLOCK_BYTES - before - HEADER - left)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


_LENGTHS = st.one_of(
    st.integers(0, 50),
    st.integers(-2 * HEADER, 2 * HEADER).map(lambda more: BLOCK_BYTES - 2 * HEADER + more),  # about a block's end
    st.integers(0, 3 * BLOCK_BYTES),
)


@given(lengths=st.lists(_LENGTHS, max_size=6))
def test_what_was_written_is_read(place: Path, lengths: list[int]) -> None:
    """Records of any length, empty ones and those longer than a block among them, in their order."""
    records = [bytes([65 + number]) * length for number, length in enumerate(lengths)]
    assert read(written(place, records)) == (records, False, False)


@pytest.mark.parametrize("left", range(HEADER + 3))
@pytest.mark.parametrize("following", [b"", b"y", b"y" * 2 * BLOCK_BYTES], ids=["empty", "short", "long"])
def test_at_a_blocks_end(tmp_path: Path, left: int, following: bytes) -> None:
    """A chunk begins in a block's last 7 bytes, with no data in it; fewer are zeros, and it begins in the next."""
    records = [to_block_end(left), following, b"last"]
    path = written(tmp_path, records)
    assert read(path) == (records, False, False)
    if left < HEADER:
        assert path.read_bytes()[BLOCK_BYTES - left : BLOCK_BYTES] == bytes(left)
    elif left == HEADER:
        assert path.read_bytes()[BLOCK_BYTES - 1] == (2 if following else 1)  # first, or full


def test_no_chunk_crosses_a_blocks_end(tmp_path: Path) -> None:
    """LevelDB's rule, by which a reader finds its way after damage: each block begins with a chunk."""
    whole = written(tmp_path, [b"x" * 3 * BLOCK_BYTES, b"y"]).read_bytes()
    kinds = []
    for start in (len(FILE_HEADER), *range(BLOCK_BYTES, len(whole), BLOCK_BYTES)):
        kinds.append(whole[start + 6])
    assert kinds == [2, 3, 3, 4]  # first, middle, middle, last


def test_the_file_is_byte_for_byte_what_the_sdk_writes(tmp_path: Path) -> None:
    """A run of several blocks, read and written again, is the same file."""
    import wandb

    with offline_wandb(tmp_path), wandb.init() as run:
        for row in range(200):
            run.log({"row": row, "text": "x" * (row * 7)})
    path = read_run(tmp_path).path
    again = tmp_path / "again.wandb"
    write_transaction_log(again, TransactionLog(path))
    assert path.stat().st_size > 3 * BLOCK_BYTES
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "records",
    [[b"first", b"", b"third"], [to_block_end(HEADER + 2), b"y" * 20], [b"a", b"y" * (BLOCK_BYTES + 40)]],
    ids=["short", "over a block's end", "longer than a block"],
)
def test_torn_wherever_it_ends(tmp_path: Path, records: list[bytes]) -> None:
    """Cut near a record's begin or end, or a block's: the records before are read, and the file is torn, not damaged.

    Where it is cut between two records nothing is missing that could be known of.
    """
    path = written(tmp_path, records)
    whole = path.read_bytes()
    ends = [written(tmp_path, records[:count]).stat().st_size for count in range(len(records) + 1)]
    near = {at + by for at in (*ends, BLOCK_BYTES, len(whole)) for by in range(-10, 11)}
    for length in sorted(at for at in near if 0 < at <= len(whole)):
        path.write_bytes(whole[:length])
        count = sum(1 for end in ends[1:] if end <= length)
        assert read(path) == (records[:count], False, length not in ends), length


@pytest.mark.parametrize("zeros", [3, 100, 2 * BLOCK_BYTES])
def test_zeros_at_the_end(tmp_path: Path, zeros: int) -> None:
    """What a power cut may leave: no damage."""
    path = written(tmp_path, [b"first"])
    path.write_bytes(path.read_bytes() + bytes(zeros))
    records, damaged, torn = read(path)
    assert (records, damaged) == ([b"first"], False)
    assert torn


def test_an_end_of_nothing(tmp_path: Path) -> None:
    """A log without records has its header, and is whole; an empty file is torn."""
    path = written(tmp_path, [])
    assert path.read_bytes() == FILE_HEADER
    assert read(path) == ([], False, False)
    path.write_bytes(b"")
    assert read(path) == ([], False, True)


def test_where_writing_fails_the_old_file_stays(tmp_path: Path) -> None:
    """The new one takes its place whole, or not at all."""

    def failing() -> Iterator[bytes]:
        yield b"x" * 2 * BLOCK_BYTES
        raise OSError("disk full")

    path = written(tmp_path, [b"old"])
    with pytest.raises(OSError, match="disk full"):
        write_transaction_log(path, failing())
    assert read(path) == ([b"old"], False, False)
    assert list(tmp_path.iterdir()) == [path]
    written(tmp_path, [b"new"])
    assert read(path) == ([b"new"], False, False)
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_may_be_written_over_while_it_is_read(tmp_path: Path) -> None:
    """What is read from is the old file, to its end."""
    path = written(tmp_path, [b"a" * BLOCK_BYTES, b"b"])
    write_transaction_log(path, TransactionLog(path))
    assert read(path) == ([b"a" * BLOCK_BYTES, b"b"], False, False)
