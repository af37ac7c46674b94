"""The benchmarks' own files, as each ships them: which box a row has, and which clicks count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks.grounding import Action, BoxTarget, PolygonTarget, RefusalTarget, Samples, read_samples


def picture(path: Path, size: tuple[int, int] = (200, 100)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def dump(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def boxes(samples: Samples) -> list[Any]:
    return [sample.target.box for sample in samples]


def screenspot(folder: Path, names: str, images: str) -> None:
    for platform, prefix, source in (("mobile", "mobile", "ios"), ("desktop", "pc", "macos"), ("web", "web", "shop")):
        rows = [
            {
                "img_filename": f"{prefix}_a.png",
                "bbox": [20, 10, 40, 30],
                "instruction": f"open {kind}",
                "data_type": kind,
                "data_source": source,
            }
            for kind in ("text", "icon")
        ]
        dump(folder / names.format(platform), rows)
        picture(folder / images / f"{prefix}_a.png")


@pytest.mark.parametrize(
    ("name", "names", "images"),
    [
        ("screenspot", "screenspot_{}.json", "screenspot_imgs"),
        ("screenspot-v2", "screenspot_{}_v2.json", "screenspotv2_image"),
    ],
)
def test_screenspot_in_its_own_files_has_left_top_width_height_in_pixels(
    tmp_path: Path, name: str, names: str, images: str
) -> None:
    # Both in one folder: each format finds its own.
    screenspot(tmp_path, "screenspot_{}.json", "screenspot_imgs")
    screenspot(tmp_path, "screenspot_{}_v2.json", "screenspotv2_image")
    samples = read_samples(tmp_path, format=name, prompt="Click: {instruction}")
    assert boxes(samples) == [(0.1, 0.1, 0.3, 0.4)] * 6
    cells = {(sample.groups["platform"], sample.groups["type"]) for sample in samples}
    assert cells == {(platform, kind) for platform in ("mobile", "desktop", "web") for kind in ("text", "icon")}
    assert samples.macro == ("platform", "type")
    assert samples[0].instruction == "Click: open text"
    assert samples[0].image == tmp_path / images / "pc_a.png"
    assert boxes(read_samples(tmp_path / names.format("web"), format=name)) == [(0.1, 0.1, 0.3, 0.4)] * 2


@pytest.mark.parametrize("name", ["screenspot-hub", "screenspot-v2-hub"])
def test_screenspot_on_the_hub_has_corners_in_shares(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "images" / "pc_a.png")
    row = {"file_name": "pc_a.png", "bbox": [0.1, 0.2, 0.3, 0.4], "instruction": "x", "data_type": "icon"}
    rows = [{**row, "data_source": source} for source in ("android", "windows", "gitlab", "unheard of")]
    samples = read_samples(dump(tmp_path / "test.json", rows), format=name)
    assert boxes(samples) == [(0.1, 0.2, 0.3, 0.4)] * 4
    assert [sample.groups["platform"] for sample in samples] == ["mobile", "desktop", "web", "desktop"]


def test_the_wrong_form_of_screenspot_is_not_guessed_right(tmp_path: Path) -> None:
    """Numbers alone can't tell, so the name decides, and what can't be is named."""
    picture(tmp_path / "pc_a.png")
    row = {"img_filename": "pc_a.png", "instruction": "x", "data_type": "icon", "data_source": "windows"}
    path = dump(tmp_path / "x.json", [{**row, "bbox": [0, 0, 44, 34]}, {**row, "bbox": [0.1, 0.2, 0.3, 0.4]}])
    samples = read_samples(path, format="screenspot-v2-hub")
    assert boxes(samples) == [(0.1, 0.2, 0.3, 0.4)]
    assert "far off the screen" in samples.problems[0].reason


def test_a_benchmarks_box_that_sticks_out_a_little_is_kept_as_its_evaluator_keeps_it(tmp_path: Path) -> None:
    picture(tmp_path / "pc_a.png")
    row = {"img_filename": "pc_a.png", "instruction": "x", "data_type": "icon", "data_source": "windows"}
    path = dump(tmp_path / "x.json", [{**row, "bbox": [190, 50, 14, 20]}, {**row, "bbox": [201, 50, 14, 20]}])
    samples = read_samples(path, format="screenspot")
    assert boxes(samples) == [(0.95, 0.5, 1.02, 0.7)]
    assert "off the screen" in samples.problems[0].reason


def test_screenspot_pro_has_corners_in_pixels_and_a_file_for_each_application(tmp_path: Path) -> None:
    row = {
        "img_filename": "vscode_mac/a.png",
        "bbox": [473, 183, 503, 219],
        "instruction": "Refresh",
        "instruction_cn": "刷新",
        "application": "vscode",
        "platform": "macos",
        "img_size": [2560, 1664],
        "ui_type": "icon",
        "group": "Dev",
    }
    dump(tmp_path / "annotations" / "vscode_macos.json", [{**row, "id": "vscode_macos_0"}])
    dump(tmp_path / "annotations" / "word_macos.json", [{**row, "id": "word_macos_0"}])
    picture(tmp_path / "images" / "vscode_mac" / "a.png")
    for path in (tmp_path, tmp_path / "annotations"):
        samples = read_samples(path, format="screenspot-pro")
        assert [sample.id for sample in samples] == ["vscode_macos_0", "word_macos_0"]
        assert boxes(samples)[0] == (473 / 2560, 183 / 1664, 503 / 2560, 219 / 1664)
        assert samples[0].groups == {"type": "icon", "group": "Dev", "application": "vscode", "platform": "macos"}
        assert samples[0].image == tmp_path / "images" / "vscode_mac" / "a.png"
        assert samples.macro == ()


def osworld_g(folder: Path) -> None:
    row = {"image_path": "A.png", "image_size": [200, 100], "instruction": "Close", "GUI_types": ["Button"]}
    flat = [100, 10, 120, 10, 120, 30, 100, 30]
    rows = [
        {**row, "id": "A-0", "box_type": "bbox", "box_coordinates": [20, 10, 40, 30]},
        {**row, "id": "A-1", "box_type": "polygon", "box_coordinates": flat},
        {**row, "id": "A-2", "box_type": "refusal", "box_coordinates": [-1, -1, -1, -1]},
        {**row, "id": "A-3", "box_type": "circle", "box_coordinates": [1, 2, 3]},
    ]
    dump(folder / "OSWorld-G.json", rows)
    dump(folder / "OSWorld-G_refined.json", [{**rows[0], "instruction": "Click the cross"}])
    picture(folder / "images" / "A.png")


def test_osworld_g_has_boxes_polygons_and_refusals(tmp_path: Path) -> None:
    osworld_g(tmp_path)
    samples = read_samples(tmp_path, format="osworld-g")
    corners = ((0.5, 0.1), (0.6, 0.1), (0.6, 0.3), (0.5, 0.3))
    assert [sample.target for sample in samples] == [
        BoxTarget(0.1, 0.1, 0.3, 0.4),
        PolygonTarget(corners),
        RefusalTarget(),
    ]
    assert [sample.groups["box_type"] for sample in samples] == ["bbox", "polygon", "refusal"]
    assert 'must be "bbox", "polygon" or "refusal", found \'circle\'' in samples.problems[0].reason
    refusal, click = Action(kind="refusal", status="refusal"), Action(kind="click", point=(0.55, 0.2))
    assert [sample.target.hit(click) for sample in samples] == [False, True, False]
    assert [sample.target.hit(refusal) for sample in samples] == [False, False, True]


def test_osworld_gs_capabilities_are_groups_and_a_row_may_have_several(tmp_path: Path) -> None:
    osworld_g(tmp_path)
    classified = {
        "text_matching": [{"id": "A-0"}],
        "layout_understanding": [{"id": "A-0"}, {"id": "A-1"}],
        "refusal": [{"id": "A-2"}],
    }
    dump(tmp_path / "classification_result.json", {"classified": classified})
    assert [set(sample.groups.values()) for sample in read_samples(tmp_path, format="osworld-g")] == [
        {"text_matching", "layout_understanding"},
        {"layout_understanding"},
        {"refusal"},
    ]
    (refined,) = read_samples(tmp_path / "OSWorld-G_refined.json", format="osworld-g")
    assert refined.instruction == "Click the cross"


@pytest.mark.parametrize("bbox", [[20, 10, 60, 40], [60, 40, 20, 10], [60, 10, 20, 40]])
def test_ui_visions_corners_are_put_in_order(tmp_path: Path, bbox: list[int]) -> None:
    row = {
        "image_path": "element_grounding/a.png",
        "image_size": [200, 100],
        "bbox": bbox,
        "platform": "GIMP",
        "prompt_to_evaluate": "Brush",
        "element_type": "icon",
        "category": "Creativity",
    }
    for task in ("basic", "spatial"):
        dump(tmp_path / "annotations" / "element_grounding" / f"element_grounding_{task}.json", [row])
    picture(tmp_path / "images" / "element_grounding" / "a.png")
    samples = read_samples(tmp_path, format="ui-vision")
    assert boxes(samples) == [(0.1, 0.1, 0.3, 0.4)] * 2
    assert samples[0].groups == {"task": "basic", "type": "icon", "application": "GIMP", "category": "Creativity"}
    assert samples.macro == ("task",)
    assert samples[1].open_image().size == (200, 100)


MMBENCH = {
    "index": 0,
    "image_path": "a.png",
    "image_size": [200, 100],
    "instruction": "Close",
    "platform": "os_mac",
    "app_name": "Mail",
    "data_type": "icon",
    "grounding_type": "basic",
}


def test_mmbench_gui_has_corners_in_shares_or_pixels_as_named(tmp_path: Path) -> None:
    picture(tmp_path / "offline_images" / "os_mac" / "a.png")
    dump(tmp_path / "L2_annotations.json", [{**MMBENCH, "bbox": [0.1, 0.1, 0.3, 0.4]}])
    (shares,) = read_samples(tmp_path, format="mmbench-gui")
    pixels = dump(
        tmp_path / "pixels.json", [{**MMBENCH, "bbox": [20, -1, 60, 40]}, {**MMBENCH, "bbox": [0, 0, 201, 9]}]
    )
    samples = read_samples(pixels, format="mmbench-gui-pixels")
    assert shares.target == BoxTarget(0.1, 0.1, 0.3, 0.4)
    assert boxes(samples) == [(0.1, 0.0, 0.3, 0.4)]
    assert "reaches outside its picture" in samples.problems[0].reason
    assert shares.image == tmp_path / "offline_images" / "os_mac" / "a.png"
    assert shares.groups == {"platform": "os_mac", "type": "icon", "level": "basic", "application": "Mail"}
    assert samples.macro == ("level",)
