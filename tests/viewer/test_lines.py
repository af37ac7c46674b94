"""Files of lines: any line without the others, while the file grows, and when it is another one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from oaml_callbacks.viewer import lines as lines_module
from oaml_callbacks.viewer.lines import Changed, Lines, TooLong, parse_line
from oaml_callbacks.viewer.reading import Problem

from .raw_runs import lines as as_lines
from .raw_runs import without_rights

pytestmark = pytest.mark.newest_only

NAME = "rows.jsonl"


def opened(folder: Path, content: str | bytes) -> Lines:
    """The lines of a file with that content."""
    (folder / NAME).write_bytes(content.encode() if isinstance(content, str) else content)
    found = Lines(folder, NAME)
    found.refresh()
    return found


def raw(found: Lines, first: int, count: int = 1) -> list[bytes]:
    return [data for _, data in found.read(first, count)]


def added(folder: Path, content: str) -> None:
    with open(folder / NAME, "a") as file:
        file.write(content)


def test_any_line_is_read_without_the_others(tmp_path: Path) -> None:
    found = opened(tmp_path, as_lines(*({"n": number} for number in range(5000))))
    assert len(found) == 5000
    assert [json.loads(found.line(line) or b"null") for line in (4999, 0, 2500)] == [
        {"n": 4999},
        {"n": 0},
        {"n": 2500},
    ]


def test_lines_longer_than_what_is_read_at_once_are_whole(tmp_path: Path) -> None:
    rows = [b"a" * (3 * 2**20), b"b", b"c" * 2**20, b"d"]
    found = opened(tmp_path, b"".join(row + b"\n" for row in rows))
    assert [raw(found, line) for line in range(4)] == [[row] for row in rows]


def test_several_lines_are_read_at_once_and_none_beyond_the_end(tmp_path: Path) -> None:
    found = opened(tmp_path, "a\nb\nc\n")
    assert raw(found, 1, 10) == [b"b", b"c"]
    assert raw(found, -1, 2) == [b"a"]
    assert raw(found, 3, 2) == []


def test_blocks_have_all_lines_in_order(tmp_path: Path) -> None:
    found = opened(tmp_path, "".join(f"{number}\n" for number in range(2500)))
    assert list(found.read(999)) == [(number, str(number).encode()) for number in range(999, 2500)]


def test_an_unfinished_line_is_not_there_until_it_is_ended(tmp_path: Path) -> None:
    found = opened(tmp_path, '{"n": 0}\n{"n"')
    assert len(found) == 1
    added(tmp_path, ": 1}\n")
    found.refresh()
    assert json.loads(found.line(1) or b"null") == {"n": 1}


def test_empty_lines_count(tmp_path: Path) -> None:
    found = opened(tmp_path, 'x\n\n{"n": 2}\n')
    assert raw(found, 1) == [b""]
    assert json.loads(found.line(2) or b"null") == {"n": 2}


def test_what_is_added_is_found(tmp_path: Path) -> None:
    found = opened(tmp_path, "a\n")
    for number in range(3):
        added(tmp_path, f"{number}\n")
        found.refresh()
    assert raw(found, 0, 9) == [b"a", b"0", b"1", b"2"]


def test_a_file_that_grows_is_the_same_one(tmp_path: Path) -> None:
    found = opened(tmp_path, "a\n")
    before = found.begun
    added(tmp_path, "b\n")
    found.refresh()
    assert found.begun == before


def test_a_replaced_file_is_begun_anew(tmp_path: Path) -> None:
    found = opened(tmp_path, "first\nsecond\n")
    (tmp_path / "new").write_text("a\nlonger than the first\nthird\n")
    os.replace(tmp_path / "new", tmp_path / NAME)
    found.refresh()
    assert [raw(found, line) for line in range(3)] == [[b"a"], [b"longer than the first"], [b"third"]]


def test_a_shortened_file_is_begun_anew(tmp_path: Path) -> None:
    found = opened(tmp_path, "first\nsecond\nthird\n")
    (tmp_path / NAME).write_text("1\n2\n3\n4\n")
    found.refresh()
    assert [raw(found, line) for line in range(4)] == [[b"1"], [b"2"], [b"3"], [b"4"]]


def test_a_file_written_anew_with_as_many_bytes_is_begun_anew(tmp_path: Path) -> None:
    found = opened(tmp_path, "ab\ncd\n")
    (tmp_path / NAME).write_text("a\nbcd\n")
    os.utime(tmp_path / NAME, ns=(1, 1))
    found.refresh()
    assert [raw(found, line) for line in (0, 1)] == [[b"a"], [b"bcd"]]


def test_a_file_that_goes_has_no_lines_and_may_come_again(tmp_path: Path) -> None:
    found = opened(tmp_path, "a\n")
    (tmp_path / NAME).unlink()
    assert found.refresh() is None
    assert len(found) == 0
    (tmp_path / NAME).write_text("b\n")
    assert found.refresh() is not None
    assert raw(found, 0) == [b"b"]


def test_a_file_that_may_not_be_read_is_an_error_each_time_until_it_may() -> None:
    with without_rights() as folder:
        (folder / NAME).write_text("a\n")
        (folder / NAME).chmod(0)
        found = Lines(folder, NAME)
        for _ in range(2):
            with pytest.raises(Problem, match="may not be read"):
                found.refresh()
        (folder / NAME).chmod(0o600)
        found.refresh()
        assert raw(found, 0) == [b"a"]


def test_a_file_that_is_a_link_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a\n")
    (tmp_path / NAME).symlink_to("elsewhere")
    found = Lines(tmp_path, NAME)
    assert found.refresh() is None
    assert len(found) == 0


@pytest.mark.parametrize("name", ["../rows.jsonl", "/etc/passwd", "None", ""])
def test_a_name_that_leads_elsewhere_has_no_lines(tmp_path: Path, name: str) -> None:
    (tmp_path / "rows.jsonl").write_text("a\n")
    (tmp_path / "run").mkdir()
    found = Lines(tmp_path / "run", name)
    assert found.refresh() is None
    assert raw(found, 0, 5) == []


def test_a_line_that_is_too_long_is_empty_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE", 10)
    found = opened(tmp_path, f"a\n{'b' * 20}\nc\n")
    assert raw(found, 0, 3) == [b"a", b"", b"c"]
    assert raw(found, 1) == [b""]


def test_what_is_no_object_is_named_by_its_line() -> None:
    for data, problem in ((b"[]", "it holds a list"), (TooLong.of(50 * 2**20), "it has 50 MB")):
        with pytest.raises(Problem, match=problem):
            parse_line(data, "it")


def test_a_file_that_is_too_large_is_told(tmp_path: Path) -> None:
    with open(tmp_path / NAME, "wb") as file:
        file.truncate(3 * 2**30)  # of nothing, and so it takes no room
    with pytest.raises(Problem, match=r"has 3\.0 GB"):
        Lines(tmp_path, NAME).refresh()


def test_a_file_in_the_place_of_another_is_begun_anew_also_with_its_inode(tmp_path: Path) -> None:
    found = opened(tmp_path, "first\nsecond\n")
    with open(tmp_path / NAME, "r+b") as file:  # the same inode, and longer
        file.write(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n")
    found.refresh()
    assert raw(found, 0, 3) == [b"1", b"2", b"3"]


def test_a_file_that_is_replaced_between_two_looks_is_told(tmp_path: Path) -> None:
    found = opened(tmp_path, "a\nb\n")
    (tmp_path / "new").write_text("longer\n")
    os.replace(tmp_path / "new", tmp_path / NAME)
    with pytest.raises(Changed):
        raw(found, 0)
    found.refresh()
    assert raw(found, 0) == [b"longer"]


def test_a_sample_is_found_where_the_lines_are_in_order(tmp_path: Path) -> None:
    found = opened(tmp_path, as_lines(*({"sample": number} for number in range(3))))
    assert [found.line_of(place) for place in (2, 0, 3)] == [2, 0, None]


def test_a_sample_is_found_where_lines_are_out_of_order_or_missing(tmp_path: Path) -> None:
    found = opened(tmp_path, '{"sample":7,"a":1}\n{"sample": 2}\n{"sample":5}\n')
    assert [found.line_of(place) for place in (2, 7, 5, 0, 6)] == [1, 0, 2, None, None]


def test_a_sample_is_found_after_the_file_has_grown(tmp_path: Path) -> None:
    found = opened(tmp_path, '{"sample":7}\n')
    assert found.line_of(3) is None
    added(tmp_path, '{"sample":3}\n')
    found.refresh()
    assert found.line_of(3) == 1


def test_a_line_without_its_sample_stands_for_that_of_its_own_number(tmp_path: Path) -> None:
    found = opened(tmp_path, '{"sample":0}\nbroken\n{"sample":2}\n')
    assert found.line_of(1) == 1


@pytest.mark.parametrize("place", ["-1", '"1"', "1.5", "99999999999", "null"])
def test_a_sample_that_is_no_number_of_one_is_none(tmp_path: Path, place: str) -> None:
    found = opened(tmp_path, f'{{"sample":{place}}}\n{{"sample":1}}\n')
    assert found.line_of(1) == 1
