"""Are the labels right? Gold answers read by the same parser as the model's, and graded against their own targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .actions import AnswerReader
from .metrics import GroundingReport
from .other_spaces import (
    MIN_GAINED,
    SPACE_NAMES,
    Explanation,
    Reading,
    SpaceReader,
    TriedSpace,
    explain,
    picture_size,
    read_sized,
)
from .readers.format import Resize
from .readers.rows import Size
from .samples import GroundingSample
from .targets import MarkTarget, PointTarget

FINE_SHARE = 0.95
"""From this share of right labels on, nothing is said: rounding to two decimals alone makes some labels of small
targets miss."""
MAX_NAMED = 5
"""Labels that are kept by name."""
MAX_SIZES = 4096
"""Pictures whose sizes are remembered."""


@dataclass(frozen=True)
class LabelCheck:
    """How many gold answers hit their own targets.

    Args:
        checked: Labels that could be held against a target that wasn't made from them.
        correct: Those that hit.
        unreadable: Those that the parser can't read; they are not correct.
        by_space: How many hit when their numbers are read in each space. Empty where too few miss to ask.
        explanation: The space that explains the misses, if one does.
        missing: Ids of labels that miss, at most `MAX_NAMED`.
        unreadable_label: The first label that can't be read, cut.
    """

    checked: int = 0
    correct: int = 0
    unreadable: int = 0
    by_space: Mapping[TriedSpace, int] = field(default_factory=dict)
    explanation: Explanation | None = None
    missing: tuple[str, ...] = ()
    unreadable_label: str | None = None

    @property
    def share(self) -> float | None:
        """The share of the labels that hit; `None` if none could be checked."""
        return self.correct / self.checked if self.checked else None

    @property
    def better(self) -> TriedSpace | None:
        """The space that explains the misses."""
        return self.explanation.space if self.explanation else None

    def message(self) -> str | None:
        """What is wrong and what to do, in one or two sentences; `None` if the labels are fine."""
        if self.share is None or (self.explanation is None and self.share >= FINE_SHARE):
            return None
        misses = self.checked - self.correct
        told = f"{_percent(misses, self.checked)} of your labels ({misses} of {self.checked}) miss their own target"
        if self.explanation is not None:
            return f"{told}; {self._explained(self.explanation)}"
        if self.unreadable > misses / 2:
            return (
                f"{told}: {self.unreadable} can't be read as an answer, such as {self.unreadable_label!r}. Name the "
                "family whose form they have (family=), or write them as that family answers."
            )
        return (
            f"{told}, and no other coordinate space explains it: look at {', '.join(self.missing)}. Are box and "
            "answer of the same picture, and is the box [left, top, right, bottom]?"
        )

    def _explained(self, found: Explanation) -> str:
        name = SPACE_NAMES[found.space]
        if found.is_mixed:
            return (
                f"read as {name}, {found.gained} of those would hit, but {found.lost} of the others would then miss: "
                "two coordinate spaces are mixed. Write all labels in one."
            )
        hits = _percent(self.by_space[found.space], self.checked)
        return f"read as {name} they'd hit {hits}. {_fix(found.space, 'Write the labels', 'they are meant so')}"


def check_labels(
    samples: Iterable[GroundingSample],
    reader: AnswerReader,
    *,
    resized: Resize | None = None,
) -> LabelCheck:
    """Read each sample's own answer, and grade it against the sample's own target.

    Left out are samples without an answer, and those whose target comes from the answer, so that it hits whatever it
    says: marks, and points where every point of `samples` is exactly what its answer says.

    Args:
        samples: With their gold answers.
        reader: What reads the model's answers.
        resized: `(width, height)` of a picture in pixels -> its size after the processor's resizing. `None`: labels in
            pixels can't be read.
    """
    size_of = _SizeReader(resized)
    read = [
        (sample, sample.answer, read_sized(reader, sample.answer, size_of.resized(sample)))
        for sample in samples
        if sample.answer is not None and not isinstance(sample.target, MarkTarget)
    ]
    points = [(sample.target, action) for sample, _, action in read if isinstance(sample.target, PointTarget)]
    if all(action.point == target.point for target, action in points):
        read = [one for one in read if not isinstance(one[0].target, PointTarget)]
    missing = [(sample, answer) for sample, answer, action in read if not sample.target.hit(action)]
    unreadable = [answer for _, answer, action in read if action.status == "unreadable"]
    readings: Sequence[Reading] = ()
    if len(missing) >= MIN_GAINED:
        spaces = SpaceReader(reader)
        readings = [
            spaces.read(
                answer,
                sample.target,
                sample.target.hit(action),
                resized_size=size_of.resized(sample),
                original_size=size_of.original(sample),
            )
            for sample, answer, action in read
        ]
    return LabelCheck(
        checked=len(read),
        correct=len(read) - len(missing),
        unreadable=len(unreadable),
        by_space=_hits_by_space(readings),
        explanation=explain(readings) if readings else None,
        missing=tuple(sample.id for sample, _ in missing[:MAX_NAMED]),
        unreadable_label=unreadable[0][:80] if unreadable else None,
    )


def explain_misses(report: GroundingReport, reader: AnswerReader) -> str | None:
    """What to say after an evaluation whose misses another coordinate space would explain; `None` if none would.

    See [`other_spaces.explain`] for when a space explains misses.
    """
    sizes, spaces = _SizeReader(), SpaceReader(reader)
    if sum(not row.correct for row in report.rows) < MIN_GAINED:
        return None
    found = explain(
        [
            spaces.read(
                row.answer,
                row.sample.target,
                row.correct,
                resized_size=row.resized_size,
                original_size=sizes.original(row.sample),
            )
            for row in report.rows
        ]
    )
    if found is None:
        return None
    told = (
        f"{found.misses} of {len(report.rows)} answers miss, and {found.gained} of them would hit if their numbers "
        f"were read as {SPACE_NAMES[found.space]}"
    )
    if found.is_mixed:
        return f"{told}, though {found.lost} that hit now would then miss: the model was taught two coordinate spaces."
    return f"{told}. {_fix(found.space, 'Train on labels', 'the model is meant to answer so')}"


def _fix(space: TriedSpace, write: str, meant: str) -> str:
    if space == "original_pixels":
        return (
            "The model doesn't see the original picture's size: "
            f"{write[0].lower()}{write[1:]} as the model's family answers, from the size after the processor's "
            "resizing or in shares of the picture."
        )
    return f'{write} as the model\'s family answers, or, if {meant}, say so with space="{space}".'


def _hits_by_space(readings: Sequence[Reading]) -> dict[TriedSpace, int]:
    tried = {space for reading in readings for space in reading.actions}
    return {space: sum(one.hits_in(space) for one in readings) for space in SPACE_NAMES if space in tried}


def _percent(part: int, whole: int) -> str:
    """A share in words that never rounds to 0 % or 100 % what is neither."""
    shown = round(100 * part / whole)
    if 0 < part < whole:
        shown = min(max(shown, 1), 99)
    return f"{shown} %"


class _SizeReader:
    """Sizes of samples' pictures; a file's is kept for the samples that share it."""

    def __init__(self, resized: Resize | None = None) -> None:
        self._resized = resized
        self._sizes: dict[Path, Size | None] = {}

    def original(self, sample: GroundingSample) -> Size | None:
        if not isinstance(sample.image, Path):  # at hand, and not always hashable
            return picture_size(sample)
        if sample.image not in self._sizes:
            if len(self._sizes) == MAX_SIZES:
                self._sizes.clear()
            self._sizes[sample.image] = picture_size(sample)
        return self._sizes[sample.image]

    def resized(self, sample: GroundingSample) -> Size | None:
        size = self.original(sample) if self._resized is not None else None
        if size is None or self._resized is None:
            return None
        try:
            return self._resized(*size)
        except ValueError:  # a picture that the processor refuses: such as a line of a single pixel
            return None
