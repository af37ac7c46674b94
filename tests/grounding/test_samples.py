"""Reading samples files, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks.grounding import BoxTarget, GroundingSample, SampleFileError, read_sft_rows, read_sft_samples

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


def row(**changes: Any) -> dict[str, Any]:
    return {"images": ["a.png"], "messages": MESSAGES, "bbox": [0.1, 0.2, 0.3, 0.4], **changes}


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


def test_the_picture_goes_into_the_users_turn(tmp_path: Path) -> None:
    (sample,) = read_sft_samples(write(tmp_path, row()))
    image = Image.new("RGB", (8, 8))
    system, user = sample.chat(image)
    assert system == {"role": "system", "content": [{"type": "text", "text": "You click."}]}
    assert user["content"] == [{"type": "image", "image": image}, {"type": "text", "text": "Goal: Save."}]
    assert sample.messages[1]["content"] == "Goal: Save."


def test_empty_lines_are_passed_over_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "", row(), "  ", row(), "")
    assert [sample.id for sample in read_sft_samples(path)] == ["samples.jsonl:2", "samples.jsonl:4"]


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
        (row(images=[]), '"images" must be a list'),
        (row(messages=[]), '"messages" must be a list'),
        (row(messages=[{"role": "user"}]), '"role" and a "content"'),
        (row(messages=[{"role": "user", "content": 3}]), "must be text, or a list"),
        (row(messages=MESSAGES[2:]), "no user message"),
        (row(bbox=None), 'no "bbox"'),
        (row(bbox=[0.1, 0.2, 0.3]), "four numbers"),
        (row(bbox="box"), "four numbers"),
        (row(bbox=[0.3, 0.2, 0.1, 0.4]), "left ≤ right"),
        (row(bbox=[10, 20, 300, 400]), "shares of the screen"),
        (row(bbox=[0.1, 0.2, float("nan"), 0.4]), "finite"),
        (row(images=["a.png", "a.png"]), "expected one picture, found 2"),
        (row(bbox=[0, 0, 1, 10**400]), "four numbers"),
        (row(messages=[{"role": "user", "content": ["text"]}]), "must be text, or a list"),
        (row(messages=[{"role": "user", "content": [{"type": "image"}, {"type": "image"}]}]), "more image places"),
    ],
)
def test_a_broken_line_is_named_with_its_number_and_why(tmp_path: Path, bad: Any, said: str) -> None:
    path = write(tmp_path, row(), bad, row())
    with pytest.raises(SampleFileError, match=r"samples\.jsonl, line 2: .*" + said):
        read_sft_samples(path)


def test_a_line_that_is_no_utf8_is_named_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, row())
    path.write_bytes(path.read_bytes() + b"\n{\xe9}")
    with pytest.raises(SampleFileError, match="line 2: 'utf-8' codec"):
        read_sft_samples(path)


def test_training_on_a_picture_that_is_not_there_names_it(tmp_path: Path) -> None:
    with pytest.raises(SampleFileError, match=r"line 1: the picture .*gone\.png does not exist"):
        read_sft_rows(write(tmp_path, row(images=["gone.png"])))


@pytest.mark.parametrize("read", [read_sft_rows, read_sft_samples])
def test_a_file_without_rows_and_a_file_that_is_not_there(tmp_path: Path, read: Any) -> None:
    with pytest.raises(SampleFileError, match="has no rows"):
        read(write(tmp_path, "", ""))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.jsonl")


def test_a_sample_needs_a_question() -> None:
    with pytest.raises(ValueError, match="no messages"):
        GroundingSample("s", Path("a.png"), (), BoxTarget(0, 0, 1, 1))
