"""SFT rows as samples, and as rows to train on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks.grounding import (
    AnswerReader,
    BoxTarget,
    GroundingSample,
    MarkTarget,
    PointTarget,
    RefusalTarget,
    SampleFileError,
    read_samples,
    read_sft_rows,
    read_sft_samples,
    sample_from_sft_row,
)

MESSAGES = [
    {"role": "system", "content": "You click."},
    {"role": "user", "content": "Goal: Save."},
    {"role": "assistant", "content": "Action: CLICK(x=0.20, y=0.30)"},
]


def write(folder: Path, *rows: Any) -> Path:
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    path = folder / "samples.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def row(answer: str | None = None, **changes: Any) -> dict[str, Any]:
    messages = MESSAGES if answer is None else [*MESSAGES[:2], {"role": "assistant", "content": answer}]
    return {"images": ["a.png"], "messages": messages, "bbox": [0.1, 0.2, 0.3, 0.4], **changes}


def test_a_row_becomes_a_sample_without_its_answer(tmp_path: Path) -> None:
    (sample,) = read_sft_samples(write(tmp_path, row(group="dialog")))
    assert sample == GroundingSample(
        id="samples.jsonl:1",
        image=tmp_path / "a.png",
        messages=tuple(MESSAGES[:2]),
        target=BoxTarget(0.1, 0.2, 0.3, 0.4),
        groups={"group": "dialog"},
        answer=MESSAGES[2]["content"],
    )


def test_empty_lines_are_passed_over_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "", row(), "  ", row(), "")
    assert [sample.id for sample in read_sft_samples(path)] == ["samples.jsonl:2", "samples.jsonl:4"]


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"point": [0.5, 0.25], "tolerance": 0.1}, PointTarget(0.5, 0.25, 0.1)),
        ({"point": [0.5, 0.25]}, PointTarget(0.5, 0.25, 0.05)),
        ({"answer": "Action: CLICK(x=0.20, y=0.30)"}, PointTarget(0.2, 0.3, 0.05)),
        ({"answer": "Action: CLICK(x=0.20, y=0.30)", "tolerance": 0.02}, PointTarget(0.2, 0.3, 0.02)),
        ({"answer": "Action: CLICK([3])"}, MarkTarget(3)),
    ],
)
def test_without_a_box_a_point_or_the_answer_says_what_is_right(tmp_path: Path, changes: Any, target: Any) -> None:
    (sample,) = read_sft_samples(write(tmp_path, row(bbox=None, **changes)))
    assert sample.target == target


def test_an_answer_in_a_familys_own_form_is_read_with_its_reader_and_the_resized_size(tmp_path: Path) -> None:
    path = write(tmp_path, row("(8, 4)", bbox=None))
    samples = read_samples(
        path, format="sft", reader=AnswerReader(space="pixels"), resized=lambda width, height: (2 * width, 2 * height)
    )
    assert samples[0].target == PointTarget(0.5, 0.25)


def test_a_trained_refusal_is_right_if_refused(tmp_path: Path) -> None:
    made = sample_from_sft_row(row("[-1,-1]", bbox=None), "s", reader=AnswerReader(family="ui_venus"))
    assert made is not None
    assert made.target == RefusalTarget()
    assert made.id == "s"


@pytest.mark.parametrize("answer", ['Action: TYPE(text="hello")', "Action: WAIT()", "Action: DONE()"])
def test_answers_that_point_nowhere_are_counted_apart(tmp_path: Path, answer: str) -> None:
    samples = read_sft_samples(write(tmp_path, row(answer, bbox=None), row()))
    assert (len(samples), samples.ungraded, samples.problems) == (1, 1, ())
    with pytest.raises(SampleFileError, match="none of its 1 rows has an answer that points anywhere"):
        read_sft_samples(write(tmp_path, row(answer, bbox=None)))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"images": [', "not JSON"),
        ("[1, 2]", "expected a JSON object, found list"),
        ("[" * 100_000, "nested too deeply"),
        (row(images=[]), "expected one picture, found 0"),
        (row(images=["a.png", "a.png"]), "expected one picture, found 2"),
        (row(images=[7]), "must be the path of a picture"),
        (row(images=None), "there is no picture"),
        (row(messages=[]), '"messages" must be a list'),
        (row(messages=[{"role": "user"}]), '"role" and a "content"'),
        (row(messages=[{"role": "user", "content": 3}]), "must be text, or a list"),
        (row(messages=[{"role": "user", "content": ["text"]}]), "must be text, or a list"),
        (row(messages=MESSAGES[2:]), "no user message"),
        (row(messages=[{"role": "user", "content": [{"type": "image"}, {"type": "image"}]}]), "more image places"),
        (row(messages=MESSAGES[:2], bbox=None), "nothing says where to click"),
        (row("the button at the top", bbox=None), "the answer can't be read"),
        (row("Action: CLICK(x=420, y=0.3)", bbox=None), "off the screen"),
        (row(bbox=[0.1, 0.2, 0.3]), "four numbers"),
        (row(bbox="box"), "four numbers"),
        (row(bbox=[0, 0, 1, 10**400]), "four numbers"),
        (row(bbox=[0.1, 0.2, True, 0.4]), "four numbers"),
        (row(bbox=[0.1, 0.2, float("nan"), 0.4]), "finite"),
        (row(bbox=[0.3, 0.2, 0.1, 0.4]), "left ≤ right"),
        (row(bbox=[10, 20, 300, 400]), "shares of the screen"),
        (row(bbox=[0, 0, 300, 40]), "shares of the screen"),
        (row(bbox=[0.9, 0.9, 1.1, 1]), "shares of the screen"),
        (row(bbox=[0.1, 0.2, 0.1, 0.4]), "no area"),
        (row(bbox=None, point=[0.5, 0.5], tolerance=0), "must be positive"),
        (row(bbox=None, point=[420, 0.5]), "shares of the screen"),
    ],
)
def test_a_broken_line_is_named_and_left_out_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: Any, said: str
) -> None:
    samples = read_sft_samples(write(tmp_path, row(), bad, row()))
    assert [sample.id for sample in samples] == ["samples.jsonl:1", "samples.jsonl:3"]
    (problem,) = samples.problems
    assert problem.place == "samples.jsonl:2"
    assert said in problem.reason
    assert "1 of 3 rows are left out: samples.jsonl:2: " in caplog.text
    with pytest.raises(SampleFileError, match=r"not one of its rows can be used: samples\.jsonl:1: "):
        read_sft_samples(write(tmp_path, bad))


def test_a_line_that_is_no_utf8_is_named_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, row())
    path.write_bytes(path.read_bytes() + b"\n{\xe9}")
    (problem,) = read_sft_samples(path).problems
    assert problem.place == "samples.jsonl:2"
    assert "'utf-8' codec" in problem.reason


def test_twenty_broken_lines_are_named_and_the_others_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        samples = read_sft_samples(write(tmp_path, row(), *["{"] * 25))
    assert len(samples.problems) == 25
    assert "samples.jsonl:21: " in caplog.text
    assert "samples.jsonl:22: " not in caplog.text
    assert "and 5 more" in caplog.text


def test_rows_for_training_need_no_box_and_get_absolute_paths(tmp_path: Path) -> None:
    plain = row()
    del plain["bbox"]
    (read,) = read_sft_rows(write(tmp_path, plain))
    assert read["images"] == [str(tmp_path / "a.png")]
    assert read["messages"] == MESSAGES


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"images": [', "not JSON"),
        ("[1, 2]", "expected a JSON object, found list"),
        (row(images="a.png"), '"images" must be a list'),
        (row(messages=[{"role": "user"}]), '"role" and a "content"'),
        (row(images=["gone.png"]), r"the picture .*gone\.png does not exist"),
        (row(images=["samples.jsonl"]), r"the picture .*samples\.jsonl can't be opened"),
    ],
)
def test_training_stops_at_the_first_line_that_cannot_be_trained_on(tmp_path: Path, bad: Any, said: str) -> None:
    with pytest.raises(SampleFileError, match=r"samples\.jsonl, line 2: .*" + said):
        read_sft_rows(write(tmp_path, row(), bad, "{"))


@pytest.mark.parametrize("read", [read_sft_rows, read_sft_samples])
def test_a_file_without_rows_and_a_file_that_is_not_there(tmp_path: Path, read: Any) -> None:
    with pytest.raises(SampleFileError, match="has no rows"):
        read(write(tmp_path, "", ""))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.jsonl")
