from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaml_callbacks import processors
from oaml_callbacks.demo.tiny_qwen import FAMILIES, Family, build_processor
from oaml_callbacks.processors import has_torchvision, load_processor

SIZE = {"shortest_edge": 65536, "longest_edge": 999424}
PROMPT = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": Image.new("RGB", (1280, 720), (200, 90, 40))},
            {"type": "text", "text": "Goal: é"},
        ],
    }
]


def prepare(processor: Any) -> Any:
    return processor.apply_chat_template(
        [PROMPT], tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_processor_loads_again_and_makes_the_same_input(family: Family, tmp_path: Path) -> None:
    built: Any = build_processor(family)
    built.save_pretrained(tmp_path)
    loaded: Any = load_processor(str(tmp_path))
    assert type(loaded).__name__ == type(built).__name__
    first, second = prepare(built), prepare(loaded)
    assert set(first) == set(second)
    assert all(first[key].equal(second[key]) for key in first)


@pytest.mark.parametrize("family", FAMILIES)
def test_pixel_limits_bound_the_resized_picture(family: Family, tmp_path: Path) -> None:
    build_processor(family).save_pretrained(tmp_path)
    for limits in (
        {"max_pixels": 6_000},
        {"min_pixels": 2_000_000},  # more than the picture has
        {"min_pixels": 30_000, "max_pixels": 60_000},
    ):
        loaded: Any = load_processor(str(tmp_path), **limits)
        patches = int(prepare(loaded)["image_grid_thw"].prod())
        pixels = patches * loaded.image_processor.patch_size**2
        assert limits.get("min_pixels", 0) <= pixels <= limits.get("max_pixels", 10**9)


def test_a_saved_limit_is_the_default(tmp_path: Path) -> None:
    """`size` in a released Qwen3-VL, which transformers 4.57's PIL class passes over."""
    build_processor().save_pretrained(tmp_path / "a")
    load_processor(str(tmp_path / "a"), max_pixels=6_000).save_pretrained(tmp_path / "b")
    loaded: Any = load_processor(str(tmp_path / "b"))
    assert loaded.image_processor.size["longest_edge"] == 6_000


def released_files(folder: Path, *, class_name: str | None, model_type: str, image_settings: dict[str, Any]) -> None:
    """A folder laid out as the Hub's released checkpoints are: no processor_config.json, a chat_template.json."""
    build_processor().save_pretrained(folder)
    (folder / "processor_config.json").unlink(missing_ok=True)
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    settings = {"image_processor_type": "Qwen2VLImageProcessorFast", "temporal_patch_size": 2, "merge_size": 2}
    settings |= image_settings | ({"processor_class": class_name} if class_name else {})
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer.pop("processor_class", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")


@pytest.mark.skipif(has_torchvision(), reason="transformers' own processors are used where torchvision is installed")
@pytest.mark.parametrize(
    ("class_name", "model_type", "image_settings", "longest"),
    [
        ("Qwen3VLProcessor", "qwen3_vl", {"patch_size": 16, "size": SIZE}, 999424),
        ("Qwen2_5_VLProcessor", "qwen2_5_vl", {"patch_size": 14, "min_pixels": 3136, "max_pixels": 999600}, 999600),
        (None, "qwen2_vl", {"patch_size": 14, "min_pixels": 3136, "max_pixels": 999600}, 999600),
    ],
)  # fmt: skip
def test_files_as_released_on_the_hub_load(
    class_name: str | None, model_type: str, image_settings: dict[str, Any], longest: int, tmp_path: Path
) -> None:
    """Both spellings of the limits, and the class named by the files or, failing that, by the model's type."""
    released_files(tmp_path, class_name=class_name, model_type=model_type, image_settings=image_settings)
    loaded: Any = load_processor(str(tmp_path))
    assert type(loaded).__name__ == (class_name or "Qwen2VLProcessor")
    assert loaded.image_processor.size["longest_edge"] == longest
    assert loaded.image_processor.patch_size == image_settings["patch_size"]
    tokens = int(prepare(loaded)["image_grid_thw"].prod()) // 4
    assert int((prepare(loaded)["input_ids"] == loaded.image_token_id).sum()) == tokens


@pytest.mark.skipif(has_torchvision(), reason="transformers' own processors are used where torchvision is installed")
def test_another_family_is_named_in_the_error(tmp_path: Path) -> None:
    released_files(tmp_path, class_name="LlavaProcessor", model_type="llava", image_settings={"patch_size": 14})
    with pytest.raises(ValueError, match=r"LlavaProcessor.*Qwen3VLProcessor"):
        load_processor(str(tmp_path))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_pixels": 0}, "max_pixels=0"),
        ({"min_pixels": 9, "max_pixels": 4}, "min_pixels=9 is more than max_pixels=4"),
    ],
)
def test_impossible_limits_are_errors(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_processor("anything", **limits)


def test_a_broken_torchvision_is_said_to_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a CUDA build beside a CPU torch, where transformers' own message doesn't name the cause."""
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    processors.has_torchvision.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=r"torchvision::nms.*pip uninstall torchvision"):
            load_processor("anything")
    finally:
        monkeypatch.undo()
        processors.has_torchvision.cache_clear()


def test_an_image_only_processor_pickles() -> None:
    """A DataLoader with workers sends its collator to them, and the collator holds the processor."""
    processor: Any = build_processor()
    copied = pickle.loads(pickle.dumps(processor))
    assert prepare(copied)["input_ids"].equal(prepare(processor)["input_ids"])
