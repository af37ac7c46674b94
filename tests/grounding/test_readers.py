"""What all readers share, and our own format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks.grounding import (
    BoxTarget,
    GroundingSample,
    MarkTarget,
    PointTarget,
    PolygonTarget,
    RefusalTarget,
    SampleFileError,
    read_samples,
)
from oaml_callbacks.grounding.readers import FORMATS


def write(folder: Path, *rows: Any, name: str = "samples.jsonl") -> Path:
    Image.new("RGB", (200, 100)).save(folder / "a.png")
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def row(**changes: Any) -> dict[str, Any]:
    whole = {"image": "a.png", "instruction": "Save", "bbox": [0.1, 0.2, 0.3, 0.4], **changes}
    return {name: value for name, value in whole.items() if value is not None}


def test_a_row_becomes_a_sample(tmp_path: Path) -> None:
    path = write(tmp_path, row(groups={"type": "icon", "level": 2, "empty": None}, answer="CLICK()", id="save-1"))
    assert list(read_samples(path)) == [
        GroundingSample(
            id="save-1",
            image=tmp_path / "a.png",
            messages=({"role": "user", "content": "Save"},),
            target=BoxTarget(0.1, 0.2, 0.3, 0.4),
            groups={"type": "icon", "level": "2"},
            answer="CLICK()",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"bbox": [20, 10, 100, 50], "units": "pixels"}, BoxTarget(0.1, 0.1, 0.5, 0.5)),
        ({"bbox": [20, 10, 100, 50], "units": "pixels", "image_size": [400, 100]}, BoxTarget(0.05, 0.1, 0.25, 0.5)),
        ({"bbox": None, "polygon": [[0, 0], [0.5, 0], [0, 0.5]]}, PolygonTarget(((0, 0), (0.5, 0), (0, 0.5)))),
        (
            {"bbox": None, "polygon": [0, 0, 100, 0, 0, 50], "units": "pixels"},
            PolygonTarget(((0, 0), (0.5, 0), (0, 0.5))),
        ),
        ({"bbox": None, "point": [0.5, 0.5], "tolerance": 0.1, "units": "shares"}, PointTarget(0.5, 0.5, 0.1)),
        ({"bbox": None, "point": [100, 50], "tolerance": 0.1, "units": "pixels"}, PointTarget(0.5, 0.5, 0.1)),
        ({"bbox": None, "mark": 3}, MarkTarget(3)),
        ({"bbox": None, "refusal": True}, RefusalTarget()),
        ({"refusal": False}, BoxTarget(0.1, 0.2, 0.3, 0.4)),
    ],
)
def test_every_kind_of_target_in_shares_or_pixels(tmp_path: Path, changes: Any, target: Any) -> None:
    assert read_samples(write(tmp_path, row(**changes)))[0].target == target


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(image=None), "there is no picture: expected its path in 'image'"),
        (row(image=["a.png", "a.png"]), "expected one picture, found 2"),
        (row(image=""), "must be the path of a picture"),
        (row(bbox=[0.9, 0.9, 1.2, 1.1]), "shares of the screen"),
        (row(bbox=[20, 10, 210, 50], units="pixels"), "reaches outside its picture of 200 x 100 pixels"),
        (row(bbox=[20, 10, 20, 50], units="pixels"), "no area"),
        (row(bbox=[0.1, 0.2, 0.3, 0.4], units="percent"), '"units" must be "shares" or "pixels"'),
        (row(bbox=[20, 10, 40, 50], units="pixels", image="gone.png"), "gone.png does not exist"),
        (row(bbox=[20, 10, 40, 50], units="pixels", image="samples.jsonl"), "samples.jsonl can't be opened"),
        (row(bbox=[20, 10, 40, 50], units="pixels", image_size=[0, 5]), '"image_size" must be [width, height]'),
        (row(bbox=None), "exactly one of"),
        (row(point=[0.5, 0.5], tolerance=0.1), 'found "bbox" and "point"'),
        (row(bbox=None, point=[0.5, 0.5]), 'a "point" needs a "tolerance" beside it, such as 0.05'),
        (row(bbox=None, point=[0.5, 0.5], tolerance="wide"), "tolerance must be one number"),
        (row(bbox=None, refusal="yes"), '"refusal" must be true or false'),
        (row(bbox=None, mark="3"), '"mark" must be a whole number'),
        (row(bbox=None, polygon=[[0, 0], [1, 1]]), "three corners"),
        (row(bbox=None, polygon=[0, 0, 1, 1, 0]), "polygon must be corners"),
        (row(bbox=None, polygon="box"), "polygon must be corners"),
        (row(instruction=None), 'either an "instruction" or "messages"'),
        (row(instruction="  "), "the instruction must be text"),
        (row(instruction=None, messages=[{"role": "assistant", "content": "x"}]), "end with the user's turn"),
        (row(groups=["icon"]), '"groups" must be an object'),
        (row(answer=3), '"answer" must be text'),
    ],
)
def test_a_row_that_cannot_be_a_sample_says_why_and_the_rest_is_read(tmp_path: Path, bad: Any, said: str) -> None:
    samples = read_samples(write(tmp_path, row(), bad, row()))
    assert [sample.id for sample in samples] == ["samples.jsonl:1", "samples.jsonl:3"]
    (problem,) = samples.problems
    assert problem.place == "samples.jsonl:2"
    assert said in problem.reason


def test_messages_are_asked_as_they_are(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "You click."}, {"role": "user", "content": "Save"}]
    path = write(tmp_path, row(instruction=None, messages=messages))
    assert list(read_samples(path, prompt="Not this: {instruction}", system="Nor this")[0].messages) == messages


def test_an_instruction_is_put_into_the_prompt_with_its_braces(tmp_path: Path) -> None:
    path = write(tmp_path, row(instruction="Click {x}"))
    samples = read_samples(path, prompt='{instruction} Answer {"x": 0}.', system="You click.")
    assert [message["content"] for message in samples[0].messages] == ["You click.", 'Click {x} Answer {"x": 0}.']


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": "Click"}, "prompt must say where the instruction goes"),
        ({"tolerance": 0}, "tolerance must be a positive share"),
        ({"format": "screenspot_v2"}, r"no format 'screenspot_v2'.*did you mean screenspot-v2\? Known: jsonl, sft"),
        ({"format": "zzz"}, "no format 'zzz' of samples. Known: "),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_samples(write(tmp_path, row()), **options)


def test_pictures_may_lie_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pictures").mkdir()
    path = write(tmp_path, row())
    (tmp_path / "a.png").rename(tmp_path / "pictures" / "a.png")
    assert read_samples(path, images=tmp_path / "pictures")[0].open_image().size == (200, 100)
    assert not caplog.text
    assert len(read_samples(path)) == 1
    assert f"none of its pictures exist; the first is {tmp_path / 'a.png'}. Give their folder" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        read_samples(path, images=tmp_path / "nowhere")


def test_ids_that_repeat_become_unique_so_that_every_row_counts(tmp_path: Path) -> None:
    path = write(tmp_path, *(row(id=name) for name in ("a", "b", "a", "a#2", "a", 7, "7")))
    assert [sample.id for sample in read_samples(path)] == ["a", "b", "a#3", "a#2", "a#4", "7", "7#2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"image": 1}\n{"image": 2}', "can't be read as JSON: Extra data.* its name must end in .jsonl"),
        ('{"rows": []}', "must hold a JSON list of rows, found dict"),
        ("[]", "has no rows"),
    ],
)
def test_a_json_file_that_is_no_list_of_rows_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SampleFileError, match=said):
        read_samples(write(tmp_path, text, name="samples.json"))


def test_rows_of_a_json_list_are_placed_by_their_index(tmp_path: Path) -> None:
    samples = read_samples(write(tmp_path, json.dumps([row(), 3, row()]), name="samples.json"))
    assert [sample.id for sample in samples] == ["samples.json[0]", "samples.json[2]"]
    assert samples.problems[0].place == "samples.json[1]"


def test_a_folder_is_refused_where_a_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(SampleFileError, match="is a folder"):
        read_samples(tmp_path)
    with pytest.raises(SampleFileError, match=r"has no OSWorld-G\.json, so it holds no samples"):
        read_samples(tmp_path, format="osworld-g")


def test_every_format_goes_by_its_own_name() -> None:
    assert all(name == known.name for name, known in FORMATS.items())
    assert {"jsonl", "sft", "screenspot", "screenspot-v2", "screenspot-v2-hub", "screenspot-pro"} <= set(FORMATS)
    assert {"osworld-g", "ui-vision", "mmbench-gui", "mmbench-gui-pixels"} <= set(FORMATS)
