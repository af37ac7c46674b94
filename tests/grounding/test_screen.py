"""The size in which a model sees a picture, from its own processor."""

from __future__ import annotations

import pytest
from PIL import Image

from oaml_callbacks.demo.tiny_qwen import FAMILIES, Family, build_processor
from oaml_callbacks.grounding import screen
from oaml_callbacks.grounding.screen import ResizedSizes, resized_size


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(1920, 1080), (33, 500), (100, 100)])
def test_a_size_is_the_one_that_a_real_picture_gets(family: Family, size: tuple[int, int]) -> None:
    processor = build_processor(family)
    row = processor.image_processor(images=[Image.new("RGB", size, "white")])["image_grid_thw"][0]
    patch = processor.image_processor.patch_size
    assert ResizedSizes(processor).of(*size) == (row[2] * patch, row[1] * patch)
    assert ResizedSizes(processor.image_processor).of(*size) == resized_size(row, patch)


def test_a_processors_limits_are_the_ones_in_force_and_not_a_formulas() -> None:
    small, large = (ResizedSizes(build_processor(max_tokens=tokens)).of(1920, 1080) for tokens in (46, 400))
    assert small == (144, 80)
    assert large[0] > 2 * small[0]


def test_a_size_is_asked_once_and_the_memory_of_them_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "MAX_SIZES", 2)
    processor = build_processor()
    sizes = ResizedSizes(processor)
    asked = [sizes.of(width, 90) for width in (160, 160, 320, 480)]
    assert asked[0] == asked[1]
    assert len(sizes._sizes) == 2


def test_a_processor_without_pictures_and_a_picture_without_size_are_named() -> None:
    with pytest.raises(ValueError, match="no image processor with a patch_size"):
        ResizedSizes(object())
    with pytest.raises(ValueError, match="0x5 pixels"):
        ResizedSizes(build_processor()).of(0, 5)
