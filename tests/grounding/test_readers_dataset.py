"""Samples out of datasets, whose pictures stay where they are until they are opened."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch.utils.data
from PIL import Image

from oaml_callbacks.grounding import BoxTarget, SampleFileError, samples_from_dataset

MESSAGES = [{"role": "user", "content": "Save"}, {"role": "assistant", "content": "Action: CLICK(x=0.5, y=0.25)"}]


def png(width: int = 40, height: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each picture that `datasets` decodes."""
    calls: list[int] = []
    whole = datasets.Image.decode_example

    def counting(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return whole(self, *args, **options)

    monkeypatch.setattr(datasets.Image, "decode_example", counting)
    return calls


def hub(count: int = 4, data: bytes | None = None, **columns: Any) -> Any:
    rows = {
        "image": [{"bytes": data or png(), "path": None}] * count,
        "bbox": [[0.1, 0.2, 0.3, 0.4]] * count,
        "instruction": [f"open {index}" for index in range(count)],
        "data_type": ["icon"] * count,
        "data_source": ["ios"] * count,
        **columns,
    }
    return datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())


def test_a_benchmark_from_the_hub_is_read_without_decoding_a_picture(decoded: list[int]) -> None:
    samples = samples_from_dataset(hub(), format="screenspot-v2-hub")
    assert [sample.target for sample in samples] == [BoxTarget(0.1, 0.2, 0.3, 0.4)] * 4
    assert samples[2].id == "row 2"
    assert samples[2].groups == {"platform": "mobile", "type": "icon"}
    assert samples.macro == ("platform", "type")
    assert not decoded
    assert samples[2].open_image().size == (40, 20)
    assert len(decoded) == 1


def test_boxes_in_pixels_take_the_size_from_the_pictures_head_alone(decoded: list[int]) -> None:
    (sample,) = samples_from_dataset(hub(1, bbox=[[4, 2, 8, 6]]), format="screenspot-v2")
    assert sample.target == BoxTarget(0.1, 0.1, 0.3, 0.4)
    assert not decoded


def test_a_large_dataset_is_not_read_into_memory(tmp_path: Path) -> None:
    """72 MB of pictures, of which none is copied: private memory, not pages of the mapped file."""
    noise = io.BytesIO()
    Image.frombytes("RGB", (800, 500), os.urandom(800 * 500 * 3)).save(noise, "PNG")
    hub(60, noise.getvalue()).save_to_disk(tmp_path / "hub")
    dataset = datasets.load_from_disk(tmp_path / "hub").shuffle(seed=0)
    samples_from_dataset(dataset, format="screenspot-v2-hub", indices=[0])  # what is imported is imported
    before = private_megabytes()
    samples = samples_from_dataset(dataset, format="screenspot-v2-hub")
    assert private_megabytes() - before < 12
    for sample in samples[:20]:
        sample.open_image()
    assert private_megabytes() - before < 30


def private_megabytes() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        pytest.skip("this system doesn't say what memory is private")
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


@pytest.mark.parametrize("wide", [False, True])
def test_rows_are_chosen_by_their_indices(wide: bool) -> None:
    dataset = hub().add_column("id", ["a", "b", "c", "d"]).select([3, 2, 1, 0])
    samples = samples_from_dataset(
        dataset if wide else dataset.remove_columns("id"), format="screenspot-v2-hub", indices=[2, 0]
    )
    assert [sample.instruction for sample in samples] == ["open 1", "open 3"]
    assert [sample.id for sample in samples] == (["b", "d"] if wide else ["row 2", "row 0"])
    with pytest.raises(IndexError, match="4 rows, so there is no row 4"):
        samples_from_dataset(dataset, format="screenspot-v2-hub", indices=[4])


def test_trls_rows_hold_lists_of_pictures(decoded: list[int]) -> None:
    one = {"bytes": png(), "path": None}
    rows = {"images": [[one], [one, one], [], None], "messages": [MESSAGES] * 4}
    features = datasets.Dataset.from_dict({"messages": [MESSAGES]}).features
    features["images"] = datasets.List(datasets.Image())
    samples = samples_from_dataset(datasets.Dataset.from_dict(rows, features=features), format="sft")
    assert not decoded
    assert samples[0].target.point == (0.5, 0.25)
    assert [(problem.place, problem.reason) for problem in samples.problems] == [
        ("row 1", "expected one picture, found 2"),
        ("row 2", "expected one picture, found 0"),
        ("row 3", "there is no picture: expected its path in 'images' or 'image'"),
    ]
    assert samples[0].open_image().size == (40, 20)


def test_parts_that_datasets_filled_up_with_none_are_read(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    content = [{"type": "image", "text": None}, {"type": "text", "text": "Save"}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "CLICK(x=0.5, y=0.25)"}]},
    ]
    dataset = datasets.Dataset.from_list([{"images": ["a.png"], "messages": messages, "bbox": None}])
    (sample,) = samples_from_dataset(dataset, format="sft", images=tmp_path)
    assert sample.instruction == "Save"
    assert sample.target.point == (0.5, 0.25)
    (turn,) = sample.chat(sample.open_image())
    assert [part["type"] for part in turn["content"]] == ["image", "text"]


class Opening(torch.utils.data.Dataset[dict[str, Any]]):
    """A dataset of the user's own that opens a picture whenever a row is asked for."""

    def __init__(self) -> None:
        self.opened = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 1:
            raise OSError("disk error")
        self.opened += 1
        return {"images": [Image.new("RGB", (40 + index, 20))], "messages": MESSAGES}


def test_a_dataset_of_ones_own_is_asked_again_when_a_picture_is_opened() -> None:
    dataset = Opening()
    samples = samples_from_dataset(dataset, format="sft")
    assert dataset.opened == 2
    assert [sample.open_image().size for sample in samples] == [(40, 20), (42, 20)]
    assert dataset.opened == 4
    assert samples.problems[0].reason == "it can't be read: disk error"


def test_rows_made_by_a_transform_are_used_as_they_come(decoded: list[int]) -> None:
    def transform(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"images": [[image] for image in batch["image"]], "messages": [MESSAGES] * len(batch["image"])}

    (sample,) = samples_from_dataset(hub(1).with_transform(transform), format="sft")
    assert sample.open_image().size == (40, 20)


@pytest.mark.parametrize("kind", ["pil", "path", "bytes", "bytes' path"])
def test_every_way_to_hold_a_picture(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    held = {
        "pil": Image.open(path),
        "path": str(path),
        "bytes": {"bytes": png(), "path": None},
        "bytes' path": {"bytes": None, "path": str(path)},
    }[kind]
    row = {"image": held, "instruction": "Save", "bbox": [4, 2, 12, 8], "units": "pixels"}
    (sample,) = samples_from_dataset([row])
    assert sample.target == BoxTarget(0.1, 0.1, 0.3, 0.4)
    assert sample.open_image().size == (40, 20)


def test_a_broken_picture_is_found_when_it_is_opened() -> None:
    samples = samples_from_dataset(hub(1, png()[:40]), format="screenspot-v2-hub")
    with pytest.raises((OSError, ValueError)):
        samples[0].open_image()


def test_rows_without_what_a_format_needs_cannot_be_used() -> None:
    with pytest.raises(
        SampleFileError, match="the dataset: not one of its rows can be used: row 0: there is no picture"
    ):
        samples_from_dataset([{"input_ids": [1, 2]}], format="sft")
    with pytest.raises(SampleFileError, match="expected a mapping of names and values, found list"):
        samples_from_dataset([[1, 2]], format="sft")


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (datasets.DatasetDict({"test": datasets.Dataset.from_dict({"a": [1]})}), r"one split .*dataset\['test'\]"),
        (iter([]), "a length and rows by index"),
    ],
)
def test_what_is_no_dataset_with_rows_by_index_is_refused(dataset: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        samples_from_dataset(dataset)
