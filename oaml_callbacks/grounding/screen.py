"""What an answer's numbers are divided by to be shares of the screen, and the size that a model sees a picture in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

MAX_SIZES = 4096
"""Picture sizes that [`ResizedSizes`] remembers."""

SCALES: dict[str, tuple[float, float]] = {"normalized": (1.0, 1.0), "relative1000": (1000.0, 1000.0)}
"""What x and y are divided by, in the spaces that don't depend on the picture.

0-1000 is divided by 1000 for every family, as their evaluators do. Qwen3-VL's mobile cookbook tells the model that the
screen is 999x999 and divides by 999 for its drawings; the same model's other cookbooks divide by 1000. The difference
is at most 0.001 of the screen, at its right and lower edges.
"""


def resized_size(grid_thw: Sequence[Any], patch_size: int) -> tuple[int, int]:
    """The size of a picture as the model sees it, from what its image processor says.

    Args:
        grid_thw: The picture's row of `image_grid_thw`: frames, rows and columns of patches.
        patch_size: Pixels along a patch's edge (`image_processor.patch_size`).

    Returns:
        `(width, height)` in pixels.
    """
    _, rows, columns = (int(number) for number in grid_thw)
    return columns * patch_size, rows * patch_size


class ResizedSizes:
    """What a processor makes of a picture of a given size, found by giving it one.

    The limits that decide it sit in the checkpoint's files and in whatever changed them since; a formula with limits
    of its own is wrong as soon as they are others.

    Args:
        processor: A model's processor, or its image processor; of the Qwen-VL kind, which says `image_grid_thw`.

    Raises:
        ValueError: It isn't of that kind.
    """

    def __init__(self, processor: Any) -> None:
        self._image_processor = getattr(processor, "image_processor", processor)
        if not hasattr(self._image_processor, "patch_size"):
            raise ValueError(
                f"{type(processor).__name__} has no image processor with a patch_size, so the size that it resizes "
                "pictures to isn't known. Pass the model's own processor (of a Qwen-VL family)."
            )
        self._sizes: OrderedDict[tuple[int, int], tuple[int, int]] = OrderedDict()

    def of(self, width: int, height: int) -> tuple[int, int]:
        """`(width, height)` in pixels that a picture of this size is resized to.

        Raises:
            ValueError: The processor refuses pictures of this size.
        """
        size = width, height
        if size in self._sizes:
            self._sizes.move_to_end(size)
        else:
            self._sizes[size] = self._ask(width, height)
            if len(self._sizes) > MAX_SIZES:
                self._sizes.popitem(last=False)
        return self._sizes[size]

    def _ask(self, width: int, height: int) -> tuple[int, int]:
        from PIL import Image

        if width < 1 or height < 1:
            raise ValueError(f"a picture of {width}x{height} pixels can't be resized")
        blank = Image.new("RGB", (width, height))
        grid = self._image_processor(images=[blank], return_tensors="np")["image_grid_thw"]
        return resized_size(grid[0], int(self._image_processor.patch_size))
