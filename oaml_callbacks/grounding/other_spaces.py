"""Would the answers that miss hit if their numbers were read in another coordinate space?

Numbers in the wrong space are the commonest fault in this field (QwenLM/Qwen3-VL issues 721, 866, 957, 1161, 1616): a
model and its labels disagree on whether 500 is half of the screen or 500 pixels, and of which picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .actions import UNREADABLE, Action, AnswerReader, Space
from .readers.rows import Size
from .readers.rows import picture_size as size_of_picture
from .samples import GroundingSample
from .targets import Target

TriedSpace = Literal["normalized", "relative1000", "pixels", "original_pixels"]
"""The spaces that are tried: those of [`Space`], and the pixels of the picture before the processor resized it, which
no model family answers in and many labels are in."""

SPACE_NAMES: Mapping[TriedSpace, str] = {
    "normalized": "0-1",
    "relative1000": "0-1000",
    "pixels": "pixels of the resized picture",
    "original_pixels": "pixels of the original picture",
}

_SPACES: tuple[Space, ...] = ("normalized", "relative1000", "pixels")

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


class SpaceReader:
    """Reads answers in every space.

    Args:
        reader: What reads the model's answers; its own space is put aside.
    """

    def __init__(self, reader: AnswerReader) -> None:
        self._readers = {space: replace(reader, space=space) for space in _SPACES}

    def read(
        self, text: str, target: Target, hit: bool, *, resized_size: Size | None, original_size: Size | None
    ) -> Reading:
        """Read an answer in every space; those of pixels are left out where the picture's size isn't known."""
        actions: dict[TriedSpace, Action] = {
            "normalized": self._readers["normalized"].read(text),
            "relative1000": self._readers["relative1000"].read(text),
        }
        if resized_size is not None:
            actions["pixels"] = self._readers["pixels"].read(text, resized_size=resized_size)
        if original_size is not None and original_size != resized_size:
            actions["original_pixels"] = self._readers["pixels"].read(text, resized_size=original_size)
        return Reading(target, hit, actions)


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


def picture_size(sample: GroundingSample) -> Size | None:
    """`(width, height)` of a sample's picture in pixels, a file's from its head alone; `None` if it can't be told."""
    try:
        return size_of_picture(sample.image)
    except (OSError, ValueError):
        return None


def read_sized(reader: AnswerReader, text: str, size: Size | None) -> Action:
    """Read an answer; one in pixels of a picture whose size isn't known is unreadable, and no error."""
    return UNREADABLE if size is None and reader.space == "pixels" else reader.read(text, resized_size=size)


def needs_size(reader: AnswerReader, text: str) -> bool:
    """Whether the answer's numbers are pixels of the resized picture, so that its size has to be known."""
    return reader.read(text, resized_size=(1000, 1000)).point != reader.read(text, resized_size=(2000, 2000)).point
