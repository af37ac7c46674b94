"""A file of answers, graded without a model: the evaluation's rules for answers that came from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import keys
from ..errors import UserError
from .actions import AnswerReader
from .fingerprint import fingerprint
from .metrics import GradedSample, GroundingReport, grade
from .other_spaces import needs_size, picture_size, read_sized
from .readers.format import Resize
from .readers.rows import Size, parse_json
from .samples import GroundingSample, Samples


class PredictionFileError(UserError):
    """A file of answers that cannot be graded: says which line, and what is wrong with it."""


@dataclass(frozen=True)
class Prediction:
    """One line of a file of answers.

    Args:
        line: Its number, from 1.
        answer: The model's text.
        id: The sample's; `None` where the file goes by the samples' order.
        resized_size: `(width, height)` in pixels of the picture as the model saw it.
    """

    line: int
    answer: str
    id: str | None = None
    resized_size: Size | None = None


@dataclass(frozen=True)
class Scored:
    """A file of answers, graded.

    Args:
        report: As an evaluation gives it, in the samples' order. Its seconds are 0: nothing was generated.
        missing: Ids of samples without an answer; they count as unreadable.
        unknown: Ids in the file that no sample has; they count for nothing.
    """

    report: GroundingReport
    missing: tuple[str, ...]
    unknown: tuple[str, ...]


def read_predictions(path: str | Path) -> list[Prediction]:
    """Read a JSONL file of answers: `{"id": …, "answer": …}` a line, and `"resized_size": [w, h]` where known.

    Ids are all there or all absent. Empty lines are passed over.

    Raises:
        FileNotFoundError: There is no such file.
        PredictionFileError: A line that is no such object, an id that comes twice, or no line at all.
    """
    path = Path(path)
    found: list[Prediction] = []
    line_of: dict[str, int] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if not line.strip():
                    continue
                one = _prediction(line, number)
                if found and (one.id is None) != (found[0].id is None):
                    raise ValueError('either every line has an "id", or none')
                if one.id is not None and line_of.setdefault(one.id, number) != number:
                    raise ValueError(f"the id {one.id!r} was answered in line {line_of[one.id]} already")
            except ValueError as error:
                raise PredictionFileError(f"{path}, line {number}: {error}.") from None
            found.append(one)
    if not found:
        raise PredictionFileError(f'{path} has no answers. Expected one {{"id": …, "answer": …}} a line.')
    return found


def score_predictions(
    samples: Samples,
    predictions: Sequence[Prediction],
    reader: AnswerReader,
    *,
    resized: Resize | None = None,
) -> Scored:
    """Grade answers as an evaluation does.

    Args:
        samples: What was asked.
        predictions: The answers: by id, or, where they have none, in the samples' order and as many.
        reader: Reads the answers.
        resized: `(width, height)` of a picture in pixels -> its size after the processor's resizing, for answers in
            pixels whose line doesn't say it.

    Raises:
        PredictionFileError: Not as many answers as samples where they go by order; none whose id is a sample's; or
            answers in pixels of a picture whose size is not known.
    """
    pairs = _pairs(samples, predictions)
    asked = {sample.id for sample in samples}
    unknown = tuple(one.id for one in predictions if one.id is not None and one.id not in asked)
    if len(unknown) == len(predictions):
        raise PredictionFileError(
            f"not one of the {len(unknown)} answers' ids is a sample's: the first is {unknown[0]!r}, and the first "
            f"sample's {samples[0].id!r}"
        )
    rows = [_grade(sample, prediction, reader, resized) for sample, prediction in pairs]
    unsized = [row for row in rows if row.resized_size is None and row.answer and needs_size(reader, row.answer)]
    if unsized:
        raise PredictionFileError(
            f"{len(unsized)} answers, such as {unsized[0].answer[:60]!r} of {unsized[0].sample.id}, are in pixels of "
            'the picture as the model saw it, and its size isn\'t known. Give each line "resized_size": [width, '
            "height], or the model, whose processor says what it does with a picture"
        )
    report = GroundingReport(tuple(rows), skipped=len(samples.problems), seconds=0.0, macro=samples.macro)
    return Scored(report, tuple(sample.id for sample, prediction in pairs if prediction is None), unknown)


def score_as_json(scored: Scored, reader: AnswerReader) -> dict[str, Any]:
    """The metrics, and by which rules: what a file of them says."""
    # JSON has no infinity: a distance that no answer has is null.
    metrics = {name: value if math.isfinite(value) else None for name, value in scored.report.metrics.items()}
    for timing in (keys.GROUNDING_SECONDS, keys.GROUNDING_SAMPLES_PER_SECOND):
        del metrics[timing]
    return {
        **metrics,
        "outcomes": scored.report.outcomes,
        "family": reader.family,
        "space": reader.space,
        "model_type": reader.model_type,
        "samples_fingerprint": fingerprint([row.sample for row in scored.report.rows], rules={}),
        "macro_over": list(scored.report.macro),
        "missing": list(scored.missing),
        "unknown": list(scored.unknown),
    }


def row_as_json(row: GradedSample) -> dict[str, Any]:
    """What a file of graded rows says of one: how it was read and graded."""
    action = row.action
    return {
        "id": row.sample.id,
        "correct": row.correct,
        "outcome": row.outcome,
        "distance": row.distance,
        "status": action.status,
        "kind": action.kind,
        "point": action.point,
        "box": action.box,
        "target_box": row.sample.target.box,
        "groups": dict(row.sample.groups),
        "answer": row.answer,
    }


def _pairs(samples: Samples, predictions: Sequence[Prediction]) -> list[tuple[GroundingSample, Prediction | None]]:
    if predictions[0].id is not None:
        by_id = {one.id: one for one in predictions}
        return [(sample, by_id.get(sample.id)) for sample in samples]
    if len(predictions) != len(samples):
        raise PredictionFileError(
            f"the answers have no ids, and there are {len(predictions)} of them for {len(samples)} samples; give each "
            'line the "id" of its sample'
        )
    return list(zip(samples, predictions, strict=True))


def _grade(
    sample: GroundingSample,
    prediction: Prediction | None,
    reader: AnswerReader,
    resized: Resize | None,
) -> GradedSample:
    answer = prediction.answer if prediction else ""
    size = prediction.resized_size if prediction else None
    if size is None and resized is not None and (original := picture_size(sample)) is not None:
        try:
            size = resized(*original)
        except ValueError as error:
            raise PredictionFileError(f"the picture of {sample.id}: {error}") from None
    return grade(sample, answer, read_sized(reader, answer, size), resized_size=size)


def _prediction(line: bytes, number: int) -> Prediction:
    row = parse_json(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, found {type(row).__name__}")
    if not isinstance(row.get("answer"), str):
        raise ValueError(f'expected "answer": the model\'s text, found {row.get("answer")!r}')
    name, size = row.get("id"), row.get("resized_size")
    if name is not None and not isinstance(name, (str, int)):
        raise ValueError(f'expected "id": a sample\'s, found {name!r}')
    if size is not None and not (
        isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
    ):
        raise ValueError(f'expected "resized_size": [width, height] in pixels, found {size!r}')
    return Prediction(
        number, row["answer"], None if name is None else str(name), (size[0], size[1]) if size is not None else None
    )
