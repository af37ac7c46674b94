"""Would the answers that miss hit if their numbers were read in another coordinate space?

Numbers in the wrong space are the commonest fault in this field (QwenLM/Qwen3-VL issues 721, 866, 957, 1161, 1616): a
model and its labels disagree on whether 500 is half of the screen or 500 pixels, and of which picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .actions import Action, AnswerReader, Space
from .samples import Picture
from .targets import Target

if TYPE_CHECKING:
    from PIL.Image import Image

TriedSpace = Literal["normalized", "relative1000", "pixels", "original_pixels"]
"""The spaces that are tried: those of [`Space`], and the pixels of the picture before the processor resized it, which
no model family answers in and many labels are in."""

SPACE_NAMES: Mapping[TriedSpace, str] = {
    "normalized": "0-1",
    "relative1000": "0-1000",
    "pixels": "pixels of the resized picture",
    "original_pixels": "pixels of the original picture",
}

MIN_GAINED = 5
"""Misses that another space must turn into hits before it is spoken of."""
MOST = 0.5
"""The share of the misses that must be more than."""
NEARLY_ALL = 0.9
"""From this share on, a space explains the misses even if it loses as many hits: then two spaces are mixed."""
MAX_CHANCE = 1e-4
"""How probable that many hits may be by chance."""
MAX_SHIFTS = 8
"""How many other answers each target is held against to measure chance."""


@dataclass(frozen=True)
class Reading:
    """One answer: its target, whether it hits as it is read now, and what it says in each space that can be tried."""

    target: Target
    hit: bool
    actions: Mapping[TriedSpace, Action]

    def hits_in(self, space: TriedSpace) -> bool:
        """Whether the answer hits when its numbers are in `space`."""
        return space in self.actions and self.target.hit(self.actions[space])


@dataclass(frozen=True)
class Explanation:
    """A space that explains misses.

    Args:
        space: The space.
        misses: Answers that miss as they are read now.
        gained: Those of them that hit in `space`.
        lost: Answers that hit now and would miss in `space`.
    """

    space: TriedSpace
    misses: int
    gained: int
    lost: int

    @property
    def is_mixed(self) -> bool:
        """Whether many answers hit only as they are read now: then some are in one space and some in another."""
        return self.lost > self.gained / 10


def read_in_spaces(
    text: str,
    target: Target,
    hit: bool,
    reader: AnswerReader,
    *,
    resized_size: tuple[int, int] | None,
    original_size: tuple[int, int] | None,
) -> Reading:
    """Read an answer in every space; those of pixels are left out where the picture's size isn't known."""
    tries: list[tuple[TriedSpace, Space, tuple[int, int] | None]] = [
        ("normalized", "normalized", None),
        ("relative1000", "relative1000", None),
    ]
    if resized_size is not None:
        tries.append(("pixels", "pixels", resized_size))
    if original_size is not None and original_size != resized_size:
        tries.append(("original_pixels", "pixels", original_size))
    return Reading(
        target,
        hit,
        {name: replace(reader, space=space).read(text, resized_size=size) for name, space, size in tries},
    )


def explain(readings: Sequence[Reading]) -> Explanation | None:
    """The space that turns most misses into hits, if that is no accident.

    It explains them if it turns at least `MIN_GAINED` and more than half of the misses into hits; if it loses fewer
    hits than it gains, or gains nearly all misses; and if chance gives as many hits with a probability below
    `MAX_CHANCE`. Chance is measured: the share of hits when each target is held against the answers to *other*
    samples, so that large targets, or a model that always clicks the same place, explain nothing. The probability is
    bounded as Chernoff does for a binomial tail (Ann. Math. Stat. 23, 1952: 493-507).
    """
    misses = [reading for reading in readings if not reading.hit]
    found = [
        Explanation(
            space,
            len(misses),
            gained=sum(reading.hits_in(space) for reading in misses),
            lost=sum(reading.hit and not reading.hits_in(space) for reading in readings),
        )
        for space in SPACE_NAMES
    ]
    best = max(found, key=lambda one: one.gained - one.lost)
    fullest = max(found, key=lambda one: one.gained)
    for one in (best, fullest):
        if one.gained < MIN_GAINED or one.gained <= MOST * one.misses:
            continue
        if one.lost >= one.gained and one.gained < NEARLY_ALL * one.misses:
            continue
        if _tail(one.gained, one.misses, _chance(misses, one.space)) < MAX_CHANCE:
            return one
    return None


def _chance(misses: Sequence[Reading], space: TriedSpace) -> float:
    shifts = range(1, len(misses), max(1, len(misses) // MAX_SHIFTS))
    hits = sum(
        space in other.actions and reading.target.hit(other.actions[space])
        for shift in shifts
        for reading, other in zip(misses, (*misses[shift:], *misses[:shift]), strict=True)
    )
    return (hits + 1) / (len(shifts) * len(misses) + 2)  # never 0 or 1, however few there are


def _tail(hits: int, total: int, chance: float) -> float:
    """An upper bound of the probability of at least `hits` of `total`, each with probability `chance`."""
    share = hits / total
    if share <= chance:
        return 1.0
    divergence = share * math.log(share / chance)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    return math.exp(-total * divergence)


def picture_size(image: Path | str | Image | Picture) -> tuple[int, int] | None:
    """`(width, height)` of a sample's picture in pixels, from the file's head; `None` if it can't be read."""
    from PIL import Image

    try:
        if isinstance(image, (str, Path)):
            with Image.open(image) as file:
                width, height = file.size
        else:
            width, height = (image if isinstance(image, Image.Image) else image.open()).size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return width, height


def needs_size(reader: AnswerReader, text: str) -> bool:
    """Whether an answer can be read only where the size of the resized picture is known: its numbers are pixels."""
    return reader.read(text).point is None and reader.read(text, resized_size=(1000, 1000)).point is not None
