"""What a format of samples is: the files it comes in, and how one of its rows becomes a sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...chat import Message
from ..actions import AnswerReader
from ..samples import GroundingSample
from ..targets import DEFAULT_TOLERANCE
from .rows import Row

Resize = Callable[[int, int], tuple[int, int]]
"""`(width, height)` of a picture -> those that the processor gives it."""


@dataclass(frozen=True)
class ReadOptions:
    """How rows become samples, whatever their format.

    Args:
        prompt: What the user turn says of a row that has only an instruction, with `{instruction}` where that goes.
        system: The text of a system turn before it; `None`: there is none.
        tolerance: How far from a point a click may be where the row says no tolerance and its format needs none:
            share of the screen, above 0.
        reader: Reads a row's own answer, where that is the target.
        resized: The processor's resizing, where answers are in pixels of the resized picture.

    Raises:
        ValueError: A prompt without `{instruction}`, or a tolerance that is no positive number.
    """

    prompt: str = "{instruction}"
    system: str | None = None
    tolerance: float = DEFAULT_TOLERANCE
    reader: AnswerReader = field(default_factory=AnswerReader)
    resized: Resize | None = None

    def __post_init__(self) -> None:
        if "{instruction}" not in self.prompt:
            raise ValueError(
                f"prompt must say where the instruction goes, with {{instruction}}; found {self.prompt!r}."
            )
        if not (self.tolerance > 0 and math.isfinite(self.tolerance)):
            raise ValueError(f"tolerance must be a positive share of the screen, found {self.tolerance}.")

    def messages(self, instruction: Any) -> tuple[Message, ...]:
        """The conversation that asks for what a row's instruction says."""
        if not isinstance(instruction, str) or not instruction.strip():
            raise ValueError(f"the instruction must be text, found {instruction!r:.80}")
        # Not str.format: instructions and prompts may hold braces of their own.
        asked: Message = {"role": "user", "content": self.prompt.replace("{instruction}", instruction)}
        return (asked,) if self.system is None else ({"role": "system", "content": self.system}, asked)


@dataclass(frozen=True)
class Format:
    """One format of samples, by its name.

    Args:
        name: What `format=` says.
        sample: Makes a sample of a row. `None`: the row is whole, and asks for nothing that has a place. A
            `ValueError` says what is wrong with the row.
        files: Which files of a folder hold the rows (patterns, the first that matches anything); none: a folder can't
            be read.
        images: Where pictures are, relative to the file: the first of these folders that exists, else its own.
        beside: A JSON file in the same folder that says more of the rows, and may be missing.
        macro: See [`Samples`].
    """

    name: str
    sample: Callable[[Row, ReadOptions], GroundingSample | None]
    files: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    beside: str | None = None
    macro: tuple[str, ...] = ()
