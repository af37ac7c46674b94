"""[`read_samples`] and [`samples_from_dataset`]: rows of a named format -> [`Samples`], and what was left out."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...clean_text import cut
from ..actions import AnswerReader
from ..samples import GroundingSample, SampleFileError, SampleProblem, Samples
from ..targets import DEFAULT_TOLERANCE
from .dataset_rows import dataset_rows
from .format import Format, ReadOptions, Resize
from .registry import find_format
from .rows import Row, file_rows

logger = logging.getLogger(__name__)

MAX_NAMED = 20
"""How many broken rows a warning names, before it goes on with their number."""

MAX_TEXT = 4000
"""Characters of what a warning quotes of the data and of its path."""


def read_samples(
    path: str | Path,
    *,
    format: str = "jsonl",
    images: str | Path | None = None,
    prompt: str = "{instruction}",
    system: str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    reader: AnswerReader | None = None,
    resized: Resize | None = None,
) -> Samples:
    """Read samples from a file, or from a benchmark's folder.

    ```python
    samples = read_samples("ScreenSpot-v2", format="screenspot-v2", prompt="Click on: {instruction}")
    ```

    A row that can't be a sample (broken JSON, no picture's path or several, a box without area or off its picture, …)
    is named in a warning, kept in `problems`, and left out. Pictures are opened here only where boxes are in pixels
    and the row doesn't give the picture's size. An id that occurs again gets `#2`, `#3`, … behind it: a benchmark's
    average counts such rows too, and graded samples are told apart by their ids.

    Args:
        path: A file: JSON lines, or one JSON list if its name ends in `.json`. For a benchmark also its folder.
        format: The rows' format, one of `FORMATS`: `jsonl` (our own), `sft`, `screenspot`, `screenspot-v2`,
            `screenspot-hub` and `screenspot-v2-hub` (boxes in shares), `screenspot-pro`, `osworld-g`, `ui-vision`,
            `mmbench-gui`, `mmbench-gui-pixels`. Never guessed from the numbers.
        images: The folder of the pictures. Default: where the benchmark has it, else the file's own folder.
        prompt: What the user turn says of a row that has only an instruction, with `{instruction}` where that goes.
            The default is the instruction as it is; give the wording that your model was trained on.
        system: The text of a system turn before it. Default: there is none.
        tolerance: `sft`: how far from a point a click may be where the row gives no tolerance; share of the screen.
        reader: `sft`: reads the rows' own answers, where those are the target.
        resized: `sft`: `(width, height)` of a picture -> those it has after the processor's resizing; needed for
            answers in pixels.

    Raises:
        FileNotFoundError: There is no such file or folder.
        SampleFileError: Not one row can be used, or a `.json` file is no list.
        ValueError: An unknown format, or an option that can't be.
    """
    path = Path(path)
    known = find_format(format)
    options = ReadOptions(prompt, system, tolerance, reader or AnswerReader(), resized)
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"images: there is no folder {images}.")
    samples = _collect(_files_rows(path, known, images), known, options, str(path))
    if not any(not isinstance(sample.image, Path) or sample.image.is_file() for sample in samples):
        logger.warning(
            "%s: none of its pictures exist; the first is %s. Give their folder as images=.",
            cut(str(path), MAX_TEXT),
            cut(str(samples[0].image), MAX_TEXT),
        )
    return samples


def read_sft_samples(path: str | Path) -> Samples:
    """Read a JSONL file of SFT rows as samples: [`read_samples`] with `format="sft"`.

    Raises:
        FileNotFoundError: There is no such file.
        SampleFileError: Not one row can be used.
    """
    return read_samples(path, format="sft")


def samples_from_dataset(
    dataset: Any,
    *,
    format: str = "jsonl",
    indices: Sequence[int] | None = None,
    images: str | Path | None = None,
    prompt: str = "{instruction}",
    system: str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    reader: AnswerReader | None = None,
    resized: Resize | None = None,
) -> Samples:
    """Make samples of a `datasets.Dataset`'s rows, or of any sequence of mappings.

    ```python
    test = datasets.load_dataset("HongxinLi/ScreenSpot_v2", split="test")
    samples = samples_from_dataset(test, format="screenspot-v2-hub")
    ```

    Pictures stay in the dataset: each is fetched and decoded when its sample's `open_image()` is called, and not
    kept. A row's picture is in `image` or `images` (a PIL image, a path, or `{"bytes", "path"}`), or is a path where
    the format has its paths.

    Args:
        dataset: One split.
        format: See [`read_samples`], as all the others.
        indices: Which rows to use, such as [`chosen_indices`] gives. Default: all.
        images: The folder that pictures given as paths are relative to. Default: the current folder.
        prompt: The user turn's wording.
        system: The system turn's text.
        tolerance: `sft`: for points without one of their own.
        reader: `sft`: reads the rows' own answers.
        resized: `sft`: the processor's resizing.

    Raises:
        TypeError: A dataset without length or rows by index, or a dictionary of splits.
        IndexError: An index that the dataset doesn't have.
        SampleFileError: Not one row can be used.
        ValueError: An unknown format, or an option that can't be.
    """
    known = find_format(format)
    options = ReadOptions(prompt, system, tolerance, reader or AnswerReader(), resized)
    rows = dataset_rows(dataset, indices, images=Path(images or ""))
    return _collect(rows, known, options, "the dataset")


def _files_rows(path: Path, known: Format, images: str | Path | None) -> Iterator[Row | SampleProblem]:
    for file in _files(path, known):
        folder = file.parent
        pictures = [folder / name for name in known.images if (folder / name).is_dir()]
        beside = folder / known.beside if known.beside is not None else None
        yield from file_rows(
            file,
            label=file.name,
            images=Path(images) if images is not None else next(iter(pictures), folder),
            beside=_read_beside(beside) if beside is not None and beside.is_file() else None,
        )


def _files(path: Path, known: Format) -> list[Path]:
    if not path.is_dir():
        return [path]
    if not known.files:
        raise SampleFileError(f"{path} is a folder. Samples of the format {known.name!r} are read from a file.")
    for pattern in known.files:
        if found := sorted(path.glob(pattern)):
            return found
    raise SampleFileError(f"{path} has no {' and no '.join(known.files)}, so it holds no samples of {known.name!r}.")


def _read_beside(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise SampleFileError(f"{path} can't be read as JSON: {error}.") from None


def _collect(rows: Iterable[Row | SampleProblem], known: Format, options: ReadOptions, name: str) -> Samples:
    samples: list[GroundingSample] = []
    problems: list[SampleProblem] = []
    ungraded = 0
    for row in rows:
        if isinstance(row, SampleProblem):
            problems.append(row)
            continue
        try:
            sample = known.sample(row, options)
        except ValueError as error:
            problems.append(SampleProblem(row.place, str(error)))
            continue
        if sample is None:
            ungraded += 1
        else:
            samples.append(sample)
    if not samples:
        raise SampleFileError(_nothing_usable(name, problems, ungraded))
    if problems:
        logger.warning(
            "%s: %d of %d rows are left out: %s.",
            cut(name, MAX_TEXT),
            len(problems),
            len(samples) + ungraded + len(problems),
            cut(_named(problems), MAX_TEXT),
        )
    return Samples(_unique(samples), problems=problems, ungraded=ungraded, macro=known.macro)


def _nothing_usable(name: str, problems: Sequence[SampleProblem], ungraded: int) -> str:
    if problems:
        return f"{name}: not one of its rows can be used: {_named(problems)}."
    if ungraded:
        return (
            f"{name}: none of its {ungraded} rows has an answer that points anywhere, so there is no click to grade."
        )
    return f"{name} has no rows."


def _named(problems: Sequence[SampleProblem]) -> str:
    named = "; ".join(f"{problem.place}: {problem.reason}" for problem in problems[:MAX_NAMED])
    more = len(problems) - MAX_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def _unique(samples: Sequence[GroundingSample]) -> list[GroundingSample]:
    """The samples, those whose id was taken before with a number behind it."""
    if len(counts := Counter(sample.id for sample in samples)) == len(samples):
        return list(samples)
    seen: Counter[str] = Counter()
    unique = []
    for sample in samples:
        seen[sample.id] += 1
        number, new = seen[sample.id], sample.id
        if number > 1:
            while (new := f"{sample.id}#{number}") in counts:
                number += 1
            seen[sample.id] = number
        unique.append(sample if new == sample.id else dataclasses.replace(sample, id=new))
    return unique
