"""What others may have written: paths that lead elsewhere, files that are no JSON, values that are none."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaml_callbacks.viewer import reading
from oaml_callbacks.viewer.reading import (
    Problem,
    number,
    numbers,
    open_inside,
    parse_object,
    read_json,
    short,
    stamp,
    text,
)

pytestmark = pytest.mark.newest_only


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with one file, beside a file that is nobody's business."""
    (tmp_path / "run" / "oaml").mkdir(parents=True)
    (tmp_path / "run" / "oaml" / "run.json").write_text('{"id": "abc"}')
    (tmp_path / "secret.json").write_text('{"id": "secret"}')
    return tmp_path / "run"


def test_a_file_below_the_folder_is_found(folder: Path) -> None:
    with open_inside(folder, "oaml/run.json") as file:
        assert file.read() == b'{"id": "abc"}'


@pytest.mark.parametrize(
    "relative",
    [
        "",
        ".",
        "..",
        "../secret.json",
        "oaml/../../secret.json",
        "oaml/./run.json",
        "oaml//run.json",
        "oaml/run.json/",
        "/etc/passwd",
        "//etc/passwd",
        "..\\secret.json",
        "oaml\\run.json",
        "C:/secret.json",
        "oaml/run.json\0.png",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_none(folder: Path, relative: str) -> None:
    with pytest.raises(Problem, match="no path in a run folder"):
        open_inside(folder, relative)


@pytest.mark.parametrize(
    "relative",
    ["%2e%2e%2fsecret.json", "%2e%2e/secret.json", "oaml/gone.json", "x" * 5000, "\ud800", "oaml/run.json/more"],
)
def test_what_is_not_there_is_said_not_to_be_there(folder: Path, relative: str) -> None:
    with pytest.raises(Problem, match="isn't there"):
        open_inside(folder, relative)


def test_a_link_is_not_followed(folder: Path) -> None:
    (folder / "link.json").symlink_to(folder.parent / "secret.json")
    with pytest.raises(Problem, match="a link, which isn't followed"):
        open_inside(folder, "link.json")


def test_a_link_to_a_folder_is_not_followed(folder: Path) -> None:
    (folder / "up").symlink_to(folder.parent, target_is_directory=True)
    with pytest.raises(Problem, match="a link, which isn't followed"):
        open_inside(folder, "up/secret.json")


def test_a_folder_or_a_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")
    for relative in ("oaml", "pipe.json"):
        with pytest.raises(Problem, match="is no file"):
            open_inside(folder, relative)


def test_the_message_of_a_hostile_path_is_short_and_on_one_line(folder: Path) -> None:
    with pytest.raises(Problem) as problem:
        open_inside(folder, "../\n\x1b[31m" + "x" * 100_000)
    assert len(str(problem.value)) < 400
    assert str(problem.value).isprintable()


def test_a_stamp_is_another_one_after_any_change(folder: Path) -> None:
    path = folder / "oaml" / "run.json"
    stamps = [stamp(folder, "oaml/run.json")]
    path.write_text('{"id": "abcd"}')
    stamps.append(stamp(folder, "oaml/run.json"))
    os.utime(path, ns=(1, 1))
    stamps.append(stamp(folder, "oaml/run.json"))
    (folder / "new").write_text('{"id": "abcd"}')
    os.utime(folder / "new", ns=(1, 1))
    os.replace(folder / "new", path)
    stamps.append(stamp(folder, "oaml/run.json"))
    assert None not in stamps
    assert len(set(stamps)) == len(stamps)


def test_what_is_not_read_has_no_stamp(folder: Path) -> None:
    (folder / "link.json").symlink_to(folder / "oaml" / "run.json")
    assert [stamp(folder, name) for name in ("gone.json", "link.json", "../secret.json")] == [None] * 3


def test_an_object_is_read(folder: Path) -> None:
    assert read_json(folder, "oaml/run.json") == {"id": "abc"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1, 2]", "holds a list where an object was expected"),
        (b'"text"', "holds a text"),
        (b"null", "holds null"),
        (b"true", "holds true or false"),
        (b"17", "holds a number"),
        (b"NaN", "holds a number"),
        (b"", "is no JSON, or was cut off"),
        (b'{"id": "ab', "is no JSON, or was cut off"),
        (b"{'id': 1}", "is no JSON$"),
        (b"\xff\xfe\x00\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "is no JSON$"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "is no JSON$"),
    ],
)
def test_what_is_no_object_is_named(folder: Path, content: bytes, said: str) -> None:
    (folder / "odd.json").write_bytes(content)
    with pytest.raises(Problem, match=f"^odd.json {said}"):
        read_json(folder, "odd.json")


def test_a_file_that_is_too_large_is_not_read(folder: Path) -> None:
    with open(folder / "large.json", "wb") as file:
        file.truncate(reading.MAX_JSON + 2**20)
    with pytest.raises(Problem, match="17 MB, more than the 16 that are read"):
        read_json(folder, "large.json")


def test_bytes_that_are_no_utf_8_spoil_their_own_text_alone() -> None:
    assert parse_object(b'{"a": "x\xffy", "b": 1}', "") == {"a": "x\ufffdy", "b": 1}


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_a_problem(data: bytes) -> None:
    with suppress(Problem):
        assert isinstance(parse_object(data, "it"), dict)


@pytest.mark.parametrize("value", [0, -1, 0.5, 1e308, 10**300])
def test_a_finite_number_is_one(value: float) -> None:
    assert number(value) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True, "1", None, [1], {}])
def test_what_is_no_finite_number_is_none(value: Any) -> None:
    assert number(value) is None


def test_a_number_too_large_for_a_float_is_none_too() -> None:
    assert number(json.loads("1e999")) is None
    assert reading.whole(json.loads("-1e999"), 7) == 7


def test_a_whole_number_has_no_fraction() -> None:
    assert reading.whole(30.9) == 30
    assert reading.whole("30") is None


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    found = text("ä" * 1_000_000, 10)
    assert found == f"{'ä' * 10} …[cut: 1,000,000 characters]"


def test_nothing_acts_in_a_text() -> None:
    assert text("a\x1b[31m\u202eb\ud800c\n") == "a\\x1b[31m\\u202eb\ufffdc\n"


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (5, "5"), (math.nan, "NaN"), ({"a": [1]}, '{"a": [1]}'), ("", "")]
)
def test_what_is_no_text_is_shown_as_json(value: Any, expected: str | None) -> None:
    assert text(value) == expected


@given(
    st.recursive(
        st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_value_becomes_text_that_can_be_sent(value: Any) -> None:
    (text(value) or "").encode("utf-8")


def test_a_name_is_on_one_line() -> None:
    assert short("a\nb\tc") == "a b c"
    assert short(None) == ""
    assert len(short("x" * 10_000)) < 250


def test_places_have_as_many_finite_numbers_as_they_must() -> None:
    assert numbers([0.25, 1], 2) == [0.25, 1]


@pytest.mark.parametrize(
    "value", [[1], [1, 2, 3], [1, math.nan], [1, "2"], [1, None], "12", {"0": 1, "1": 2}, None, 12]
)
def test_other_places_are_none(value: Any) -> None:
    assert numbers(value, 2) is None
