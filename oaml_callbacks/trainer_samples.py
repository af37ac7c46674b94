"""The Trainer's own datasets as grounding samples, where their rows are of a form that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .grounding import AnswerReader, Samples

    Resized = Callable[[int, int], tuple[int, int]]

MAX_SAMPLES = 128
"""How many rows of the evaluation set are answered by generation where nobody said how many."""
MAX_TRAINING_LABELS = 1000
"""How many training rows' labels are read before the first step."""

_EXAMPLE = 'grounding=GroundingEvaluator(read_samples("eval.jsonl", format="sft"))'


@dataclass(frozen=True)
class OwnSamples:
    """What became of an evaluation set.

    Args:
        samples: Its samples; `None` if its rows can't be graded.
        notice: What the user is told of it, once.
    """

    samples: Samples | None
    notice: str


def own_samples(
    dataset: Any, *, reader: AnswerReader, resized: Resized | None = None, name: str = "the evaluation set"
) -> OwnSamples:
    """Make samples of an evaluation set in SFT form (`images` and `messages`, as openadapt-ml and TRL have them).

    At most `MAX_SAMPLES` rows are used: the same ones each time, drawn from the whole set by a fixed seed. Pictures
    stay where they are until they are asked about.

    Args:
        dataset: The Trainer's: a `datasets.Dataset`, or anything with a length whose rows are mappings.
        reader: Reads the rows' own answers, the target of a row without a box.
        resized: What the processor makes of a picture of some width and height; needed for answers in its pixels.
        name: What the notice calls it.
    """
    from .grounding import PointTarget, SampleFileError, chosen_indices, samples_from_dataset

    columns = _columns(dataset)
    if columns is None:
        return OwnSamples(None, f"Clicks are not measured: {name} can't be read row by row. Give {_EXAMPLE}.")
    if not {"images", "messages"} <= columns:
        found = "tokenised" if "input_ids" in columns else f"of the columns {', '.join(sorted(columns)) or 'none'}"
        return OwnSamples(
            None,
            f"Clicks are not measured: the rows of {name} are {found}, and only rows with images and messages can be "
            f"answered and graded. To measure clicks, give samples: OpenAdaptWandbCallback({_EXAMPLE}).",
        )
    indices = chosen_indices(len(dataset), MAX_SAMPLES)
    try:
        samples = samples_from_dataset(dataset, format="sft", indices=indices, reader=reader, resized=resized)
    except SampleFileError as error:
        return OwnSamples(None, f"Clicks are not measured: {error} To measure them, give {_EXAMPLE}.")
    if not samples:
        return OwnSamples(None, f"Clicks are not measured: no row of {name} has an answer that points anywhere.")
    share = f"{len(samples)} of {len(dataset):,} rows" if len(samples) < len(dataset) else f"all {len(samples)} rows"
    notice = (
        f"Clicks are measured at each evaluation by letting the model answer {share} of {name}"
        f"{' (the same ones each time)' if len(samples) < len(dataset) else ''}. Turn it off with grounding=None, or "
        "set it up with grounding=GroundingEvaluator(...)."
    )
    points = [sample.target.tolerance for sample in samples if isinstance(sample.target, PointTarget)]
    if points and not {"bbox", "point"} & columns:
        notice += (
            f" The rows have no box, so a click within {points[0]:g} of the answer's own point counts as right. To "
            'grade by boxes, give the rows a "bbox" column and set remove_unused_columns=False, which keeps it.'
        )
    return OwnSamples(samples, notice)


def training_labels(dataset: Any, *, reader: AnswerReader, resized: Resized | None = None) -> Samples | None:
    """Samples of a training set whose rows have boxes beside their answers, to check the labels by; else `None`.

    At most `MAX_TRAINING_LABELS` rows, drawn from the whole set by a fixed seed.
    """
    from .grounding import SampleFileError, chosen_indices, samples_from_dataset

    columns = _columns(dataset)
    if columns is None or not {"images", "messages", "bbox"} <= columns:
        return None
    try:
        indices = chosen_indices(len(dataset), MAX_TRAINING_LABELS)
        return samples_from_dataset(dataset, format="sft", indices=indices, reader=reader, resized=resized)
    except SampleFileError:
        return None  # every row is broken, which training itself will say


def same_rows(dataset: Any, other: Any) -> bool:
    """Whether `dataset` is `other`, or its rows after some columns were dropped.

    The Trainer and TRL remove the columns that the model doesn't take, a row's box among them, and make a new dataset
    at each evaluation for that.
    """
    if dataset is other:
        return True
    names, other_names = getattr(dataset, "column_names", None), getattr(other, "column_names", None)
    if not isinstance(names, list) or not isinstance(other_names, list) or not set(names) <= set(other_names):
        return False
    if len(dataset) != len(other) or not hasattr(dataset, "data") or not hasattr(other, "data"):
        return False
    # Dropping columns leaves the others where they are in memory; equal rows of another set lie elsewhere.
    return _order(dataset) == _order(other) and all(
        _memory(dataset.data.column(name)) == _memory(other.data.column(name)) for name in names
    )


def _memory(column: Any) -> list[Any]:
    """Where a column of Arrow's lies."""
    return [
        (chunk.offset, len(chunk), [buffer and buffer.address for buffer in chunk.buffers()])
        for chunk in column.chunks
    ]


def _order(dataset: Any) -> list[Any] | None:
    """Where the indices of a selection or a shuffling lie; `None`: the rows are in their table's order."""
    indices = getattr(dataset, "_indices", None)
    return None if indices is None else _memory(indices.column(0))


def _columns(dataset: Any) -> set[str] | None:
    """The names of a row's values; `None` if there are no rows to look at."""
    names = getattr(dataset, "column_names", None)
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__") or not len(dataset):
        return None
    if isinstance(names, list):
        return set(names)
    row = dataset[0]
    return set(row) if isinstance(row, Mapping) else set()
