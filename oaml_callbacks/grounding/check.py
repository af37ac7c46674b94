"""What is wrong with samples, found without a model: rows, labels, pictures, tiny targets, overlap with training."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .actions import AnswerReader
from .labels import check_labels
from .other_spaces import needs_size
from .readers.format import Resize
from .readers.rows import Size
from .samples import GroundingSample, Samples

MAX_NAMED = 5
"""Samples that a finding names; it counts the rest."""
MIN_PICTURE_SIDE = 28
"""Pixels. Smaller pictures hold less than one visual token of Qwen2-VL (2 x 2 patches of 14 pixels)."""
MIN_TARGET_SIDE = 8
"""Pixels after resizing, of a target's shorter side. Below about half a patch (14 pixels in Qwen2-VL and Qwen2.5-VL,
16 in Qwen3-VL) neither a letter nor an icon's shape is left."""
OFF_SCREEN = 0.005
"""How far a box may reach over the screen's edge: annotations round by a pixel or two."""

Verdict = Literal["fine", "note", "problem", "not checked"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        what: What was looked at.
        verdict: `"problem"` makes the whole check fail; a `"note"` doesn't.
        said: What was found, with its figures.
        named: Samples it holds for, at most `MAX_NAMED`.
    """

    what: str
    verdict: Verdict
    said: str
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """A picture that was decoded: its size and a digest of its pixels, or why it couldn't be."""

    size: Size | None = None
    digest: bytes | None = None
    error: str | None = None


def check_samples(
    samples: Samples,
    reader: AnswerReader,
    *,
    train: Samples | None = None,
    resized: Resize | None = None,
    progress: bool = False,
) -> list[Finding]:
    """Look at samples and, beside them, at those trained on.

    Every picture is decoded, one at a time on each core, for it to be known whole.

    Args:
        samples: To evaluate on.
        reader: Reads the labels, as it will the model's answers.
        train: Trained on; `None`: overlap isn't looked for.
        resized: `(width, height)` of a picture in pixels -> its size after the processor's resizing. `None`: how small
            targets become isn't known.
        progress: Show a progress bar on a terminal.
    """
    looks = _Looks(progress)
    looks.look_at(samples, "Pictures")
    if train is not None:
        looks.look_at(train, "Pictures to train on")
    return [
        _rows(samples, "rows"),
        *([_rows(train, "training rows")] if train is not None else []),
        _labels(samples, reader, resized, "labels"),
        *([_labels(train, reader, resized, "training labels")] if train is not None else []),
        _pictures(samples, looks, resized, "pictures"),
        *([_pictures(train, looks, resized, "training pictures")] if train is not None else []),
        _edges(samples),
        _small_targets(samples, looks, resized),
        _repeats(samples, looks),
        *_overlap(samples, train, looks),
    ]


class _Looks:
    """Pictures that were decoded, each once."""

    def __init__(self, progress: bool) -> None:
        self._progress = progress
        self._seen: dict[Path | int, _Seen] = {}

    def __getitem__(self, sample: GroundingSample) -> _Seen:
        return self._seen[self._key(sample)]

    @staticmethod
    def _key(sample: GroundingSample) -> Path | int:
        return sample.image if isinstance(sample.image, Path) else id(sample.image)

    def look_at(self, samples: Samples, what: str) -> None:
        from tqdm.auto import tqdm

        new = {self._key(sample): sample for sample in samples if self._key(sample) not in self._seen}
        workers = min(8, os.cpu_count() or 1)  # each holds a decoded picture
        with ThreadPoolExecutor(workers) as pool:
            looks = pool.map(_look, new.values())
            # None: shown on a terminal alone.
            shown = tqdm(looks, what, total=len(new), leave=False, disable=None if self._progress else True)
            self._seen.update(zip(new, shown, strict=True))


def _look(sample: GroundingSample) -> _Seen:
    try:
        image = sample.open_image()
    except FileNotFoundError:
        return _Seen(error="missing")
    except (OSError, ValueError) as error:
        return _Seen(error=str(error))
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(image.tobytes())
    return _Seen(image.size, digest.digest())


def _rows(samples: Samples, what: str) -> Finding:
    total = len(samples) + len(samples.problems) + samples.ungraded
    said = f"{len(samples)} of {total} can be asked and graded"
    if samples.ungraded:
        said += f"; {samples.ungraded} ask for something that has no place"
    if not samples.problems:
        return Finding(what, "fine", said)
    # The same fault with other numbers is the same fault.
    kinds = [re.sub(r"\d+(\.\d+)?", "0", problem.reason) for problem in samples.problems]
    counts = Counter(kinds)
    firsts = [samples.problems[kinds.index(kind)] for kind, _ in counts.most_common(MAX_NAMED)]
    named = tuple(
        f"{problem.place}: {problem.reason}" + (f" (and {count - 1} more of this kind)" if count > 1 else "")
        for problem, (_, count) in zip(firsts, counts.most_common(MAX_NAMED), strict=True)
    )
    return Finding(what, "problem", f"{said}; {len(samples.problems)} are broken", named)


def _labels(samples: Samples, reader: AnswerReader, resized: Resize | None, what: str) -> Finding:
    if resized is None and any(needs_size(reader, sample.answer) for sample in samples if sample.answer is not None):
        return Finding(what, "not checked", "they are in pixels of the resized picture: give --model, for its size")
    check = check_labels(samples, reader, resized=resized)
    if check.share is None:
        return Finding(what, "not checked", "no row has an answer beside a target of its own")
    message = check.message()
    if message is not None:
        return Finding(what, "problem", message, check.missing)
    return Finding(what, "fine", f"{check.correct} of {check.checked} hit their own target", check.missing)


def _pictures(samples: Samples, looks: _Looks, resized: Resize | None, what: str) -> Finding:
    faults: dict[str, list[str]] = {}
    sizes: set[Size] = set()
    by_picture = {looks._key(sample): sample for sample in samples}
    for sample in by_picture.values():
        seen = looks[sample]
        if seen.size is None:
            fault = "missing" if seen.error == "missing" else "broken"
            faults.setdefault(fault, []).append(
                f"{_shown(sample)}: {seen.error}" if fault == "broken" else _shown(sample)
            )
            continue
        sizes.add(seen.size)
        width, height = seen.size
        refused = _refused(resized, seen.size)
        if min(seen.size) < MIN_PICTURE_SIDE:
            faults.setdefault("too small", []).append(f"{_shown(sample)}: {width} x {height} pixels")
        elif refused:
            faults.setdefault("refused by the processor", []).append(f"{_shown(sample)}: {refused}")
    said = f"{len(by_picture)} for {len(samples)} samples"
    if sizes:
        small, large = (f"{width} x {height}" for width, height in (min(sizes, key=_area), max(sizes, key=_area)))
        said += f", {small}" if small == large else f", {small} to {large}"
    if not faults:
        return Finding(what, "fine", said)
    said += "; " + ", ".join(f"{len(places)} {fault}" for fault, places in faults.items())
    if len(faults.get("missing", ())) == len(by_picture):
        said += ". Where are they? --images names their folder"
    return Finding(what, "problem", said, _each_kind(list(faults.values())))


def _edges(samples: Samples) -> Finding:
    over = [
        sample.id
        for sample in samples
        if (box := sample.target.box) is not None and (min(box[:2]) < -OFF_SCREEN or max(box[2:]) > 1 + OFF_SCREEN)
    ]
    if not over:
        return Finding("boxes", "fine", "each lies on its screen")
    return Finding("boxes", "problem", f"{len(over)} reach over their screen's edge", tuple(over[:MAX_NAMED]))


def _small_targets(samples: Samples, looks: _Looks, resized: Resize | None) -> Finding:
    what = "target sizes"
    if resized is None:
        return Finding(what, "not checked", "give --model: its processor says how far pictures are shrunk")
    small = []
    for sample in samples:
        size, box = looks[sample].size, sample.target.box
        if size is None or box is None or _refused(resized, size):
            continue
        width, height = resized(*size)
        left = ((box[2] - box[0]) * width, (box[3] - box[1]) * height)
        if min(left) < MIN_TARGET_SIDE:
            small.append((min(left), f"{sample.id}: {left[0]:.1f} x {left[1]:.1f} pixels of {width} x {height}"))
    if not small:
        return Finding(what, "fine", f"each keeps {MIN_TARGET_SIDE} pixels or more after resizing")
    small.sort()
    said = (
        f"{len(small)} of {len(samples)} keep fewer than {MIN_TARGET_SIDE} pixels on a side after resizing: too few "
        "to be seen. A larger --max-pixels keeps more"
    )
    return Finding(what, "problem", said, tuple(place for _, place in small[:MAX_NAMED]))


def _repeats(samples: Samples, looks: _Looks) -> Finding:
    firsts: dict[tuple[bytes, str], str] = {}
    again = []
    for sample in samples:
        key = _content(sample, looks)
        if key is not None and firsts.setdefault(key, sample.id) != sample.id:
            again.append(f"{sample.id} is {firsts[key]} again")
    if not again:
        return Finding("repeats", "fine", "no picture and request comes twice")
    return Finding("repeats", "note", f"{len(again)} samples repeat another's picture and request", _first(again))


def _overlap(samples: Samples, train: Samples | None, looks: _Looks) -> list[Finding]:
    what = "also trained on"
    if train is None:
        return [Finding(what, "not checked", "give --train: the samples that are trained on")]
    trained: dict[tuple[bytes, str], str] = {}
    pictures: dict[bytes, str] = {}
    for sample in train:
        key = _content(sample, looks)
        if key is not None:
            trained.setdefault(key, sample.id)
            pictures.setdefault(key[0], sample.id)
    same, picture_alone = [], []
    for sample in samples:
        key = _content(sample, looks)
        if key in trained:
            same.append(f"{sample.id} is {trained[key]}")
        elif key is not None and key[0] in pictures:
            picture_alone.append(f"{sample.id} has the picture of {pictures[key[0]]}")
    found = []
    if same:
        said = f"{len(same)} of {len(samples)} samples are trained on: same picture, same request"
        found.append(Finding(what, "problem", said, _first(same)))
    if picture_alone:
        said = f"{len(picture_alone)} of {len(samples)} samples have a picture that is trained on with other requests"
        found.append(Finding(what, "note", said, _first(picture_alone)))
    return found or [Finding(what, "fine", f"none of the {len(train)} training samples' pictures")]


def _content(sample: GroundingSample, looks: _Looks) -> tuple[bytes, str] | None:
    digest = looks[sample].digest
    return None if digest is None else (digest, " ".join(sample.instruction.casefold().split()))


def _refused(resized: Resize | None, size: Size) -> str | None:
    if resized is None:
        return None
    try:
        resized(*size)
    except ValueError as error:
        return str(error)
    return None


def _area(size: Size) -> int:
    return size[0] * size[1]


def _shown(sample: GroundingSample) -> str:
    return f"{sample.id} ({sample.image})" if isinstance(sample.image, Path) else sample.id


def _first(places: Sequence[str]) -> tuple[str, ...]:
    return tuple(places[:MAX_NAMED])


def _each_kind(kinds: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """At most `MAX_NAMED`, each kind among them."""
    most = max(1, MAX_NAMED // len(kinds))
    return tuple(place for kind in kinds for place in kind[:most])[:MAX_NAMED]
